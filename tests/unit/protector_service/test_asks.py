"""Generators that ask side by side, and what is counted of them."""

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import torch

from protector_service.batched_model import BatchedModel
from protector_service.engine import Engine
from protector_service.job import CraftJob
from protector_service.methods.asks import (
    NOTHING,
    Answer,
    Ask,
    Asking,
    Cloak,
    Cost,
    Crafting,
    CrossEntropy,
    Effort,
    as_list,
    counted,
    together,
)
from protector_service.methods.method import MethodJob
from tests.support.engines import METHODS, RecordingSink, ScriptedMethod
from tests.support.networks import SmallRecognizer, probe

IMAGE = torch.zeros(3, 2, 2)


def numbered(number: float) -> Ask:
    return Ask(IMAGE + number)


def answer_to(ask: Ask) -> Answer:
    """The number of an ask, as its loss; a gradient of which as many elements are not 0."""
    number = float(ask.image[0, 0, 0])
    gradient = (torch.arange(12).reshape(3, 2, 2) < number).float() if ask.gradient else NOTHING
    return Answer(loss=torch.tensor(number), gradient=gradient)


def run(asking: Asking[Any], batches: list[int]) -> Any:
    """What a generator returns; `batches` is how many asks came at a time."""
    sending: Any = None
    while True:
        try:
            asks = asking.send(sending)
        except StopIteration as end:
            return end.value
        batches.append(len(as_list(asks)))
        answers = [answer_to(ask) for ask in as_list(asks)]
        sending = answers[0] if isinstance(asks, Ask) else answers


def chain(*numbers: float) -> Asking[list[float]]:
    """Asks one after the other."""
    answers: list[float] = []
    for number in numbers:
        answer: Answer = yield numbered(number)
        answers.append(float(answer.loss))
    return answers


def at_once(*numbers: float) -> Asking[list[float]]:
    answers: list[Answer] = yield [numbered(number) for number in numbers]
    return [float(answer.loss) for answer in answers]


def test_generators_side_by_side_are_answered_each_its_own_in_whichever_form_it_asks() -> None:
    batches: list[int] = []
    parts = [chain(1, 2, 3), at_once(4, 5), chain(), chain(6), at_once(7)]
    assert run(together(parts), batches) == [[1, 2, 3], [4, 5], [], [6], [7]]
    assert batches == [5, 1, 1], "what is asked at a time is asked together"


def test_side_by_side_may_be_nested() -> None:
    batches: list[int] = []
    assert run(together([together([chain(1, 2), at_once(3, 4)]), chain(5)]), batches) == [[[1, 2], [3, 4]], [5]]
    assert batches == [4, 1]


@pytest.mark.parametrize("parts", [[], [chain(), chain()]])
def test_what_asks_nothing_needs_no_answer(parts: list[Asking[list[float]]]) -> None:
    batches: list[int] = []
    assert run(together(parts), batches) == [[] for _ in parts]
    assert not batches


def test_what_one_raises_all_do() -> None:
    def failing() -> Generator[Ask, Any, list[float]]:
        yield numbered(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(together([chain(1, 2, 3), failing()]), [])


def test_gradients_and_forward_passes_are_counted_for_each_model_that_is_asked() -> None:
    def asking() -> Generator[Ask | list[Ask], Any, str]:
        yield numbered(3)
        yield [numbered(6), Ask(IMAGE, gradient=False), Ask(IMAGE + 9, model="one")]
        yield Ask(IMAGE, gradient=False, model="one")
        return "result"

    effort = Effort()
    assert run(counted(asking(), effort, models=3), []) == "result"
    assert effort.gradients == 3 + 3 + 1
    assert effort.forward_passes == 3 + 1
    assert effort.n_iter == 0, "steps are a method's to count"
    assert effort.zero_gradient_share == pytest.approx(1 - (3 + 6 + 9) / 36)


def test_without_a_gradient_no_share_of_them_is_zero() -> None:
    effort = Effort()
    run(counted(at_once(), effort, models=1), [])
    assert effort.zero_gradient_share == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_several_asks_at_once_are_answered_in_order_whichever_batches_they_land_in(workers: int) -> None:
    """Of two models and with and without gradients, so that they are of four kinds, beside other jobs' asks."""
    recognizers = {"a": SmallRecognizer(seed=1), "b": SmallRecognizer(seed=2)}
    models = {name: BatchedModel(each, batch_rows=3, dtype=torch.float64) for name, each in recognizers.items()}
    came: list[tuple[Ask, Answer]] = []

    def craft(job: MethodJob) -> Crafting:
        for step in range(4):
            asks = [
                Ask(job.probe + step + place / 16, CrossEntropy(place % 7), gradient=place % 3 > 0, model="ab"[place % 2])
                for place in range(11)
            ]
            answers: list[Answer] = yield asks
            came.extend(zip(asks, answers, strict=True))
        for epsilon in job.epsilons:
            yield Cloak(epsilon, job.probe)

    engine = Engine(models, workers=workers)
    asking, others = RecordingSink(), [RecordingSink() for _ in range(4)]
    for seed, other in enumerate(others):
        engine.submit(CraftJob((("a", "b")[seed % 2],), probe(side=8, seed=seed), 1, (METHODS["si"],), (4,)), other)
    method = ScriptedMethod(craft, cost=lambda _: Cost(gradients=50, forward_passes=50))
    engine.submit(CraftJob(("a", "b"), probe(side=8), 1, (method,), (4,)), asking)
    for sink in (asking, *others):
        assert sink.ended.wait(60)
    engine.close()
    assert [sink.ends for sink in (asking, *others)] == [[None]] * 5
    assert len(came) == 44
    for ask, answer in came:
        (alone,) = models[ask.model].answers([ask])
        assert isinstance(alone, Answer)
        assert torch.equal(answer.features, alone.features)
        assert torch.equal(answer.loss, alone.loss)
        assert np.array_equal(answer.gradient, alone.gradient)
