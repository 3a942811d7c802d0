"""Cloaks that the bench's own protector crafts in a gallery of the target alone: their features move to the target's."""

from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from orchestrator.errors import PhotoRefusedError
from orchestrator.services.protector import ProtectorClient
from protector_service.methods.fawkes_targeted import FawkesTargeted
from protector_service.methods.none import NoCloak
from recognizers.extraction import CropBox, extract_face
from recognizers.galleries.matchers import Matcher, make_matchers
from rpc.images.decoding import decoded_image, encode_png
from rpc.images.limits import ImageLimits
from tests.support.galleries import TinyNetwork, enroller_of, photo_of, write_people
from tests.support.services import CentreDetector, serving_protector

SIDE = 40
PROBE, TARGETS = photo_of(0, 0, side=SIDE), {"eve": photo_of(5, 0, side=SIDE), "zoe": photo_of(6, 0, side=SIDE)}
METHODS = {"fawkes-targeted": FawkesTargeted().having(n_iter=20), "none": NoCloak()}


@pytest.fixture
def matcher(tmp_path: Path) -> Matcher:
    """One that has neither the probe's person nor a target enrolled itself."""
    folder = write_people(tmp_path / "own", {"ann": [photo_of(9, 0, side=SIDE)], "bob": [photo_of(8, 0, side=SIDE)]})
    enroller = replace(enroller_of(), find_face=partial(extract_face, detector=CentreDetector()))
    return make_matchers(folder, enroller)["tiny"]


def features(face: NDArray[np.uint8]) -> torch.Tensor:
    network = TinyNetwork()
    with torch.inference_mode():
        found: torch.Tensor = network.backbone(network.normalise(torch.tensor(face).permute(2, 0, 1)[None].float()))[0]
    unit: torch.Tensor = found / found.norm()
    return unit


async def crafted(client: ProtectorClient, gallery: dict[str, list[bytes]]) -> dict[str, torch.Tensor]:
    """The features of the control and the cloak, by method."""
    await client.models()
    await client.methods(())
    row = client.craft(
        encode_png(PROBE),
        probe="p",
        identity="",
        source_model="tiny",
        methods=["none", "fawkes-targeted"],
        epsilons=[],
        seed=0,
        gallery=gallery,
    )
    async with aclosing(row):
        found = {cloak.record.key.method: cloak.encoded async for cloak in row}
    return {method: features(decoded_image(cloak, limits=ImageLimits())) for method, cloak in found.items()}


async def test_the_cloak_comes_nearer_to_whoever_is_in_the_gallery(matcher: Matcher) -> None:
    faces = {name: matcher.extraction.cut_out(each, _box(each), side=8) for name, each in TARGETS.items()}
    async with serving_protector(matchers={"tiny": matcher}, methods=METHODS) as protector:
        client = ProtectorClient(protector.address)
        moved = {}
        for name, photo in TARGETS.items():
            found = await crafted(client, {name: [encode_png(photo)]})
            assert client.enrols
            moved[name] = {
                each: float((found["fawkes-targeted"] - found["none"]) @ (features(face) - found["none"]))
                for each, face in faces.items()
            }
        await client.close()
    assert all(moved[name][name] > 0 for name in TARGETS)
    assert all(moved[name][name] > moved[name][other] for name in TARGETS for other in TARGETS if other != name)


async def test_a_target_without_a_face_is_said(matcher: Matcher) -> None:
    blank = encode_png(np.full((SIDE, SIDE, 3), 90, dtype=np.uint8))
    async with serving_protector(matchers={"tiny": matcher}, methods=METHODS) as protector:
        client = ProtectorClient(protector.address)
        with pytest.raises(PhotoRefusedError, match="finds no face of eve, towards whom cloaks are crafted"):
            await crafted(client, {"eve": [blank]})
        await client.close()


def _box(photo: NDArray[np.uint8]) -> CropBox:
    box = extract_face(photo, detector=CentreDetector())
    assert box is not None
    return box
