"""The methods that are installed: this project's own and those of plug-ins, all by entry points."""

import numpy as np
import torch
from torch import Tensor

from protector_service.ensemble import View
from protector_service.job import image_of
from protector_service.method_run import MethodRun, stated_cost
from protector_service.methods.asks import NOTHING, Answer, Ask
from protector_service.methods.method import Method, MethodJob
from recognizers.plugins import Found, PluginError, accept_class, installed_plugins

GROUP = "protector_service.methods"
MAX_STATED = 500  # characters, by the protocol

_BUDGETS = (1, 8, 255)  # any, far from each other
_SIDE, _CLASSES = 12, 100
_PHOTO = np.arange(_SIDE * _SIDE * 3, dtype=np.uint32).astype(np.uint8).reshape(_SIDE, _SIDE, 3)  # every level
_WEIGHTS = torch.linspace(-1, 1, _CLASSES * 3).reshape(_CLASSES, 3).sin()
_Y_TRUE = 1


def find_methods() -> Found[Method]:
    """All methods that this interpreter can import, by the name that the wire has for them.

    Raises:
        PluginError: not even this project's own are installed.
    """
    return installed_plugins(GROUP, accept_method)


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
    allowed = (_BUDGETS, (0,)) if method.control else (_BUDGETS,)
    if not all(isinstance(budget, int) for budget in budgets) or budgets not in allowed:  # NumPy's are no int
        raise PluginError(f"expected {kind.__name__}.budgets({_BUDGETS}) to be {allowed[0]}, got {budgets!r}")
    _check_statements(method)
    smallest = budgets[:1]
    alone, beside = _first_cloak(method, smallest), _first_cloak(method, budgets)
    if alone != beside:
        raise PluginError(
            f"expected the cloak of {kind.__name__} for budget {smallest[0]} to be the same alone and beside those for the "
            f"budgets {budgets[1:]}, got another"
        )
    for epsilon in range(256):  # ListMethods asks for any
        stated_cost(method, epsilon)
    return method


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
    job = MethodJob(method.name, probe, budgets, _Y_TRUE)
    run = MethodRun(method, job, probe=_PHOTO, views=(View(""),), classes=_CLASSES)
    progress = run.advance()
    while not progress.cloaks:
        progress = run.advance([_answer(ask) for ask in progress.asks])
    run.close()
    return progress.cloaks[0].pixels.tobytes()


def _answer(ask: Ask) -> Answer:
    """Logits that are linear in the mean colour, which are the features."""
    with torch.set_grad_enabled(ask.gradient):
        image = ask.image.detach().clone().requires_grad_(ask.gradient)
        features = image.mean(dim=(1, 2)) / 255
        logits = _WEIGHTS @ features
        loss = NOTHING if ask.objective is None else ask.objective(logits, features)
        gradient: Tensor = torch.autograd.grad(loss, image)[0] if ask.gradient else NOTHING
    return Answer(logits.detach(), features.detach(), loss.detach(), gradient)
