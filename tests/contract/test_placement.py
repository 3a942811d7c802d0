"""Cloaks in the whole photo, over a real channel: the response holds the box alone, and says where it lies."""

import asyncio
import io
import weakref
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import grpc
import hypothesis.strategies as st
import numpy as np
import pytest
from deid.protector.v1 import protector_pb2, protector_pb2_grpc
from hypothesis import given, settings
from numpy.typing import NDArray
from PIL import Image

from protector_service.capacity import CapacityLimiter, Charge, decoding_charge
from recognizers.extraction import Face, choose_face, crop, crop_box
from rpc.images.decoding import encode_png
from rpc.status import received
from tests.support.networks import decoded, probe
from tests.support.services import Serving, serving_protector, small_recognizer

PIXELS = probe(side=120)[:90]
PHOTO = encode_png(PIXELS)
PNG = protector_pb2.Storage(png=protector_pb2.PngStorage())
JPEG = protector_pb2.Storage(jpeg=protector_pb2.JpegStorage(quality=95))
IN_PHOTO = protector_pb2.PLACEMENT_PHOTO


class Detector:
    """Finds the faces that it is given, each as left, top, right and bottom."""

    def __init__(self, *faces: tuple[float, float, float, float]) -> None:
        self.faces = [Face(*each, 0.99) for each in faces]

    def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
        return self.faces


FACE = (40.2, 21.7, 77.9, 60.4)


async def craft(service: Serving, photo: bytes = PHOTO, **changes: Any) -> list[protector_pb2.CraftResponse]:
    fields: dict[str, Any] = {
        "photo": photo,
        "identity": "identity_2",
        "source_model": "small",
        "methods": ["none", "noise", "bim"],
        "epsilons": [3, 8],
        "storage": PNG,
        "placement": IN_PHOTO,
    }
    stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
    return [each async for each in stub.Craft(protector_pb2.CraftRequest(**(fields | changes)), timeout=60)]


def box_of(response: protector_pb2.CraftResponse, photo: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The clean photo's pixels where a cloak goes."""
    height, width, _ = decoded(response.cloak).shape
    return photo[response.top : response.top + height, response.left : response.left + width].astype(np.int64)


async def test_the_control_is_the_box_of_the_photo_itself_and_cloaks_keep_their_budget_in_it() -> None:
    async with serving_protector(detector=Detector(FACE)) as service:
        row = await craft(service)
    expected = crop_box(Face(*FACE, 0.99), width=120, height=90)
    clean = PIXELS[expected.top : expected.bottom, expected.left : expected.right]
    assert [(each.left, each.top, each.photo_width, each.photo_height) for each in row] == [
        (expected.left, expected.top, 120, 90)
    ] * len(row)
    assert {each.probe_sha256 for each in row} == {sha256(clean.tobytes()).hexdigest()}
    assert {each.side for each in row} == {8}, "what the source model sees"
    for each in row:
        change = np.abs(decoded(each.cloak) - box_of(each, PIXELS))
        assert change.max() == each.largest_change <= each.epsilon
        assert (change.max() > 0) == (each.method != "none")


@given(
    shape=st.tuples(st.integers(24, 90), st.integers(24, 120)),
    face=st.tuples(st.floats(-10, 80), st.floats(-10, 60), st.floats(2, 60)),
)
@settings(max_examples=15, deadline=None)
def test_a_box_lies_within_the_photo_wherever_the_face_is_and_however_small(
    shape: tuple[int, int], face: tuple[float, float, float]
) -> None:
    """At its border, partly beyond it, and smaller than the network's input too."""
    pixels = PIXELS[: shape[0], : shape[1]]
    left, top, side = face
    detector = Detector((left, top, left + side, top + side * 1.2))

    async def crafted() -> list[protector_pb2.CraftResponse]:
        async with serving_protector(small_recognizer(input_size=16), detector=detector) as service:
            return await craft(service, encode_png(pixels), methods=["none", "bim"], epsilons=[4])

    for each in asyncio.run(crafted()):
        height, width, _ = decoded(each.cloak).shape
        assert 0 <= each.left < each.left + width <= each.photo_width == shape[1]
        assert 0 <= each.top < each.top + height <= each.photo_height == shape[0]
        assert np.abs(decoded(each.cloak) - box_of(each, pixels)).max() <= each.epsilon


async def test_what_the_source_model_sees_of_the_box_is_the_crop_but_for_rounding() -> None:
    async with serving_protector(detector=Detector(FACE)) as service:
        (in_photo,), (as_crop,) = [
            await craft(service, methods=["none"], placement=placement)
            for placement in (IN_PHOTO, protector_pb2.PLACEMENT_UNSPECIFIED)
        ]
    box = crop_box(Face(*FACE, 0.99), width=120, height=90)
    np.testing.assert_array_equal(decoded(as_crop.cloak), crop(PIXELS, box, side=8))
    resized = Image.fromarray(decoded(in_photo.cloak).astype(np.uint8)).resize((8, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(resized), decoded(as_crop.cloak))
    assert (as_crop.left, as_crop.top, as_crop.photo_width, as_crop.photo_height) == (0, 0, 0, 0)


async def test_places_are_those_of_the_upright_photo() -> None:
    turned, exif, file = Image.fromarray(PIXELS).transpose(Image.Transpose.ROTATE_90), Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(file, "PNG", exif=exif)
    async with serving_protector(detector=Detector(FACE)) as service:
        lying, upright = [await craft(service, photo) for photo in (file.getvalue(), PHOTO)]
    assert sorted(each.SerializeToString() for each in lying) == sorted(each.SerializeToString() for each in upright)


async def test_of_several_faces_the_largest_is_cloaked() -> None:
    small, large = (5.0, 5.0, 30.0, 30.0), (60.0, 30.0, 100.0, 75.0)
    async with serving_protector(detector=Detector(small, large)) as service:
        (control,) = await craft(service, methods=["none"])
    chosen = choose_face(Detector(small, large).faces)
    assert chosen is not None
    assert (control.left, control.top) == (
        (box := crop_box(chosen, width=120, height=90)).left,
        box.top,
    )


async def test_an_ensemble_sees_one_box_at_the_input_size_of_each_member() -> None:
    others = {"tiny": small_recognizer(seed=4, input_size=6)}
    async with serving_protector(others=others, detector=Detector(FACE)) as service:
        row = await craft(service, source_model="small+tiny", methods=["bim"], epsilons=[4])
        alone = await craft(service, methods=["bim"], epsilons=[4])
    assert (row[0].left, row[0].top, row[0].probe_sha256) == (alone[0].left, alone[0].top, alone[0].probe_sha256)
    assert row[0].cloak != alone[0].cloak
    assert row[0].gradients == 2 * alone[0].gradients


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"storage": JPEG},
            "storage: expected png with PLACEMENT_PHOTO, as it is the whole photo that is stored as JPEG, got jpeg",
        ),
        ({"placement": 3}, "placement: expected PLACEMENT_CROP, PLACEMENT_PHOTO, got 3"),
        ({"placement": -1}, "placement: expected PLACEMENT_CROP, PLACEMENT_PHOTO, got -1"),
        ({"photo": b"GIF89a"}, "photo: expected a JPEG or PNG image, got a GIF; convert it to JPEG or PNG"),
        ({"photo": PHOTO[:-30]}, "photo: expected a whole image, got a truncated PNG: it ends within a chunk"),
        (
            {"photo": encode_png(np.zeros((1001, 1000, 3), np.uint8))},
            "photo: expected at most 1000000 pixels, got 1000 x 1001",
        ),
    ],
)
async def test_bad_input_is_told_what_was_expected_and_what_came(changes: dict[str, Any], message: str) -> None:
    async with serving_protector(detector=Detector(FACE)) as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await craft(service, **changes)
    assert received(failure.value).message == message


