"""The methods that are installed: this project's own and those of plug-ins, all by entry points."""

from protector_service.methods.method import Control, GradientMethod, Method
from recognizers.plugins import Found, PluginError, accept_class, installed_plugins

GROUP = "protector_service.methods"

_BUDGETS = (4, 8)  # any two


def find_methods() -> Found[Method]:
    """All methods that this interpreter can import, by the name that the wire has for them.

    Raises:
        PluginError: not even this project's own are installed.
    """
    return installed_plugins(GROUP, accept_method)


def accept_method(name: str, loaded: object) -> Method:
    """The method that a class stands for.

    Raises:
        PluginError: it stands for none.
    """
    kind = accept_class(name, loaded, GradientMethod, Control)
    description = getattr(kind, "description", None)
    if not isinstance(description, str) or not description.strip():
        raise PluginError(f"expected {kind.__name__}.description to be a sentence, got {description!r}")
    try:
        method: Method = kind()
        budgets = method.budgets(_BUDGETS)
    except Exception as error:
        raise PluginError(f"{kind.__name__}() cannot be used: {type(error).__name__}: {error}") from error
    allowed = (_BUDGETS, (0,)) if isinstance(method, Control) else (_BUDGETS,)
    if budgets not in allowed:
        raise PluginError(f"expected {kind.__name__}.budgets({_BUDGETS}) to be {allowed[0]}, got {budgets!r}")
    return method
