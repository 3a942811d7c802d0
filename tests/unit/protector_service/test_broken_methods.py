"""A method that breaks its promises fails its own job and no other, and nothing that it made leaves as a cloak."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from protector_service.batched_model import BatchedModel, BrokenObjectiveError, NonFiniteAnswerError
from protector_service.job import CraftJob, FinishedCloak
from protector_service.methods.asks import Answer, Ask, Cloak, Cost, Crafting, CrossEntropy, Effort, Objective
from protector_service.methods.method import BrokenMethodError, Method, MethodJob
from tests.support.engines import METHODS, RecordingSink, ScriptedMethod, engine_of, held, job_of
from tests.support.networks import SmallRecognizer, probe

RECOGNIZER = SmallRecognizer(dtype=torch.float32)
CLASSES = len(RECOGNIZER.label_set)
BUDGETS = (4, 8)
PHOTO = probe(side=8)

Script = Callable[[MethodJob], Crafting]


@pytest.fixture(scope="module")
def undisturbed() -> list[FinishedCloak]:
    """BIM's cloaks where no other job is."""
    with engine_of(model_of()) as engine:
        return list(engine.craft(job_of(PHOTO, ["bim"], BUDGETS)))


def model_of() -> BatchedModel:
    return BatchedModel(RECOGNIZER, batch_rows=2)


def crafted_beside(method: Method, undisturbed: list[FinishedCloak], *, shares: bool = True) -> RecordingSink:
    """What became of a job by the method, while one by BIM was crafted in the same batches and came out as ever."""
    good, bad = RecordingSink(), RecordingSink()
    rows: list[int] = []
    with engine_of(model_of(), on_batch=lambda _, asked: rows.append(asked)) as engine:
        with held(engine):
            engine.submit(scripted(method), bad)
            engine.submit(job_of(PHOTO, ["bim"], BUDGETS, client="good"), good)
        assert bad.ended.wait(60)
        assert good.ended.wait(60)
        assert len(list(engine.craft(job_of(PHOTO, ["bim"], (1,))))) == 1, "the worker survives"
    assert 2 in rows or not shares, "they did share a batch"
    assert good.ends == [None]
    assert len(good.cloaks) == len(undisturbed)
    for ours, alone in zip(good.cloaks, undisturbed, strict=True):
        assert np.array_equal(ours.pixels, alone.pixels)
    assert len(bad.ends) == 1
    return bad


def scripted(*methods: Method) -> CraftJob:
    return replace(job_of(PHOTO, [], BUDGETS, client="bad"), methods=methods)


def after_a_gradient(script: Script) -> Method:
    """A method that first asks as it should, in a batch with others."""

    def craft(job: MethodJob) -> Crafting:
        yield gradient(job)
        yield from script(job)

    return ScriptedMethod(craft)


def gradient(job: MethodJob, objective: Any = CrossEntropy(1)) -> Ask:  # noqa: B008 - it cannot be changed
    return Ask(job.probe, objective)


def labelled(label: Any, job: MethodJob) -> Ask:
    return gradient(job, CrossEntropy(label))


def yielding(*came: Any) -> Script:
    def script(job: MethodJob) -> Crafting:
        yield from cast("list[Ask]", came)

    return script


def of_job(make: Callable[[MethodJob], Any]) -> Script:
    """A script that yields what is made of the job, and then the cloaks that are due."""

    def script(job: MethodJob) -> Crafting:
        yield make(job)
        for epsilon in job.epsilons:
            yield Cloak(epsilon, job.probe)

    return script


def cloaks(*epsilons: Any, change: Callable[[Tensor], Any] = lambda probe: probe) -> Script:
    def script(job: MethodJob) -> Crafting:
        for epsilon in epsilons:
            yield Cloak(epsilon, change(job.probe))

    return script


def for_ever(ask: Callable[[MethodJob], Ask | list[Ask]]) -> Script:
    def script(job: MethodJob) -> Crafting:
        while True:
            yield ask(job)

    return script