async def test_a_box_whose_cloaks_would_not_fit_into_a_message_is_refused_by_what_would() -> None:
    photo = encode_png(np.arange(400 * 400 * 3, dtype=np.uint32).reshape(400, 400, 3).astype(np.uint8))
    async with serving_protector(detector=Detector((20, 20, 380, 380))) as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await craft(service, photo)
        assert len(await craft(service, photo, placement=protector_pb2.PLACEMENT_CROP)) == 5
    assert received(failure.value).message == (
        "photo: expected a face in a box of at most 64516 pixels, so that its cloaks are no larger than a message, got one "
        "of 400 x 400: make the photo smaller"
    )


async def test_a_photo_without_a_face_is_refused_as_for_crops() -> None:
    async with serving_protector(detector=Detector()) as service:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await craft(service)
    assert received(failure.value).reason == "NO_FACE"


async def test_it_lists_both_placements() -> None:
    async with serving_protector() as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        listed = await stub.ListSourceModels(protector_pb2.ListSourceModelsRequest(), timeout=60)
    assert list(listed.placements) == [protector_pb2.PLACEMENT_CROP, IN_PHOTO]


class Recording(CapacityLimiter):
    """Notes what is held after every change."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.steps: list[int] = []

    def exchange(self, charge: Charge, *, held: int) -> int:
        taken = super().exchange(charge, held=held)
        self.steps.append(self.bytes)
        return taken


async def test_fifty_photos_at_once_stay_within_the_bound_and_all_are_crafted_in_the_end() -> None:
    bound = 3 * decoding_charge(PHOTO, width=120, height=90).bytes
    capacity = Recording(bound)
    refused: list[grpc.StatusCode] = []
    async with serving_protector(detector=Detector(FACE), capacity=capacity, max_waiting=50) as service:

        async def crafted(seed: int) -> int:
            while set(refused) <= {grpc.StatusCode.RESOURCE_EXHAUSTED}:
                try:
                    return len(await craft(service, seed=seed, methods=["none", "bim"], epsilons=[2]))
                except grpc.aio.AioRpcError as error:
                    refused.append(error.code())
            return 0

        assert await asyncio.gather(*(crafted(seed) for seed in range(50))) == [2] * 50
    assert max(capacity.steps) <= bound
    assert set(refused) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert capacity.bytes == 0


async def test_a_decoded_photo_is_let_go_once_its_box_is_cut_out() -> None:
    seen: list[weakref.ref[NDArray[np.uint8]]] = []

    class Noting(Detector):
        def detect(self, photo: NDArray[np.uint8]) -> Sequence[Face]:
            seen.append(weakref.ref(photo))
            return super().detect(photo)

    async with serving_protector(detector=Noting(FACE)) as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        call = stub.Craft(
            protector_pb2.CraftRequest(
                photo=PHOTO, source_model="small", methods=["none", "noise"], epsilons=[4], storage=PNG, placement=IN_PHOTO
            )
        )
        first = await call.read()  # the call goes on
        assert isinstance(first, protector_pb2.CraftResponse)
        assert [each() for each in seen] == [None]
        call.cancel()
