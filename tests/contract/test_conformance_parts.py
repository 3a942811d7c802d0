"""What checks are made of: error texts, unknown fields, choosing, and a check that breaks."""

import io
import warnings
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from deid.invader.v1 import invader_pb2
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from PIL import Image

from conformance.catalogue import ALL_CHECKS, CHECKS
from conformance.check import Check, Failed, Problems, Verdict, check, none_wrong
from conformance.image_metadata import beside_pixels
from conformance.images import bombs, decoded, upright
from conformance.protector.service import Protector
from conformance.refusals import Refusal, refusal_of
from conformance.show import as_junit
from conformance.suite import Choice, run_checks
from conformance.text_leaks import leaks
from conformance.unknown_fields import unknown_fields
from orchestrator.errors import InputError
from orchestrator.faces.folder import FaceFolder
from rpc.errors import ServiceError, busy, invalid_argument, not_found, too_slow
from rpc.images.decoding import (
    decode_image,
    encode_jpeg,
    encode_png,
)
from rpc.images.limits import ImageLimits
from rpc.status import trailers_of
from tests.support.drawn_faces import draw_face


def refusal(text: str) -> Refusal:
    return refusal_of("Classify", grpc.StatusCode.INVALID_ARGUMENT, text, ())


@pytest.mark.parametrize(
    "text",
    [
        "cannot open /srv/weights/senet50.pkl",
        "see C:\\models\\face.onnx",
        "open ../secrets/key: denied",
        "Traceback (most recent call last)",
        'File "classifier.py", line 42',
        "main.rs panicked at 'index out of bounds'",
        "java.lang.NullPointerException",
        "ValueError: bad",
        "expected a tensor of rank 4",
        "std::bad_alloc",
        "no answer of db.internal:5432",
        "failed at server.js:12",
        "arcface-r50.onnx is missing",
        "conv1.weight has 3 channels",
        "no route to 10.0.3.17:50052",
        "object at 0x7f3a9c21",
        "got [0.125, -1.75, 0.5, 2.25]",
        "x" * 501,
    ],
)
def test_texts_that_tell_of_the_inside_are_found(text: str) -> None:
    assert list(leaks([refusal(text)]))


def refused_images() -> Iterator[ServiceError]:
    """What is said of files that are no image, or no whole one."""
    png = encode_png(draw_face(0, side=16))
    at = png.index(b"IDAT")
    others = (b"", b"GIF89a", b"II*\0", b"\0\5\x16\7", b"<html>", b"version https://git-lfs", bytes(9), b"no image")
    for encoded in (
        *others,
        png[:-9],
        png[:at] + b"x" + png[at + 1 :],
        png[:at] + b"X" + png[at + 1 :],
        png[:-20] + png[-12:],
    ):
        with pytest.raises(ServiceError) as refused:
            decode_image(encoded, field="image", limits=ImageLimits())
        yield refused.value


def test_texts_of_our_own_errors_are_clean() -> None:
    errors = [
        invalid_argument("epsilons[1]", expected="0..255 levels", actual="-1"),
        *refused_images(),
        not_found("source_model", "vgg", known=["compact-facenet", "compact-senet"]),
        busy("3 cloaks are asked for already", retry_after_ms=1000),
        too_slow(60),
    ]
    refusals = [refusal_of("Craft", error.code, error.message, trailers_of(error)) for error in errors]
    assert list(leaks([*refusals, refusal("internal error, incident 0f3a9c21b7d4e865")])) == []


@pytest.mark.parametrize(
    "text",
    [
        "photo: expected image/jpeg or image/png, got text/plain",
        "image: expected a photo of face/head/torso",
        "identity: expected a listed name, see https://example.org/help/identities",
        "methods[0]: expected one of gradient-free, got 'x'",
        "storage: expected weights of 1..100",
        "k: expected 1..50, got 51 (line 3 of the request)",
        "failed to decode Protobuf message: CraftRequest.photo: invalid wire type",
        "Error, decoded message length too large: found 20971605 bytes, the limit is: 17825792 bytes",
        "internal error, incident 7f3a/12/9c",
    ],
)
def test_harmless_words_are_no_inside(text: str) -> None:
    assert list(leaks([refusal(text)])) == []


