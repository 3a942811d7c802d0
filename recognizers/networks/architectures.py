"""The networks that checkpoints can hold, by name: this project's own and those of plug-ins, all by entry points."""

from functools import cache

from recognizers.networks.layout import Layout
from recognizers.networks.network import Network
from recognizers.plugins import Found, PluginError, accept_class, installed_plugins, shown

GROUP = "recognizers"


@cache
def architectures() -> Found[type[Network]]:
    """All that are installed, found once.

    Raises:
        PluginError: not even this project's own are.
    """
    return installed_plugins(GROUP, accept_architecture)


def accept_architecture(name: str, loaded: object) -> type[Network]:
    """A network whose facts a checkpoint can be held against.

    Raises:
        PluginError: it is not.
    """
    network = accept_class(name, loaded, Network)
    for fact in ("input_size", "feature_size"):
        value = getattr(network, fact, None)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise PluginError(f"expected {network.__name__}.{fact} to be a whole number from 1, got {value!r}")
    if not isinstance(head := getattr(network, "head_name", None), str) or not head:
        raise PluginError(f"expected {network.__name__}.head_name to be the name of the classifier's layer, got {head!r}")
    layouts = getattr(network, "layouts", ())
    if not isinstance(layouts, tuple) or not layouts:
        raise PluginError(f"expected {network.__name__}.layouts to be a tuple of at least one Layout, got {layouts!r}")
    for layout in layouts:
        if not isinstance(layout, Layout):
            raise PluginError(f"expected {network.__name__}.layouts to be instances of Layout, got {shown(layout)}")
        if not isinstance(stated := getattr(layout, "name", None), str):
            raise PluginError(f"expected {type(layout).__name__}.name to say what the layout is, got {stated!r}")
    return network
