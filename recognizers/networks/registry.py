"""The registry of networks that checkpoints can hold, by name: this project's own and plug-ins', all by entry points."""

from functools import cache

from recognizers.networks.network import Network
from recognizers.networks.state_dict_format import StateDictFormat
from recognizers.plugins import Found, PluginError, accept_class, installed_plugins

GROUP = "recognizers"


@cache
def architectures() -> Found[type[Network]]:
    """All that are installed, found once.

    Raises:
        PluginError: not even this project's own are.
    """
    return installed_plugins(GROUP, accept_architecture)


def accept_architecture(name: str, loaded: object) -> type[Network]:
    """A network against whose facts a checkpoint can be checked.

    Raises:
        PluginError: it is not.
    """
    network = accept_class(name, loaded, Network)
    for fact in ("input_size", "feature_size"):
        value = getattr(network, fact, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise PluginError(f"expected {network.__name__}.{fact} to be a whole number from 1, got {value!r}")
    head = getattr(network, "head_name", "")
    if head is not None and (not isinstance(head, str) or not head):
        raise PluginError(f"expected {network.__name__}.head_name to be the name of the classifier's layer, got {head!r}")
    formats = getattr(network, "formats", ())
    if not isinstance(formats, tuple) or not formats or not all(isinstance(each, StateDictFormat) for each in formats):
        raise PluginError(f"expected {network.__name__}.formats to be a tuple of StateDictFormat, got {formats!r}")
    names = [each.name for each in formats]
    if not all(isinstance(name, str) for name in names):
        raise PluginError(f"expected the names of {network.__name__}.formats to be text, got {names!r}")
    return network