def test_listed_names_may_be_told_however_they_look() -> None:
    listed = ["arcface", "arcface-r50.onnx"]
    assert list(leaks([refusal("source_model: expected one of arcface, arcface-r50.onnx, got 'x'")], sent=listed)) == []


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_what_our_own_library_says_is_not_held_against_a_service(code: grpc.StatusCode) -> None:
    text = "failed to connect to all addresses; last error: ipv4:127.0.0.1:50051: Connection refused"
    told = refusal_of("Craft", code, text, ())
    assert not told.from_service
    assert list(leaks([told])) == []


def test_what_was_sent_may_come_back() -> None:
    assert list(leaks([refusal("target_models[0]: got '../../etc/passwd'")], sent=["../../etc/passwd"])) == []
    assert list(leaks([refusal("target_models[0]: got '../../etc/passwd'")]))


def test_details_are_read_and_those_that_contradict_the_call_are_noticed() -> None:
    error = invalid_argument("storage.jpeg.quality", expected="1..100", actual="0")
    told = refusal_of("Craft", error.code, error.message, trailers_of(error))
    assert (told.reason, told.fields, told.unexpected) == ("INVALID_ARGUMENT", ("storage.jpeg.quality",), ())
    another = refusal_of("Craft", grpc.StatusCode.NOT_FOUND, error.message, trailers_of(error))
    assert another.unexpected
    broken = refusal_of("Craft", error.code, error.message, (("grpc-status-details-bin", b"\xff\xff"),))
    assert broken.unexpected == ("grpc-status-details-bin that is no google.rpc.Status",)


def test_texts_in_details_are_looked_at_too() -> None:
    status = Status(code=3, message="bad")
    status.details.add().Pack(ErrorInfo(reason="X", metadata={"where": "/srv/app/main.go"}))
    told = refusal_of(
        "Classify", grpc.StatusCode.INVALID_ARGUMENT, "bad", (("grpc-status-details-bin", status.SerializeToString()),)
    )
    assert any("/srv/app/main.go" in fault for fault in leaks([told]))


def test_unknown_fields_are_found_however_deep_they_lie() -> None:
    answer = invader_pb2.ClassifyResponse(face_found=True)
    candidate = answer.classifications.add().candidates.add(identity="a")
    assert list(unknown_fields(answer)) == []
    candidate.MergeFromString(b"\x7a\x04\x01\x02\x03\x04")  # field 15, four bytes
    answer.MergeFromString(b"\xa5\x06\x00\x00\x80\x3f")  # field 100, 32 bits
    assert list(unknown_fields(answer)) == [
        "ClassifyResponse holds field 100 (32 bits)",
        "Candidate holds field 15 (length-delimited of 4 bytes, 01020304…)",
    ]


def test_checks_are_chosen_by_id_service_and_pattern_and_unknown_ones_name_the_known(faces: FaceFolder) -> None:
    def ids(only: list[str], skip: list[str]) -> list[str]:
        return [each.id for each in Choice(faces, only, skip).checks(Protector)]

    assert ids(["protector.budget"], []) == ["protector.budget"], "no check whose id begins so"
    assert ids(["protector.bad-*"], ["*-image"]) == [
        "protector.bad-ensembles",
        "protector.bad-placement",
        "protector.bad-epsilons",
        "protector.bad-methods",
        "protector.bad-names",
        "protector.bad-storage",
    ]
    assert ids(["protector"], []) == ids([], ["invader"]) == [each.id for each in CHECKS[Protector]]
    with pytest.raises(InputError, match=r"^--skip: expected .+, got protector\.budgets; there are protector\.models, .+"):
        ids([], ["protector.budgets"])


async def test_a_check_that_breaks_is_no_failure_of_the_service_and_keeps_none_from_running() -> None:
    @check("it.breaks", demands="D.", why="W.")
    def breaks(service: None) -> Problems:
        raise ZeroDivisionError("a bug of ours")

    @check("it.passes", demands="D.", why="W.")
    async def passes(service: None) -> Problems:
        if service is not None:
            yield "nothing"

    checks: list[Check[None]] = [breaks, passes]
    outcomes = await run_checks(None, checks, on_done=lambda outcome: None)
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ERROR, Verdict.PASSED]
    assert outcomes[0].evidence == "the check itself broke: ZeroDivisionError: a bug of ours"
    assert not none_wrong(outcomes)
    assert none_wrong(outcomes[1:])


def test_ids_are_told_apart_and_every_head_is_whole() -> None:
    assert len({each.id for each in ALL_CHECKS}) == len(ALL_CHECKS)
    for each in ALL_CHECKS:
        assert each.demands.endswith(".")
        assert each.why.endswith(".")


