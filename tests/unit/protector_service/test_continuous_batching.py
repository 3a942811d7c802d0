"""What sharing batches with others may not change, and whom it may not hold up. No sleeps: sinks act when called."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from protector_service.batched_model import BatchedModel, NonFiniteAnswerError
from protector_service.engine import Engine, EngineClosedError
from protector_service.job import FinishedCloak
from protector_service.methods.illc import least_likely
from protector_service.methods.trajectory import clip, iterations
from tests.support.engines import RecordingSink, engine_of, job_of
from tests.support.networks import SmallRecognizer, probe

PAPER = (4, 8, 16, 32, 64, 128)
PLACES = 4


def model_of(recognizer: SmallRecognizer | None = None, *, fixed: bool = True) -> BatchedModel:
    return BatchedModel(recognizer or SmallRecognizer(dtype=torch.float32), batch_rows=PLACES, fixed=fixed)


def plain_loop(recognizer: SmallRecognizer, pixels: NDArray[np.uint8], method: str, epsilon: int) -> NDArray[np.uint8]:
    """Eqs. 4 and 5 for one budget, on a batch of the engine's shape that holds the image in every place."""
    x_0 = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().expand(PLACES, -1, -1, -1)
    label = 1 if method == "bim" else least_likely(recognizer.logits(x_0)[0])
    x = x_0.clone()
    for _ in range(iterations(epsilon)):
        x.requires_grad_(True)
        loss = cross_entropy(recognizer.logits(x), torch.full((PLACES,), label), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        sign = gradient.sign() if method == "bim" else -gradient.sign()
        x = clip(x.detach() + sign, x_0, epsilon)
    return np.asarray(x[0].permute(1, 2, 0).to(torch.uint8).numpy())


@pytest.mark.parametrize("workers", [1, 3])
def test_in_float32_every_cloak_equals_the_plain_loop_s_bit_for_bit_while_others_join_and_leave(workers: int) -> None:
    recognizer = SmallRecognizer(dtype=torch.float32)
    with engine_of(model_of(recognizer), workers=workers) as engine:
        joining = [RecordingSink() for _ in range(3)]
        leaving = RecordingSink(wanted=lambda: not leaving.cloaks)

        def others_come(cloak: FinishedCloak) -> None:
            if (cloak.method, cloak.epsilon) == ("bim", 8):
                engine.submit(job_of(probe(side=8, seed=9), ["illc", "bim"], (16, 64)), leaving)
                for place, sink in enumerate(joining):
                    engine.submit(job_of(probe(side=8, seed=place), ["bim", "illc"], PAPER), sink)

        watched = RecordingSink(on_delivery=others_come)
        engine.submit(job_of(probe(side=8), ["bim", "illc"], PAPER), watched)
        finish(engine)
    assert len(leaving.cloaks) < 4, "it left midway"
    for seed, sink in enumerate([watched, *joining]):
        pixels = probe(side=8, seed=max(0, seed - 1))
        assert len(sink.pixels) == 12
        for (method, epsilon), ours in sink.pixels.items():
            assert np.array_equal(ours, plain_loop(recognizer, pixels, method, epsilon))


def finish(engine: Engine) -> None:
    """Waits until everything asked for so far is done: a job of a client that comes last, among equals."""
    while engine.jobs:
        list(engine.craft(job_of(probe(side=8, seed=77), ["bim"], (4,), client="last")))


def test_unpadded_batches_are_as_large_as_the_rows_in_them() -> None:
    shapes: list[int] = []

    class Watched(SmallRecognizer):
        def features(self, images: Tensor) -> Tensor:
            shapes.append(len(images))
            return super().features(images)

    with engine_of(model_of(Watched(dtype=torch.float32), fixed=False)) as engine:
        list(engine.craft(job_of(probe(side=8), ["bim"], (8,))))
    assert set(shapes) == {1}


def test_a_sink_who_leaves_costs_no_further_step() -> None:
    model = model_of()
    with engine_of(model) as engine:
        leaver = RecordingSink(wanted=lambda: model.gradients < 7)
        engine.submit(job_of(probe(side=8), ["bim"], PAPER), leaver)
        assert leaver.ended.wait(30)
    assert [cloak.epsilon for cloak in leaver.cloaks] == [4]
    assert leaver.ends == [None]
    assert model.gradients == 7


def test_a_bad_row_fails_its_own_job_and_no_other() -> None:
    class Poisoned(SmallRecognizer):
        """Gives no finite gradient for an image whose first pixel is black."""

        def features(self, images: Tensor) -> Tensor:
            poison = torch.where(images[:, 0, 0, 0] < 1, torch.nan, 1.0)
            return super().features(images) * poison[:, None]

    black = probe(side=8, seed=3)
    black[0, 0] = 0
    recognizer = Poisoned(dtype=torch.float32)
    with engine_of(model_of(recognizer)) as engine:
        good, bad = RecordingSink(), RecordingSink()
        engine.submit(job_of(black, ["bim"], PAPER), bad)
        engine.submit(job_of(probe(side=8), ["bim"], PAPER), good)
        finish(engine)
    assert [type(error) for error in bad.ends] == [NonFiniteAnswerError]
    assert not bad.cloaks
    assert good.ends == [None]
    for (method, epsilon), pixels in good.pixels.items():
        assert np.array_equal(pixels, plain_loop(recognizer, probe(side=8), method, epsilon))


def test_an_image_that_makes_a_network_raise_fails_alone() -> None:
    class Raising(SmallRecognizer):
        def features(self, images: Tensor) -> Tensor:
            if bool((images[:, 0, 0, 0] < 1).any()):
                raise ZeroDivisionError("an image that the network cannot bear")
            return super().features(images)

    black = probe(side=8, seed=3)
    black[0, 0] = 0
    with engine_of(model_of(Raising(dtype=torch.float32))) as engine:
        good, bad = RecordingSink(), RecordingSink()
        for sink, pixels in ((good, probe(side=8)), (bad, black), (good, probe(side=8, seed=4))):
            engine.submit(job_of(pixels, ["illc"], (4, 8)), sink)
        finish(engine)
    assert [type(error) for error in bad.ends] == [ZeroDivisionError]
    assert good.ends == [None, None]
    assert len(good.cloaks) == 4


def test_a_sink_whose_delivery_fails_ends_and_others_go_on() -> None:
    def fail(cloak: FinishedCloak) -> None:
        raise OSError("nobody takes it")

    with engine_of(model_of()) as engine:
        failing, good = RecordingSink(on_delivery=fail), RecordingSink()
        engine.submit(job_of(probe(side=8), ["bim"], PAPER), failing)
        engine.submit(job_of(probe(side=8), ["bim"], PAPER), good)
        finish(engine)
    assert [type(error) for error in failing.ends] == [OSError]
    assert len(good.cloaks) == 6


def test_a_closed_engine_ends_what_is_unfinished_and_takes_nothing_more() -> None:
    with engine_of(model_of()) as engine:
        waiting = [RecordingSink() for _ in range(40)]
        for sink in waiting:
            engine.submit(job_of(probe(side=8), ["bim"], (255,)), sink)
    assert all(len(sink.ends) == 1 for sink in waiting)
    assert isinstance(waiting[-1].ends[0], EngineClosedError)
    with pytest.raises(EngineClosedError):
        engine.submit(job_of(probe(side=8), ["bim"], (255,)), RecordingSink())


def test_clients_take_turns_however_much_one_asks_for() -> None:
    """A client with one job among another's twenty waits for its share of the steps, not for the others' end."""
    finished: list[str] = []

    def noting(name: str) -> Callable[[FinishedCloak], None]:
        return lambda cloak: finished.append(name)

    model = model_of()
    steps: list[int] = []
    with engine_of(model) as engine:

        def the_small_one_comes(cloak: FinishedCloak) -> None:
            finished.append("many")
            if len(finished) == 1:
                steps.append(model.gradients)
                small = RecordingSink(on_delivery=lambda cloak: steps.append(model.gradients))
                engine.submit(job_of(probe(side=8, seed=50), ["bim"], (32,), client="one"), small)

        for seed in range(20):
            job = job_of(probe(side=8, seed=seed), ["bim"], (32,), client="many")
            engine.submit(job, RecordingSink(on_delivery=the_small_one_comes if seed == 0 else noting("many")))
        finish(engine)
    came, done = steps
    assert done - came <= (36 + 2) * PLACES, "each of its 36 steps was in the next batch, beside rows of the other's"


@pytest.mark.parametrize("places", [1, 2, 8])
def test_the_gradients_counted_are_the_rows_stepped_whatever_the_batch(places: int) -> None:
    model = BatchedModel(SmallRecognizer(), batch_rows=places, dtype=torch.float64)
    with engine_of(model) as engine:
        list(engine.craft(job_of(probe(side=8), ["bim", "illc"], PAPER)))
    assert model.gradients == 2 * 142


def test_memory_of_a_place_is_measured() -> None:
    small = BatchedModel(SmallRecognizer(dtype=torch.float32), batch_rows=2)
    large = BatchedModel(SmallRecognizer(dtype=torch.float32, input_size=16), batch_rows=2)
    image = 3 * 8 * 8 * 4
    assert image <= small.bytes_per_place() < large.bytes_per_place()
