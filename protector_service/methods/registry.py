"""The methods that are installed: this project's own and those of plug-ins, all by entry points."""

import numpy as np
import torch
from torch import Tensor

from protector_service.methods.method import Control, GradientMethod, Method, statement
from protector_service.methods.row import rows_of
from protector_service.order import control_cloaks, finished_cloak, image_of
from recognizers.plugins import Found, PluginError, accept_class, installed_plugins

GROUP = "protector_service.methods"
MAX_STATED = 500  # characters, by the protocol

_BUDGETS = (1, 8, 255)  # any, far from each other
_PHOTO = np.arange(32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(32, 32, 3)  # every level, the ends included
_LOGITS = torch.linspace(-1, 1, 100)  # of as many classes
_Y_TRUE = 1


def find_methods() -> Found[Method]:
    """All methods that this interpreter can import, by the name that the wire has for them.

    Raises:
        PluginError: not even this project's own are installed.
    """
    return installed_plugins(GROUP, accept_method)


def accept_method(name: str, loaded: object) -> Method:
    """The method that a class stands for, once it has been tried: what fails at its first step fails every request.

    Raises:
        PluginError: it stands for none.
        BrokenMethodError: what it makes is no cloak.
        Exception: whatever its own code raises.
    """
    kind = accept_class(name, loaded, GradientMethod, Control)
    description = getattr(kind, "description", None)
    if not isinstance(description, str) or not description.strip():
        raise PluginError(f"expected {kind.__name__}.description to be a sentence, got {description!r}")
    method: Method = kind()
    budgets = method.budgets(_BUDGETS)
    allowed = (_BUDGETS, (0,)) if isinstance(method, Control) else (_BUDGETS,)
    if not _whole(*budgets) or budgets not in allowed:
        raise PluginError(f"expected {kind.__name__}.budgets({_BUDGETS}) to be {allowed[0]}, got {budgets!r}")
    if isinstance(method, GradientMethod):
        _check_statements(method)
        _try_steps(method)
    elif isinstance(method, Control):
        control_cloaks(method, _PHOTO, epsilons=_BUDGETS, seed=0)
    return method


def _check_statements(method: GradientMethod) -> None:
    for function in (method.alpha, method.n_iter, method.start):
        words = statement(function)
        if not isinstance(words, str) or len(words) > MAX_STATED:
            raise PluginError(
                f"expected what {type(method).__name__}.{function.__name__} is stated to give to be a text of at most "
                f"{MAX_STATED} characters, got {words!r:.60}"
            )


def _try_steps(method: GradientMethod) -> None:
    """Takes the first step of several budgets, each alone, as the engine does."""
    kind = type(method).__name__
    label = method.label(_LOGITS.clone(), _Y_TRUE)
    if not _whole(label) or not 0 <= label < len(_LOGITS):
        raise PluginError(f"expected {kind}.label(...) to be a class of 0..{len(_LOGITS) - 1}, got {label!r}")
    reached = [_first_step(method, label, epsilon) for epsilon in _BUDGETS]
    if method.shares_trajectory and not all(torch.equal(x, reached[0]) for x in reached):
        raise PluginError(
            f"expected the first step of {kind} to be the same for every budget, as shares_trajectory says, got another for "
            "each: say shares_trajectory = False"
        )


def _first_step(method: GradientMethod, label: int, epsilon: int) -> Tensor:
    """Where a budget's trajectory is after its first step; at its start, where it has none."""
    kind = type(method).__name__
    x_0 = image_of(_PHOTO, device=torch.device("cpu"), dtype=torch.float32)
    gradient = torch.linspace(-1, 1, x_0.numel()).reshape(x_0.shape)
    ours, theirs = (x_0.clone(), gradient.clone()), (x_0, gradient)
    (row,) = rows_of(method, x_0, label=label, epsilons=(epsilon,), seed=0)
    if not row.finished:
        if not _whole(alpha := method.alpha(epsilon)):
            raise PluginError(f"expected {kind}.alpha({epsilon}) to be a whole number of levels, got {alpha!r}")
        row.step(gradient)
    if not all(map(torch.equal, ours, theirs)):
        raise PluginError(f"expected {kind} to change no tensor in place, got the probe or the gradient changed")
    finished_cloak(row, _PHOTO)
    return row.x


def _whole(*numbers: object) -> bool:
    """Whether all are whole numbers of Python's own, which NumPy's are not."""
    return all(isinstance(number, int) for number in numbers)