async def test_junit_holds_what_xml_cannot_write() -> None:
    @check("it.fails", demands="D.", why="W.")
    async def fails(service: None) -> Problems:
        yield "got \x00 <&>"

    outcomes = await run_checks(None, [fails], on_done=lambda outcome: None)
    assert 'message="got \N{REPLACEMENT CHARACTER} &lt;&amp;&gt;"' in as_junit(outcomes).decode()


def test_what_stands_beside_the_pixels_of_a_file_is_found() -> None:
    pixels = draw_face(0, side=16)
    png, jpeg = encode_png(pixels), encode_jpeg(pixels, quality=95)
    assert list(beside_pixels(png)) == list(beside_pixels(jpeg)) == []
    assert list(beside_pixels(png + b"12345")) == list(beside_pixels(jpeg + b"12345")) == ["5 bytes after the end"]
    comment = b"\xff\xfe\x04\x00" + bytes(1022)
    assert list(beside_pixels(jpeg[:2] + comment + jpeg[2:])) == ["a segment 0xfe of 1024 bytes"]
    progressive = io.BytesIO()
    Image.fromarray(pixels).save(progressive, "JPEG", progressive=True)
    assert list(beside_pixels(progressive.getvalue())) == []


def test_an_image_that_came_is_seen_with_what_stands_beside_its_pixels() -> None:
    pixels = draw_face(0, side=16)
    plain = decoded(encode_png(pixels), "the cloak")
    assert (plain.format, plain.mode, plain.channel_bits, plain.still, plain.beside) == ("PNG", "RGB", 8, True, "")
    assert np.array_equal(plain.levels, pixels)
    turned = io.BytesIO()
    Image.fromarray(pixels).save(turned, "PNG", exif=b"II*\0", icc_profile=b"of no colours", transparency=(0, 0, 0))
    beside = decoded(turned.getvalue(), "the cloak").beside
    assert all(chunk in beside for chunk in ("a chunk eXIf of 4 bytes", "a chunk iCCP of ", "a chunk tRNS of 6 bytes"))
    frames = io.BytesIO()
    Image.fromarray(pixels).save(frames, "PNG", save_all=True, append_images=[Image.new("RGB", (16, 16))])
    assert not decoded(frames.getvalue(), "the cloak").still


WITHOUT_END = encode_png(draw_face(0, side=16))[:-12]


@pytest.mark.parametrize(
    ("encoded", "told"),
    [
        (b"GIF89a", "the cloak: expected a JPEG or PNG image, got a GIF; convert it to JPEG or PNG"),
        (
            encode_png(draw_face(0, side=16))[:-12],
            "the cloak: expected a whole image, got a truncated PNG: it ends before its last chunk",
        ),
        (list(bombs())[1][1], "the cloak: expected at most 50000000 pixels, got 200000 x 200000"),
    ],
)
def test_an_image_that_came_and_is_none_is_told_why(encoded: bytes, told: str) -> None:
    with pytest.raises(Failed) as failed:
        decoded(encoded, "the cloak")
    assert str(failed.value) == told


@pytest.mark.filterwarnings("error")
def test_what_stands_beside_the_pixels_that_came_is_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are the filters of warnings set aside for that: they are the process's, and other threads go by them."""
    before, opening, during = list(warnings.filters), Image.open, []

    def spied(*args: Any, **parameters: Any) -> Image.Image:
        during.append(list(warnings.filters))
        return opening(*args, **parameters)

    monkeypatch.setattr(Image, "open", spied)
    jpeg, index = encode_jpeg(draw_face(0, side=16), quality=95), b"\xff\xe2\x00\x0eMPF\0no index"
    assert decoded(jpeg[:2] + index + jpeg[2:], "the cloak").beside == "a segment 0xe2 of 14 bytes"
    assert during == [before]


def test_a_photo_is_upright_whatever_else_its_metadata_hold() -> None:
    wrong = (
        b"Exif\0\0II*\0\x08\0\0\0\x02\0"
        + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
        + b"\x1a\x01\x02\0\x04\0\0\x0072\0\0"
        + bytes(4)
    )
    photo = io.BytesIO()
    Image.fromarray(draw_face(0, side=16)[:8]).save(photo, "JPEG", exif=wrong)
    assert upright(photo.getvalue()).shape == (16, 8, 3)