@pytest.mark.parametrize(
    ("script", "message"),
    [
        pytest.param(yielding(None), "an Ask, several, or a Cloak, got None", id="nothing"),
        pytest.param(yielding("ask"), "an Ask, several, or a Cloak, got 'ask'", id="text"),
        pytest.param(yielding(b"ask"), "an Ask, several, or a Cloak, got b'ask'", id="bytes"),
        pytest.param(yielding([]), "an Ask, several, or a Cloak, got []", id="no ask"),
        pytest.param(of_job(lambda job: [gradient(job), 3]), "an Ask, several, or a Cloak, got [Ask(", id="a number"),
        pytest.param(
            of_job(lambda job: [Cloak(4, job.probe)]), "an Ask, several, or a Cloak, got [Cloak(", id="a list of cloaks"
        ),
        pytest.param(of_job(lambda job: replace(gradient(job), model="x")), "asks of small, got one of 'x'", id="model"),
        pytest.param(
            of_job(lambda job: replace(gradient(job), image=job.probe[:, :4])),
            "asks about images (3, 8, 8), got a tensor (3, 4, 8)",
            id="shape",
        ),
        pytest.param(
            of_job(lambda job: replace(gradient(job), image=cast("Tensor", job.probe.tolist()))),
            "asks about images (3, 8, 8), got list",
            id="no tensor",
        ),
        pytest.param(
            of_job(lambda job: replace(gradient(job), image=job.probe.double())),
            f"images of {(torch.float32, torch.device('cpu'))}, got {(torch.float64, torch.device('cpu'))}",
            id="dtype",
        ),
        *(
            pytest.param(
                of_job(partial(labelled, label)),
                f"a class of 0..6, got {label!r}",
                id=f"{label!r}",
            )
            for label in (CLASSES, -1, np.int64(1), 1.0, "1")
        ),
        pytest.param(
            of_job(lambda job: Ask(job.probe, CrossEntropy(CLASSES), gradient=False)),
            f"a class of 0..6, got {CLASSES}",
            id="no class, without a gradient",
        ),
        pytest.param(of_job(lambda job: gradient(job, None)), "an objective to differentiate, got None", id="no objective"),
        pytest.param(of_job(lambda job: gradient(job, 3)), "an objective to differentiate, got 3", id="3 for an objective"),
        pytest.param(
            cloaks(4, 8, change=lambda probe: (probe + 20).clamp(max=255)), "changes of at most 4 levels, got 20", id="far"
        ),
        pytest.param(cloaks(4, 8, change=lambda probe: probe - 300), "levels 0..255, got -", id="black"),
        pytest.param(cloaks(4, 8, change=lambda probe: probe + 300), "levels 0..255, got 3", id="white"),
        pytest.param(cloaks(4, 8, change=lambda probe: probe * torch.nan), "levels 0..255, got nan..nan", id="no numbers"),
        pytest.param(
            cloaks(4, 8, change=lambda probe: probe[:, :4]), "a tensor (3, 8, 8), got a tensor (3, 4, 8)", id="cut"
        ),
        pytest.param(cloaks(4, 8, change=lambda probe: probe.tolist()), "a tensor (3, 8, 8), got list", id="list"),
        pytest.param(cloaks(5), "the cloak of budget 4, got one of 5", id="another budget"),
        pytest.param(cloaks(8, 4), "the cloak of budget 4, got one of 8", id="descending"),
        pytest.param(cloaks(4, 4), "the cloak of budget 8, got one of 4", id="twice"),
        pytest.param(cloaks(4, 8, 16), "the cloak of budget no further one, got one of 16", id="one too many"),
        pytest.param(cloaks(4), "cloaks of the budgets [8], got none", id="one missing"),
        pytest.param(cloaks(), "cloaks of the budgets [4, 8], got none", id="all missing"),
        pytest.param(
            for_ever(gradient),
            "at most 20 gradients and 20 forward passes, twice what its cost says, got 21 and 0",
            id="gradients for ever",
        ),
        pytest.param(
            for_ever(lambda job: Ask(job.probe, gradient=False)),
            "at most 20 gradients and 20 forward passes, twice what its cost says, got 1 and 21",
            id="forward passes for ever",
        ),
        pytest.param(
            for_ever(lambda job: [gradient(job)] * 50),
            "at most 20 gradients and 20 forward passes, twice what its cost says, got 51 and 0",
            id="many gradients at once",
        ),
    ],
)
def test_what_breaks_a_promise_fails_its_own_job_and_the_log_says_why(
    script: Script, message: str, undisturbed: list[FinishedCloak], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        bad = crafted_beside(after_a_gradient(script), undisturbed)
    (failure,) = bad.ends
    assert isinstance(failure, BrokenMethodError)
    assert str(failure).startswith(f"scripted: expected {message}")
    assert [(each.getMessage(), each.__dict__["reason"]) for each in caplog.records] == [("method broken", str(failure))]
    assert not bad.cloaks or [cloak.epsilon for cloak in bad.cloaks] == [4]


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*_: object) -> Any:
        raise error

    return function


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (ScriptedMethod(cast("Script", lambda job: [Cloak(4, job.probe)])), "craft to be a generator, got list"),
        (
            ScriptedMethod(cloaks(4, 8), cost=lambda _: cast("Cost", 3)),
            "a Cost of whole numbers of at most 2147483647, got 3",
        ),
        (ScriptedMethod(cloaks(4, 8), cost=lambda _: Cost(gradients=-1)), "a Cost of whole numbers of at most "),
        (
            ScriptedMethod(cloaks(4, 8), cost=lambda _: Cost(forward_passes=cast("int", 0.5))),
            "a Cost of whole numbers of at ",
        ),
        (ScriptedMethod(cloaks(4, 8), cost=lambda _: Cost(gradients=2**31)), "a Cost of whole numbers of at most "),
    ],
)
def test_what_breaks_a_promise_before_it_begins_fails_its_own_job(
    method: Method, message: str, undisturbed: list[FinishedCloak], caplog: pytest.LogCaptureFixture
) -> None:
    bad = crafted_beside(method, undisturbed, shares=False)
    (failure,) = bad.ends
    assert isinstance(failure, BrokenMethodError)
    assert str(failure).startswith(f"scripted: expected {message}")
    assert [each.getMessage() for each in caplog.records] == ["method broken"]


