"""The methods that are installed: this project's own and those of plug-ins, all by entry points."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from command_line.errors import OperatorError
from protector_service.ensemble import View
from protector_service.job import image_of
from protector_service.method_run import MethodRun, stated_cost
from protector_service.methods.asks import NOTHING, Answer, Ask
from protector_service.methods.method import Method, MethodJob
from recognizers.plugins import Found, PluginError, accept_class, installed_plugins

GROUP = "protector_service.methods"
MAX_STATED = 500  # characters, by the protocol
MAX_LEVEL = 255
CARRIERS = ("probe", "gallery")  # by the protocol
_FLAG = "--method-parameters"

_BUDGETS = (1, 8, 255)  # any, far from each other
_SIDE, _CLASSES = 12, 100
_PHOTO = np.arange(_SIDE * _SIDE * 3, dtype=np.uint32).astype(np.uint8).reshape(_SIDE, _SIDE, 3)  # every level
_WEIGHTS = torch.linspace(-1, 1, _CLASSES * 3).reshape(_CLASSES, 3).sin()
_Y_TRUE = 1


class MethodParameterError(OperatorError):
    """A parameter of a method cannot be set as asked."""


def find_methods(parameters: Mapping[tuple[str, str], int] = MappingProxyType({})) -> Found[Method]:
    """All methods that this interpreter can import, by the name that the wire has for them.

    Args:
        parameters: what is set, by the names of a method and of its parameter.

    Raises:
        PluginError: not even this project's own are installed.
        MethodParameterError: there is no such method or parameter, or it cannot have that value.
    """
    found = installed_plugins(GROUP, accept_method)
    return replace(found, usable=set_parameters(found.usable, parameters))


def set_parameters(methods: Mapping[str, Method], parameters: Mapping[tuple[str, str], int]) -> Mapping[str, Method]:
    """Methods by name, those of which parameters are set with them.

    Raises:
        MethodParameterError: there is no such method or parameter, or it cannot have that value.
    """
    those_set = dict(methods)
    for (name, parameter), value in parameters.items():
        if name not in methods:
            names = ", ".join(name for name, method in methods.items() if method.settable)
            raise MethodParameterError(f"{_FLAG}: expected a method that has any ({names}), got {name!r}")
        settable = methods[name].settable
        if parameter not in settable:
            names = ", ".join(settable) or "none"
            raise MethodParameterError(f"{_FLAG}: expected a parameter of {name} ({names}), got {parameter!r}")
        allowed = settable[parameter]
        if value not in allowed:
            raise MethodParameterError(f"{_FLAG}: {name}.{parameter}: expected {allowed[0]}..{allowed[-1]}, got {value}")
        those_set[name] = those_set[name].having(**{parameter: value})
    return MappingProxyType(those_set)


def accept_method(name: str, loaded: object) -> Method:
    """The method that a class stands for, once it has been tried: what fails here fails every request.

    Raises:
        PluginError: it stands for none.
        BrokenMethodError: what it makes is no cloak.
        Exception: whatever its own code raises.
    """
    kind = accept_class(name, loaded, Method)
    description = getattr(kind, "description", None)
    if not isinstance(description, str) or not description.strip():
        raise PluginError(f"expected {kind.__name__}.description to be a sentence, got {description!r}")
    method: Method = kind()
    budgets = method.budgets(_BUDGETS)
    allowed = (_BUDGETS, (0,)) if method.control else ((0,),) if method.own_budget is not None else (_BUDGETS,)
    if not all(isinstance(budget, int) for budget in budgets) or budgets not in allowed:  # NumPy's are no int
        raise PluginError(f"expected {kind.__name__}.budgets({_BUDGETS}) to be {allowed[0]}, got {budgets!r}")
    _check_settable(method)
    _check_statements(method)
    _check_own_budget(method)
    smallest = budgets[:1]
    brief = method.having(**{name: allowed[0] for name, allowed in method.settable.items()})  # as a rule the least work
    alone, beside = _first_cloak(brief, smallest), _first_cloak(brief, budgets)
    if alone != beside:
        raise PluginError(
            f"expected the cloak of {kind.__name__} for budget {smallest[0]} to be the same alone and beside those for the "
            f"budgets {budgets[1:]}, got another"
        )
    for epsilon in range(256):  # ListMethods asks for any
        stated_cost(method, epsilon)
    return method


def _check_settable(method: Method) -> None:
    for name, allowed in method.settable.items():
        default = getattr(method, name, None)
        if not isinstance(allowed, range) or default not in allowed:
            raise PluginError(
                f"expected {type(method).__name__}.{name} to be in the range to which it is settable, got {default!r} and "
                f"{allowed!r}"
            )


def _check_own_budget(method: Method) -> None:
    own = method.own_budget
    if own is not None and (not 1 <= own.largest_change <= MAX_LEVEL or not 1 <= len(own.in_words) <= MAX_STATED):
        raise PluginError(
            f"expected {type(method).__name__}.own_budget to have a text of 1..{MAX_STATED} characters and "
            f"a largest change of 1..{MAX_LEVEL} levels, got {own!r:.100}"
        )
    if method.carrier not in CARRIERS:
        raise PluginError(f"expected {type(method).__name__}.carrier to be {' or '.join(CARRIERS)}, got {method.carrier!r}")


def _check_statements(method: Method) -> None:
    for name, words in method.parameters().items():
        if not isinstance(words, str) or len(words) > MAX_STATED:
            raise PluginError(
                f"expected what {type(method).__name__} states of {name} to be a text of at most {MAX_STATED} characters, "
                f"got {words!r:.60}"
            )


def _first_cloak(method: Method, budgets: tuple[int, ...]) -> bytes:
    """The pixels that a method makes of an image for the first of some budgets, with a small linear recognizer."""
    probe = image_of(_PHOTO, device=torch.device("cpu"), dtype=torch.float32)
    job = MethodJob(method.name, probe, budgets, _Y_TRUE, candidates=_Candidates())
    run = MethodRun(method, job, probe=_PHOTO, views=(View(""),), classes=_CLASSES)
    progress = run.advance()
    while not progress.cloaks:
        progress = run.advance([_answer(ask) for ask in progress.asks])
    run.close()
    return progress.cloaks[0].pixels.tobytes()


class _Candidates:
    """Those of the small recognizer."""

    def __len__(self) -> int:
        return _CLASSES

    def centroid(self, model: str, place: int) -> Tensor:
        return normalize(_WEIGHTS[place], dim=0)


def _answer(ask: Ask) -> Answer:
    """Logits that are linear in the mean colour, which are the features."""
    with torch.set_grad_enabled(ask.gradient):
        image = ask.image.detach().clone().requires_grad_(ask.gradient)
        features = image.mean(dim=(1, 2)) / 255
        logits = _WEIGHTS @ features
        loss = NOTHING if ask.objective is None else ask.objective(logits, features)
        gradient: Tensor = torch.autograd.grad(loss, image)[0] if ask.gradient else NOTHING
    return Answer(logits.detach(), features.detach(), loss.detach(), gradient)
