"""Noise that is made beside a protector's cloaks, for methods with budgets of their own."""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from orchestrator.cloaks.made import decoded_picture
from orchestrator.cloaks.with_noise import WithMatchedNoise
from orchestrator.errors import UnusableServiceError
from orchestrator.experiment.cloak import Cloak, CloakRecord
from orchestrator.experiment.grid import CloakKey, noise_of
from orchestrator.experiment.method import Method, OwnBudget
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement
from rpc.images.decoding import encode_png
from tests.support.drawn_faces import draw_face

CLEAN = draw_face(1, side=48)
OWN = Method(own_budget=OwnBudget("DSSIM 0.01", 15))
PICTURES = {
    "none": encode_png(CLEAN),
    "bim": encode_png(np.bitwise_xor(CLEAN, np.uint8(8))),
    "fawkes": encode_png(np.bitwise_xor(CLEAN, np.uint8(4))),
    "lowkey": encode_png(np.bitwise_xor(CLEAN, np.uint8(16))),
}


class Source:
    """Two methods with budgets of their own, and one without."""

    name = "protector"
    placements = frozenset(Placement)
    enrols = False

    def __init__(self, pictures: Mapping[str, bytes] = PICTURES) -> None:
        self.pictures = pictures
        self.asked: list[tuple[tuple[str, ...], tuple[int, ...]]] = []
        self.closed = False

    async def models(self) -> dict[str, Model]:
        return {}

    async def methods(self, epsilons: Sequence[int]) -> dict[str, Method]:
        return {"bim": Method(), "fawkes": OWN, "lowkey": OWN, "none": Method()}

    async def identities(self, model: Model) -> None:
        return None

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """It never changes."""

    async def close(self) -> None:
        self.closed = True

    async def craft(
        self,
        photo: bytes,
        *,
        probe: str,
        identity: str,
        source_model: str,
        methods: Sequence[str],
        epsilons: Sequence[int],
        seed: int,
        placement: Placement = Placement.CROP,
        gallery: Mapping[str, Sequence[bytes]] | None = None,
    ) -> AsyncGenerator[Cloak, None]:
        self.asked.append((tuple(methods), tuple(epsilons)))
        for method in sorted(methods, reverse=True):  # the control comes before some and after others
            for epsilon in epsilons if method == "bim" else (0,):
                encoded = self.pictures[method]
                digest = hashlib.sha256(encoded).hexdigest()
                key = CloakKey(source_model, method, epsilon)
                record = CloakRecord(probe, key, 1, 1, 1, epsilon, 0.0, hashlib.sha256(CLEAN.tobytes()).hexdigest(), digest)
                yield Cloak(record, encoded)


async def row(source: WithMatchedNoise, methods: Sequence[str], *, probe: str = "a/1.jpg", seed: int = 3) -> list[Cloak]:
    await source.methods((4, 8))
    came = source.craft(
        b"photo",
        probe=probe,
        identity="a",
        source_model="facenet",
        methods=methods,
        epsilons=(4, 8),
        seed=seed,
    )
    return [cloak async for cloak in came]


def ssim(picture: NDArray[np.uint8]) -> float:
    return float(structural_similarity(CLEAN, picture, data_range=255, channel_axis=2))  # type: ignore[no-untyped-call]


async def test_noise_of_each_method_with_its_own_budget_has_the_similarity_of_its_cloak_within_5_thousandths() -> None:
    source = Source()
    cloaks = await row(WithMatchedNoise(source), ["none", "noise:fawkes", "noise:lowkey", "bim", "fawkes", "lowkey"])
    assert source.asked == [(("none", "fawkes", "lowkey", "bim"), (4, 8))]
    by_method = {cloak.record.key.method: cloak for cloak in cloaks}
    assert len(cloaks) == 7, "bim twice"
    for method in ("fawkes", "lowkey"):
        noise = by_method[noise_of(method)]
        picture = decoded_picture(noise.encoded)
        assert ssim(picture) == pytest.approx(ssim(decoded_picture(PICTURES[method])), abs=0.005)
        record = noise.record
        assert record.key == CloakKey("facenet", f"noise:{method}", 0)
        assert (record.probe, record.n_iter, record.gradients) == ("a/1.jpg", 0, 0)
        assert record.largest_change == np.abs(picture.astype(int) - CLEAN).max() > 0
        assert record.sha256 == hashlib.sha256(noise.encoded).hexdigest()
        assert record.probe_sha256 == by_method["none"].record.probe_sha256


async def test_for_noise_alone_its_cloak_and_the_control_are_asked_for_and_not_passed_on() -> None:
    source = Source()
    cloaks = await row(WithMatchedNoise(source), ["noise:fawkes"])
    assert source.asked == [(("none", "fawkes"), (4, 8))]
    assert [cloak.record.key.method for cloak in cloaks] == ["noise:fawkes"]


async def test_without_noise_to_make_the_source_is_asked_as_ever() -> None:
    source = Source()
    cloaks = await row(WithMatchedNoise(source), ["bim"])
    assert source.asked == [(("bim",), (4, 8))]
    assert [cloak.record.key.epsilon for cloak in cloaks] == [4, 8]


async def test_the_noise_is_the_same_again_and_another_for_another_seed_or_photo() -> None:
    source = WithMatchedNoise(Source())
    rows = [
        await row(source, ["noise:fawkes"], seed=seed, probe=name) for seed, name in ((3, "a"), (3, "a"), (4, "a"), (3, "b"))
    ]
    first, again, seeded, other = (cloak.encoded for (cloak,) in rows)
    assert first == again
    assert len({first, seeded, other}) == 3


@pytest.mark.parametrize(
    ("cloak", "reason"),
    [
        (b"no picture", "the cloak .*fawkes.*expected"),
        (encode_png(CLEAN[:40]), "expected the control's size, 48 x 48, got 48 x 40"),
    ],
)
async def test_a_cloak_that_cannot_be_compared_is_the_service_s_fault(cloak: bytes, reason: str) -> None:
    with pytest.raises(UnusableServiceError, match=reason):
        await row(WithMatchedNoise(Source({**PICTURES, "fawkes": cloak})), ["noise:fawkes"])


async def test_it_closes_what_it_stands_around() -> None:
    source = Source()
    await WithMatchedNoise(source).close()
    assert source.closed