SO_THERE = ZeroDivisionError("so there")


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        pytest.param(ScriptedMethod(raising(SO_THERE)), ZeroDivisionError, id="craft"),
        pytest.param(ScriptedMethod(of_job(raising(SO_THERE))), ZeroDivisionError, id="at once"),
        pytest.param(ScriptedMethod(cloaks(4), cost=raising(SO_THERE)), ZeroDivisionError, id="cost"),
        pytest.param(ScriptedMethod(cloaks(4), budgets=raising(SO_THERE)), ZeroDivisionError, id="budgets"),
        pytest.param(ScriptedMethod(cloaks(4), budgets=raising(SystemExit(1))), RuntimeError, id="budgets that exit"),
        pytest.param(after_a_gradient(raising(SO_THERE)), ZeroDivisionError, id="midway"),
        *(
            pytest.param(after_a_gradient(raising(kind())), RuntimeError, id=f"{kind.__name__} midway")
            for kind in (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration)
        ),
        pytest.param(after_a_gradient(cloaks(4, change=lambda probe: probe @ probe[0, :5])), RuntimeError, id="shapes"),
    ],
)
def test_what_raises_fails_its_own_job_and_the_log_says_which_method_it_was(
    method: Method,
    kind: type[Exception],
    undisturbed: list[FinishedCloak],
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    midway = "midway" in request.node.callspec.id
    bad = crafted_beside(method, undisturbed, shares=midway)
    assert [type(error) for error in bad.ends] == [kind]
    assert not bad.cloaks
    (record,) = caplog.records
    assert record.getMessage() == "job failed"
    if midway:
        assert record.__dict__["method"] == "scripted"


def value_without_number(logits: Tensor, features: Tensor) -> Tensor:
    return logits[0] + torch.nan  # its gradient has numbers


def leaving_gradients_off(logits: Tensor, features: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    return logits.sum() * 0 + 1


class _RaisesBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise ZeroDivisionError("on the way back")


def raising_backward(logits: Tensor, features: Tensor) -> Tensor:
    raised: Tensor = _RaisesBackward.apply(logits[0])
    return raised


SCALAR = "expected an objective to give a scalar, got "
NUMBERS = "expected numbers, got a logit, feature, loss or gradient that is none"


@pytest.mark.parametrize("asks_gradient", [True, False], ids=["gradient", "forward"])
@pytest.mark.parametrize(
    ("objective", "kind", "message", "for_gradients_only"),
    [
        pytest.param(raising(ZeroDivisionError("so there")), ZeroDivisionError, "so there", False, id="raises"),
        pytest.param(raising(SystemExit(3)), RuntimeError, "SystemExit(3)", False, id="exits"),
        pytest.param(lambda logits, _: logits, BrokenObjectiveError, f"{SCALAR}a tensor (7,)", False, id="logits"),
        pytest.param(lambda logits, _: 3.0, BrokenObjectiveError, f"{SCALAR}float", False, id="float"),
        pytest.param(lambda logits, _: None, BrokenObjectiveError, f"{SCALAR}NoneType", False, id="nothing"),
        pytest.param(lambda logits, _: logits.sum() * torch.nan, NonFiniteAnswerError, NUMBERS, False, id="no number"),
        pytest.param(value_without_number, NonFiniteAnswerError, NUMBERS, False, id="no number, with a gradient"),
        pytest.param(
            lambda logits, _: (logits.sum() - logits.sum()).sqrt(), NonFiniteAnswerError, NUMBERS, True, id="gradient"
        ),
        pytest.param(
            lambda logits, _: torch.tensor(1.0),
            BrokenObjectiveError,
            "expected an objective to depend on the logits or the features, got a constant",
            True,
            id="constant",
        ),
        pytest.param(
            leaving_gradients_off, BrokenObjectiveError, "expected an objective to depend on ", True, id="no gradients"
        ),
        pytest.param(raising_backward, ZeroDivisionError, "on the way back", True, id="raises backward"),
        pytest.param(
            lambda logits, features: features.mul_(2).sum(),
            RuntimeError,
            "one of the variables needed for ",
            True,
            id="in place",
        ),
    ],
)
def test_an_objective_that_is_none_fails_its_own_job(
    objective: Objective,
    kind: type[Exception],
    message: str,
    for_gradients_only: bool,
    asks_gradient: bool,
    undisturbed: list[FinishedCloak],
) -> None:
    method = after_a_gradient(of_job(lambda job: Ask(job.probe, objective, gradient=asks_gradient)))
    bad = crafted_beside(method, undisturbed)
    if for_gradients_only and not asks_gradient:
        assert bad.ends == [None], "nothing is wrong with its value"
        return
    assert [type(error) for error in bad.ends] == [kind]
    assert str(bad.ends[0]).startswith(message)
    assert not bad.cloaks


def test_an_objective_s_promise_is_told_to_the_operator_with_its_method(
    undisturbed: list[FinishedCloak], caplog: pytest.LogCaptureFixture
) -> None:
    crafted_beside(after_a_gradient(of_job(lambda job: gradient(job, lambda logits, _: logits))), undisturbed)
    (record,) = caplog.records
    facts = record.__dict__
    assert (facts["method"], facts["error"], facts["reason"]) == (
        "scripted",
        "BrokenObjectiveError",
        f"{SCALAR}a tensor (7,)",
    )


def test_the_text_of_what_a_plug_in_raises_is_not_logged(
    undisturbed: list[FinishedCloak], caplog: pytest.LogCaptureFixture
) -> None:
    crafted_beside(after_a_gradient(raising(ValueError("of a photo"))), undisturbed)
    assert "of a photo" not in "".join(str(record.__dict__) for record in caplog.records)


def ending(end: Callable[[], Any]) -> Script:
    """A script that does something when it is ended before its time."""

    def script(job: MethodJob) -> Crafting:
        try:
            while True:
                yield gradient(job)
        finally:
            end()

    return script


def asking_on(job: MethodJob) -> Crafting:
    while True:
        try:
            yield gradient(job)
        except GeneratorExit:
            yield gradient(job)


@pytest.mark.parametrize(
    "script", [ending(raising(SO_THERE)), ending(raising(SystemExit(1))), asking_on], ids=["raises", "exits", "asks on"]
)
def test_a_method_that_does_not_end_when_it_is_told_to_holds_nobody_up(
    script: Script, undisturbed: list[FinishedCloak], caplog: pytest.LogCaptureFixture
) -> None:
    model = model_of()
    leaving = RecordingSink(wanted=lambda: model.gradients < 3)
    staying = RecordingSink()
    with engine_of(model) as engine:
        engine.submit(scripted(ScriptedMethod(script, cost=lambda _: Cost(gradients=100))), leaving)
        engine.submit(job_of(PHOTO, ["bim"], BUDGETS), staying)
        assert staying.ended.wait(60)
        assert leaving.ended.wait(60)
    assert leaving.ends == [None]
    assert [record.getMessage() for record in caplog.records] == ["job did not end"]
    for ours, alone in zip(staying.cloaks, undisturbed, strict=True):
        assert np.array_equal(ours.pixels, alone.pixels)


@pytest.mark.parametrize(
    "mode",
    [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)],
    ids=["no_grad", "inference_mode", "autocast"],
)
def test_a_mode_of_torch_in_which_a_method_asks_is_its_own(
    mode: Callable[[], Any], undisturbed: list[FinishedCloak]
) -> None:
    def script(job: MethodJob) -> Crafting:
        with mode():
            yield gradient(job)
            yield Ask(job.probe, gradient=False)
        yield from cloaks(*job.epsilons)(job)

    bad = crafted_beside(after_a_gradient(script), undisturbed)
    assert bad.ends == [None]
    assert len(bad.cloaks) == 2


def test_a_method_that_changes_the_probe_in_place_gets_no_cloak_out_and_spoils_no_other_s() -> None:
    """It moves its own copy of the probe; the cloak is held against the probe of the job."""

    def craft(job: MethodJob) -> Crafting:
        job.probe.add_(40).clamp_(0, 255)
        yield gradient(job)
        for epsilon in job.epsilons:
            yield Cloak(epsilon, job.probe)

    sink = RecordingSink()
    with engine_of(model_of()) as engine:
        engine.submit(replace(job_of(PHOTO, ["bim"], (8,)), methods=(ScriptedMethod(craft), METHODS["bim"])), sink)
        assert sink.ended.wait(60)
        (undisturbed,) = engine.craft(job_of(PHOTO, ["bim"], (8,)))
    (failure,) = sink.ends
    assert isinstance(failure, BrokenMethodError)
    assert "expected changes of at most 8 levels, got " in str(failure)
    assert {cloak.method for cloak in sink.cloaks} <= {"bim"}
    assert all(np.array_equal(cloak.pixels, undisturbed.pixels) for cloak in sink.cloaks)


def test_answers_that_a_method_changes_in_place_are_its_own(undisturbed: list[FinishedCloak]) -> None:
    def script(job: MethodJob) -> Crafting:
        for _ in range(5):
            answer: Answer = yield gradient(job)
            for tensor in (answer.gradient, answer.logits, answer.features, answer.loss):
                tensor.fill_(torch.nan)
        yield from cloaks(*job.epsilons)(job)

    assert crafted_beside(after_a_gradient(script), undisturbed).ends == [None]


def test_a_control_is_held_to_its_budget_too() -> None:
    class LoudNoise(ScriptedMethod):
        control = True

    def craft(job: MethodJob) -> Crafting:
        for epsilon in job.epsilons:
            yield Cloak(epsilon, (job.probe + epsilon + 1).clamp(0, 255))

    photo = np.full((8, 8, 3), 100, dtype=np.uint8)
    with (
        engine_of(model_of()) as engine,
        pytest.raises(BrokenMethodError, match="expected changes of at most 4 levels, got 5"),
    ):
        list(engine.craft(replace(job_of(photo, [], (4,)), methods=(LoudNoise(craft),))))


def test_cloaks_are_rounded_to_whole_levels_and_their_budgets_are_python_s_numbers() -> None:
    def craft(job: MethodJob) -> Crafting:
        for epsilon in job.epsilons:
            yield Cloak(cast("int", np.int64(epsilon)), job.probe + epsilon - 0.4, Effort(n_iter=7))

    photo = np.full((8, 8, 3), 100, dtype=np.uint8)
    with engine_of(model_of()) as engine:
        (cloak,) = engine.craft(replace(job_of(photo, [], (4,)), methods=(ScriptedMethod(craft),)))
    assert (cloak.pixels == 104).all()
    assert type(cloak.epsilon) is int
    assert cloak.effort.n_iter == 7
