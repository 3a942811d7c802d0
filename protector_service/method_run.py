"""One method at work on one job: drives its generator, and holds it to what it promised."""

from collections.abc import Generator, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from protector_service.batched_model import usual_modes
from protector_service.ensemble import View, asked_views, joint_answer, member_asks
from protector_service.job import FinishedCloak, finished_cloak
from protector_service.methods.asks import Answer, Ask, Cloak, Cost, CrossEntropy, Effort, as_list
from protector_service.methods.method import Method, MethodJob

_MARGIN, _GRACE = 2, 16  # a method may ask twice what it declared, and this much more
_MAX_COST = 2**31 - 1  # on the wire


@dataclass
class Progress:
    """What a method did before it asked again."""

    asks: list[Ask] = field(default_factory=list)  # each of one model by name; none once it has finished
    cloaks: list[FinishedCloak] = field(default_factory=list)


class MethodRun:
    """A method's generator and what it waits for. One thread at a time may advance it."""

    def __init__(
        self, method: Method, job: MethodJob, *, probe: NDArray[np.uint8], views: Sequence[View], classes: int
    ) -> None:
        """`probe` (H, W, 3) is the job's own, which the method cannot touch; `classes` those of the smallest label set."""
        self.name = method.name
        self._method = method
        self._shape = tuple(job.probe.shape)
        self._device = job.probe.device
        self._type = (job.probe.dtype, self._device)
        self._probe = probe
        self._views = views
        self._classes = classes
        self._due = list(job.epsilons)
        self._limit = _limit(method, job.epsilons, models=len(views))
        self._spent = Cost()  # in all
        self._since = Effort()  # since the last cloak
        self._asks: list[Ask] = []  # as the method asked
        self._single = False
        self._generator = method.craft(job)
        if not isinstance(self._generator, Generator):
            raise method.broken(expected="craft to be a generator", actual=type(self._generator).__name__)

    def advance(self, answers: Sequence[Answer] = ()) -> Progress:
        """Takes the answers to the asks of the last progress, in their order; the first time there are none.

        Raises:
            BrokenMethodError: the method does not keep what it promised.
            Exception: whatever its own code raises.
        """
        progress = Progress()
        sending = self._joint(answers)
        while True:
            try:
                with usual_modes(self._device):
                    came = self._generator.send(sending)
            except StopIteration:
                self._asks = []
                if self._due:
                    raise self._method.broken(expected=f"cloaks of the budgets {self._due}", actual="none") from None
                return progress
            if isinstance(came, Cloak):
                progress.cloaks.append(self._finished(came))
                sending = None
                continue
            self._accept(came)
            self._spend()
            progress.asks = [each for ask in self._asks for each in member_asks(ask, self._views)]
            return progress

    def close(self) -> None:
        """Ends the generator where it stands."""
        with usual_modes(self._device):
            self._generator.close()

    def _joint(self, answers: Sequence[Answer]) -> Any:
        """What the generator is sent: an answer where it asked once, a list where it asked for several."""
        left = iter(answers)
        joint = [joint_answer(ask, [next(left) for _ in asked_views(ask, self._views)], self._views) for ask in self._asks]
        for ask, answer in zip(self._asks, joint, strict=True):
            self._since.add(ask, answer, models=len(asked_views(ask, self._views)))
        if any(ask.gradient for ask in self._asks):
            self._since.n_iter += 1
        if not joint:
            return None
        return joint[0] if self._single else joint

    def _finished(self, cloak: Cloak) -> FinishedCloak:
        expected = str(self._due[0]) if self._due else "no further one"
        if not self._due or cloak.epsilon != self._due[0]:
            raise self._method.broken(expected=f"the cloak of budget {expected}", actual=f"one of {cloak.epsilon!r}")
        epsilon = self._due.pop(0)  # of Python's own numbers
        effort, self._since = cloak.effort or self._since, Effort()
        return finished_cloak(self._method, self._probe, cloak.image, epsilon=epsilon, effort=copy(effort))

    def _accept(self, came: Any) -> None:
        """Keeps what was asked, once it is what may be asked."""
        self._single = isinstance(came, Ask)
        asks = as_list(came) if isinstance(came, Ask | Sequence) and not isinstance(came, str) else []
        if not asks or not all(isinstance(ask, Ask) for ask in asks):
            raise self._method.broken(expected="an Ask, several, or a Cloak", actual=f"{came!r:.60}")
        for ask in asks:
            self._check(ask)
        self._asks = asks

    def _check(self, ask: Ask) -> None:
        image, objective = ask.image, ask.objective
        if not isinstance(image, Tensor) or tuple(image.shape) != self._shape:
            came = f"a tensor {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
            raise self._method.broken(expected=f"asks about images {self._shape}", actual=came)
        if (image.dtype, image.device) != self._type:
            raise self._method.broken(expected=f"images of {self._type}", actual=f"{(image.dtype, image.device)}")
        if not asked_views(ask, self._views):
            known = ", ".join(view.model for view in self._views)
            raise self._method.broken(expected=f"asks of {known}", actual=f"one of {ask.model!r:.60}")
        if isinstance(objective, CrossEntropy):
            # One that there is not would fail a whole batch, and on a GPU the process.
            if not isinstance(objective.label, int) or not 0 <= objective.label < self._classes:
                raise self._method.broken(expected=f"a class of 0..{self._classes - 1}", actual=repr(objective.label))
        elif not callable(objective) and (ask.gradient or objective is not None):
            raise self._method.broken(expected="an objective to differentiate", actual=repr(objective))

    def _spend(self) -> None:
        """Counts what is asked, and ends a method that would go on for ever."""
        counts = [(ask, len(asked_views(ask, self._views))) for ask in self._asks]
        gradients = self._spent.gradients + sum(count for ask, count in counts if ask.gradient)
        forward_passes = self._spent.forward_passes + sum(count for ask, count in counts if not ask.gradient)
        self._spent = Cost(gradients, forward_passes)
        if gradients > self._limit.gradients or forward_passes > self._limit.forward_passes:
            raise self._method.broken(
                expected=f"at most {self._limit.gradients} gradients and {self._limit.forward_passes} forward passes, "
                "twice what its cost says",
                actual=f"{gradients} and {forward_passes}",
            )


def stated_cost(method: Method, epsilon: int) -> Cost:
    """What a method says that a budget takes.

    Raises:
        BrokenMethodError: it says none.
    """
    cost = method.cost(epsilon)
    if not isinstance(cost, Cost) or not all(
        isinstance(number, int) and 0 <= number <= _MAX_COST for number in (cost.gradients, cost.forward_passes)
    ):
        raise method.broken(expected=f"a Cost of whole numbers of at most {_MAX_COST}", actual=f"{cost!r:.100}")
    return cost


def _limit(method: Method, epsilons: Sequence[int], *, models: int) -> Cost:
    """How much a method may ask of some number of models for its budgets."""
    costs = [stated_cost(method, epsilon) for epsilon in epsilons]
    return Cost(
        gradients=models * (_MARGIN * sum(cost.gradients for cost in costs) + _GRACE),
        forward_passes=models * (_MARGIN * sum(cost.forward_passes for cost in costs) + _GRACE),
    )
