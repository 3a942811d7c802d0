"""Whole evaluations over real channels, against services that answer, break and lie as they are told to."""

import asyncio
import csv
import errno
import io
import math
import os
import shutil
import signal
import sqlite3
import unicodedata
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2
from rich.console import Console

from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.experiment.condition import PAPERS
from orchestrator.faces.data_set import Photo
from orchestrator.faces.folder import FaceFolder, read_face_folder
from orchestrator.faces.synthetic import read_synthetic_faces
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.services.retries import ATTEMPTS
from orchestrator.session.evaluate import evaluate
from synthetic_faces import Population
from tests.support.bench import (
    CLOAKS,
    IDENTITIES,
    TARGETS,
    Bench,
    draw,
    finish,
    manifest,
    observed,
    recorded_cloaks,
    run_program,
    start,
    write_photo,
)
from tests.support.fakes import FakeInvader, Fault, Shown, label_set_sha256

# PSR in percent at k = 1 and 5, worked by hand from the above.
PSR: dict[tuple[str, int, str], tuple[float, float]] = {
    ("none", 0, "facenet"): (0, 0),
    ("none", 0, "resnet50"): (25, 0),
    ("noise", 4, "facenet"): (0, 0),
    ("noise", 4, "resnet50"): (25, 0),
    ("noise", 8, "facenet"): (25, 0),
    ("noise", 8, "resnet50"): (50, 0),
    ("bim", 4, "facenet"): (75, 50),
    ("bim", 4, "resnet50"): (25, 0),
    ("bim", 8, "facenet"): (100, 75),
    ("bim", 8, "resnet50"): (75, 50),
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# Undisturbed


async def test_a_run_gives_the_psr_that_was_worked_by_hand(bench: Bench) -> None:
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    rows = evaluated.rows()
    assert {(*cell, k): float(rows[*cell, k]["psr"]) for cell in PSR for k in (1, 5)} == {
        (*cell, k): percent for cell, percents in PSR.items() for k, percent in zip((1, 5), percents, strict=True)
    }
    assert len(rows) == 20
    assert {row["n"] for row in rows.values()} == {"4"}


async def test_what_stands_beside_psr_was_worked_by_hand_too(bench: Bench) -> None:
    rows = (await bench.evaluate()).rows()
    assert {cell: float(row["detection_rate"]) for cell, row in rows.items() if float(row["detection_rate"]) != 100} == {
        ("bim", 8, target, k): 75 for target in TARGETS for k in (1, 5)
    }
    assert rows["bim", 8, "facenet", 5]["psr_of_detected"] == "66.6667"
    assert rows["bim", 8, "resnet50", 5]["psr_of_detected"] == "33.3333"
    assert rows["bim", 8, "resnet50", 1]["minus_control"] == "50.0000"
    assert rows["bim", 8, "resnet50", 1]["minus_noise"] == "25.0000"
    assert rows["bim", 4, "facenet", 1]["minus_control"] == "75.0000"


async def test_every_cloak_is_crafted_once_and_shown_once_to_every_target_model(bench: Bench) -> None:
    evaluated = await bench.evaluate()
    cloaks = [Shown(identity, "facenet", *cloak) for identity in "abcd" for cloak in CLOAKS]
    assert bench.protector.asked == Counter(cloaks)
    assert bench.invader.asked == Counter(cloaks)
    assert bench.invader.answered == Counter((shown, target) for shown in cloaks for target in TARGETS)
    calls = {"craft_calls": 4, "classify_calls": 20}
    assert evaluated.outcome["last_session"] | {"seconds": 0} == calls | {"seconds": 0}


async def test_the_gradients_and_forward_passes_of_a_cloak_are_recorded_as_the_protector_states_them(bench: Bench) -> None:
    await bench.evaluate()
    with sqlite3.connect(bench.folder / "observations.sqlite") as connection:
        found = set(connection.execute("SELECT method, epsilon, gradients, forward_passes FROM cloaks"))
    assert found == {(method, epsilon, 2 * epsilon, 3) for method, epsilon in CLOAKS}


async def test_the_order_of_the_answers_changes_nothing(bench: Bench) -> None:
    evaluated = await bench.evaluate(in_flight=4)
    assert evaluated.csv == await bench.undisturbed()


async def test_a_craft_request_carries_the_photo_its_identity_and_the_choices_of_the_run(bench: Bench) -> None:
    await bench.evaluate(seed=2**63 - 1)
    assert {request.identity: request.photo for request in bench.protector.requests} == {
        identity: (bench.faces / identity / "0.jpg").read_bytes() for identity in "abcd"
    }
    for request in bench.protector.requests:
        assert request.source_model == "facenet"
        assert list(request.methods) == ["none", "noise", "bim"]
        assert list(request.epsilons) == [4, 8]
        assert request.storage.WhichOneof("format") == "png"
        assert request.seed == 2**63 - 1


async def test_cloaks_are_kept_by_their_digest_or_not_at_all(bench: Bench) -> None:
    await bench.evaluate()
    kept = {path.stem: path.read_bytes() for path in (bench.folder / "cloaks").rglob("*.png")}
    assert len(kept) == 20
    assert all(sha256(encoded).hexdigest() == digest for digest, encoded in kept.items())
    await bench.evaluate(folder=bench.root / "discarding", keep_cloaks=False)
    assert list((bench.root / "discarding" / "cloaks").iterdir()) == []


async def test_the_tables_and_what_was_run_are_printed(bench: Bench) -> None:
    (bench.faces / "notes.txt").write_text("not a photo")
    printed = (await bench.evaluate()).printed
    assert "PSR in %, crafted with FaceNet by BIM" in printed
    assert "100.0 [51–100]" in printed
    assert "4 of 4 identities that every model knows" in printed
    assert "skipped        1 files or folders of no use: notes.txt" in printed
    assert "INCOMPLETE" not in printed


# Subjects


async def test_a_subject_without_a_face_is_replaced_by_the_next_of_the_draw_and_recorded(bench: Bench) -> None:
    bench.add("e")
    order = draw("abcde")
    bench.protector.faceless = {order[0], order[2]}
    evaluated = await bench.evaluate(subjects=2)
    assert evaluated.finished.complete
    assert evaluated.outcome["subjects"] == sorted(f"{identity}/0.jpg" for identity in (order[1], order[3]))
    assert evaluated.outcome["replaced"] == {order[0]: "no_face", order[2]: "no_face"}
    assert {identity for identity, *_ in observed(bench.folder)} == {order[1], order[3]}
    assert f"{order[0]}/0.jpg: the protector finds no face; replaced by the next" in evaluated.printed


@pytest.mark.parametrize("in_flight", [1, 3, 8])
async def test_the_subjects_are_the_first_of_the_draw_whoever_is_answered_first(bench: Bench, in_flight: int) -> None:
    bench.add("e", "f", "g", "h")
    order = draw(IDENTITIES, seed=5)
    bench.protector.faceless = set(order[1:3])
    evaluated = await bench.evaluate(subjects=3, seed=5, in_flight=in_flight)
    assert evaluated.outcome["subjects"] == sorted(f"{order[place]}/0.jpg" for place in (0, 3, 4))


async def test_a_replaced_subject_is_not_asked_again_on_going_on(bench: Bench) -> None:
    order = draw("abcd")
    bench.protector.faceless = {order[0]}
    await bench.evaluate(subjects=2)
    bench.protector.requests.clear()
    bench.protector.faceless = set()
    evaluated = await bench.evaluate(subjects=2)
    assert bench.protector.requests == []
    assert evaluated.outcome["replaced"] == {order[0]: "no_face"}


async def test_what_was_observed_of_an_identity_that_was_replaced_after_all_does_not_count(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": IDENTITIES, "senet50": IDENTITIES}
    no_face = Fault(grpc.StatusCode.INVALID_ARGUMENT, "photo: no face", "NO_FACE", after=2)
    bench.protector.faults = deque([None, no_face])
    evaluated = await bench.evaluate(subjects=2, source_models=("facenet", "senet50"))
    first = draw("abcd")[0]
    assert evaluated.outcome["replaced"] == {first: "no_face"}
    assert first in {identity for identity, *_ in observed(bench.folder)}
    assert {row["n"] for row in csv.DictReader(io.StringIO(evaluated.csv))} == {"2"}


async def test_where_the_draw_runs_out_the_run_is_short_and_says_so(bench: Bench) -> None:
    bench.protector.faceless = {"a", "b", "c"}
    evaluated = await bench.evaluate(allow_incomplete=True)
    assert not evaluated.finished.complete
    assert "Asking again does not help: of the 4 identities that every model knows, 3 have no photo that can be used" in (
        evaluated.printed
    )
    assert "asks again for what is missing" not in evaluated.printed
    assert evaluated.outcome["subjects"] == ["d/0.jpg"]
    assert {row["n"] for row in evaluated.rows().values()} == {"1"}
    assert "INCOMPLETE: 10 cells have fewer than 4 observations" in evaluated.printed


async def test_where_no_photo_has_a_face_there_are_no_results_and_no_number(bench: Bench) -> None:
    bench.protector.faceless = set("abcd")
    evaluated = await bench.evaluate(allow_incomplete=True)
    assert not evaluated.finished.complete
    assert evaluated.rows() == {}
    assert "–" in evaluated.printed


async def test_a_photo_that_cannot_be_read_gives_way_to_another_of_the_same_identity(bench: Bench) -> None:
    for name in ("1.jpg", "2.jpg"):
        write_photo(bench.faces / "a" / name, level=1)
    first, second, _ = sorted(("0.jpg", "1.jpg", "2.jpg"), key=lambda name: sha256(f"0\na/{name}".encode()).digest())
    (bench.faces / "a" / first).write_bytes(b"not a photo")
    evaluated = await bench.evaluate()
    assert f"a/{second}" in evaluated.outcome["subjects"]
    assert evaluated.outcome["unreadable_photos"] == [f"a/{first}"]
    assert f"skipped: a/{first}: photo: expected a JPEG, got 11 other bytes" in evaluated.printed


async def test_a_photo_beyond_the_limits_of_the_protector_alone_gives_way_to_another_for_good(bench: Bench) -> None:
    _, names = drawn_of_a(bench)
    first, second, _ = (name.partition("/")[2] for name in names)
    large = (bench.faces / "a" / first).read_bytes() + bytes(1000)
    (bench.faces / "a" / first).write_bytes(large)
    bench.protector.max_photo_bytes = len(large) - 1
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert f"a/{second}" in evaluated.outcome["subjects"]
    assert f"skipped: a/{first}: photo: expected at most {len(large) - 1} bytes, got {len(large)} bytes" in evaluated.printed
    bench.protector.max_photo_bytes = None
    again = await bench.evaluate()
    assert (again.csv, again.outcome["subjects"]) == (evaluated.csv, evaluated.outcome["subjects"])


async def test_a_run_that_broke_off_goes_on_with_the_photo_that_the_protector_took(bench: Bench) -> None:
    _, names = drawn_of_a(bench)
    first, second, _ = (name.partition("/")[2] for name in names)
    (bench.faces / "a" / first).write_bytes(b"not a photo")
    bench.invader.fault = failing(1000)
    await bench.evaluate(allow_incomplete=True)
    bench.invader.fault = failing(0)
    write_photo(bench.faces / "a" / first, level=9)
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert f"a/{second}" in evaluated.outcome["subjects"]


async def test_a_photo_larger_than_a_message_may_be_gives_way_to_another(bench: Bench) -> None:
    _, names = drawn_of_a(bench)
    first, second, _ = (name.partition("/")[2] for name in names)
    photo = bench.faces / "a" / first
    photo.write_bytes(photo.read_bytes() + bytes(5 * 2**20))  # gRPC takes 4 MiB unless it is told otherwise
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert f"a/{second}" in evaluated.outcome["subjects"]


async def test_an_invader_that_refuses_a_photo_costs_that_observation_alone(bench: Bench) -> None:
    refused = Fault(grpc.StatusCode.INVALID_ARGUMENT, "photo: expected another", "INVALID_ARGUMENT", field="photo")
    bench.invader.fault = failing(1000, refused)
    evaluated = await bench.evaluate(allow_incomplete=True)
    assert len(evaluated.outcome["subjects"]) == 4
    assert evaluated.outcome["failed_calls"] == 1


async def test_a_cloak_that_is_too_large_for_this_side_does_not_speak_against_the_photo(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpc.channel._MAX_BYTES", 2000)
    monkeypatch.setattr("orchestrator.services.retries.ATTEMPTS", 1)
    bench.protector.alter = lambda response: enlarge(response)
    evaluated = await bench.evaluate(allow_incomplete=True, subjects=1)
    assert evaluated.outcome["replaced"] == {}, evaluated.printed
    assert evaluated.outcome["unreadable_photos"] == []


def enlarge(response: protector_pb2.CraftResponse) -> None:
    response.cloak += bytes(5000)


async def test_a_subject_whose_photo_is_refused_later_keeps_what_was_observed(bench: Bench) -> None:
    bench.invader.fault = failing(1)
    before = await bench.evaluate(allow_incomplete=True)
    bench.invader.fault = failing(0)
    bench.protector.max_photo_bytes = 1
    evaluated = await bench.evaluate(allow_incomplete=True)
    assert evaluated.outcome["subjects"] == before.outcome["subjects"]
    assert observed(bench.folder) >= {("a", "facenet", "none", 0, "facenet")}


class Unsteady(FaceFolder):
    """A data set on a disk, or in a process, that fails for a moment: a photo cannot be read at first, and then it can."""

    failures: ClassVar[dict[str, int]] = {}  # errno by name, once

    def photos(self, identity: str) -> Sequence[Photo]:
        return [replace(photo, read=partial(self._read, photo)) for photo in super().photos(identity)]

    def _read(self, photo: Photo) -> bytes:
        if (code := self.failures.pop(photo.name, None)) is not None:
            raise OSError(code, os.strerror(code), photo.name)
        return photo.read()


def drawn_of_a(bench: Bench) -> tuple[Unsteady, list[str]]:
    """A data set in which a has three photos, and their names as they are drawn."""
    for name in ("1.jpg", "2.jpg"):
        write_photo(bench.faces / "a" / name, level=1)
    names = sorted(("0.jpg", "1.jpg", "2.jpg"), key=lambda name: sha256(f"0\na/{name}".encode()).digest())
    found = read_face_folder(bench.faces)
    return Unsteady(found.root, found.names, found.skipped, found.folders), [f"a/{name}" for name in names]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.ENOMEM])
async def test_a_photo_that_may_be_read_later_ends_the_run_and_gives_way_to_no_other(bench: Bench, code: int) -> None:
    faces, (first, *_) = drawn_of_a(bench)
    Unsteady.failures[first] = code
    message = await bench.fails(InputError, faces=faces)
    assert message.startswith(f"--faces: {first}: expected a photo that can be read, or that never can be; got ")
    assert os.strerror(code) in message
    evaluated = await bench.evaluate(faces=faces)
    assert evaluated.finished.complete
    assert first in evaluated.outcome["subjects"]
    assert evaluated.outcome["unreadable_photos"] == []


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP])
async def test_a_photo_that_is_missing_or_forbidden_or_no_file_gives_way_to_another(bench: Bench, code: int) -> None:
    faces, (first, second, _) = drawn_of_a(bench)
    Unsteady.failures[first] = code
    evaluated = await bench.evaluate(faces=faces)
    assert second in evaluated.outcome["subjects"]
    assert evaluated.outcome["unreadable_photos"] == [first]


async def test_an_identity_without_a_photo_that_can_be_read_is_replaced_and_recorded(bench: Bench) -> None:
    order = draw("abcd")
    (bench.faces / order[0] / "0.jpg").write_bytes(b"")
    evaluated = await bench.evaluate(subjects=3)
    assert evaluated.finished.complete
    assert evaluated.outcome["replaced"] == {order[0]: "unreadable"}
    assert evaluated.outcome["subjects"] == sorted(f"{identity}/0.jpg" for identity in order[1:])


async def test_a_photo_whose_name_is_not_utf_8_does_not_stop_the_run(bench: Bench) -> None:
    ordinary = sha256(b"0\na/0.jpg").digest()
    latin = next(name for name in (b"caf\xe9%d.jpg" % n for n in range(99)) if sha256(b"0\na/" + name).digest() < ordinary)
    photo = os.fsdecode(os.fsencode(bench.faces / "a") + b"/" + latin)
    write_photo(Path(photo), level=1)
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert {subject.partition("/")[0] for subject in evaluated.outcome["subjects"]} == set("abcd")


async def test_a_skipped_file_whose_name_is_not_utf_8_does_not_stop_the_run(bench: Bench) -> None:
    bench.add_file(b"caf\xe9.txt")
    text = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    async with bench.protector.serving() as protector, bench.invader.serving() as invader:
        finished = await evaluate(
            bench.wish(),
            protector=EndpointSpec("protector", protector, None),
            invader=EndpointSpec("invader", invader, None),
            folder=RunFolder(bench.folder),
            keep_cloaks=True,
            subjects_in_flight=1,
            console=Console(file=text, width=500),
        )
    assert finished.complete


# Identities that a model does not know


async def test_identities_that_some_model_does_not_know_are_excluded_and_named_and_never_protected(bench: Bench) -> None:
    bench.add("stranger")
    bench.invader.label_sets = {"facenet": IDENTITIES, "resnet50": tuple("abcefgh")}
    evaluated = await bench.evaluate(subjects=3)
    assert evaluated.finished.complete
    assert evaluated.outcome["excluded"] == ["d", "stranger"]
    assert {identity for identity, *_ in observed(bench.folder)} == set("abc")
    assert {request.identity for request in bench.protector.requests} == set("abc")
    assert "excluded       2 identities unknown to some model: d, stranger" in evaluated.printed


async def test_identities_that_a_source_model_does_not_know_are_excluded_too(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": tuple("abdefgh")}
    assert (await bench.evaluate(subjects=3)).outcome["excluded"] == ["c"]


async def test_more_subjects_than_there_are_are_refused_with_their_number(bench: Bench) -> None:
    bench.add("stranger")
    assert await bench.fails(InputError, subjects=5) == (
        "--subjects: expected at most 4 (identities of --faces that every model knows, of 5 there), got 5"
    )
    assert bench.protector.requests == []


async def test_where_some_model_knows_nobody_the_way_out_is_named(bench: Bench) -> None:
    bench.invader.label_sets = dict.fromkeys(TARGETS, ("nobody", *tuple("stuvwxyz")))
    message = await bench.fails(InputError)
    assert message == (
        "--faces: expected identities that every model knows, got 4 (a, ...) that some model does not know: source model "
        "facenet knows 4 of them (a, b, c, ...); target model facenet, target model resnet50 know none of them, but 9 "
        "others (nobody, s, t, ...)"
    )


async def test_where_the_embedded_recognizers_know_nobody_the_way_to_one_s_own_is_named(bench: Bench) -> None:
    bench.invader.label_sets = {"compact-facenet": ("nobody", *tuple("stuvwxyz"))}
    message = await bench.fails(InputError, target_models=None)
    assert message.endswith(
        "The embedded recognizers know the people of synthetic: only; your own come with --protector-checkpoints and "
        "--invader-checkpoints"
    )


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("anna_maria", "Anna Maria"),
        ("ANNA MARIA", "Anna Maria"),
        ("zoe akesson", "Zoë Åkesson"),
        ("Anna Mariah", "Anna Maria"),
    ],
)
async def test_names_that_are_nearly_alike_are_told(bench: Bench, folder: str, label: str) -> None:
    people = ("Anna Maria", "Zoë Åkesson")
    bench.protector.label_sets, bench.invader.label_sets = {"facenet": people}, dict.fromkeys(TARGETS, people)
    shutil.rmtree(bench.faces)
    write_photo(bench.faces / folder / "0.jpg", level=1)
    message = await bench.fails(InputError)
    assert message.startswith(
        f"--faces: expected identities that every model knows, got 1 ({folder}) that some model does not know: "
        "source model facenet, target model facenet, target model resnet50 know none of them, but 2 others "
        "(Anna Maria, Zoë Åkesson)"
    )
    assert f"; {folder} is nearly {label}: names have to be the same, letter by letter" in message
    assert "checkpoints" not in message


ZOE, DECOMPOSED = "Zoë", unicodedata.normalize("NFD", "Zoë")


@pytest.mark.parametrize("folder", [ZOE, DECOMPOSED])
@pytest.mark.parametrize("label", [ZOE, DECOMPOSED])
async def test_services_are_asked_by_their_label_whatever_normal_form_the_folder_s_name_has(
    bench: Bench, folder: str, label: str
) -> None:
    people = (label, *IDENTITIES)
    bench.protector.label_sets, bench.invader.label_sets = {"facenet": people}, dict.fromkeys(TARGETS, people)
    bench.invader.rank, bench.invader.face_found = lambda shown, target: 1, lambda shown: True
    shutil.rmtree(bench.faces)
    write_photo(bench.faces / folder / "0.jpg", level=1)
    evaluated = await bench.evaluate(subjects=1)
    assert {shown.identity for shown in bench.protector.asked} == {label}
    assert evaluated.outcome["subjects"] == [f"{label}/0.jpg"]
    assert evaluated.outcome["excluded"] == []
    assert {row["psr"] for row in csv.DictReader(io.StringIO(evaluated.csv))} == {"0.0000"}, "the true identity comes first"


async def test_an_identity_that_models_spell_in_different_normal_forms_takes_no_part_and_is_named(bench: Bench) -> None:
    bench.add(ZOE)
    bench.protector.label_sets = {"facenet": (*IDENTITIES, ZOE)}
    bench.invader.label_sets = dict.fromkeys(TARGETS, (*IDENTITIES, DECOMPOSED))
    outcome = (await bench.evaluate()).outcome
    assert outcome["excluded"] == [ZOE]
    (missing,) = outcome["missing_models"]
    assert missing.startswith("1 identities: models spell them in different Unicode normal forms, ")
    assert missing.endswith(f": {ZOE}")
    shutil.rmtree(bench.faces)
    bench.add(ZOE)
    assert (await bench.fails(InputError, subjects=1)).startswith("--faces: models spell them in different Unicode")


async def test_a_label_set_that_has_a_name_in_two_normal_forms_does_not_tell_who_is_meant(bench: Bench) -> None:
    bench.add(ZOE)
    bench.protector.label_sets = {"facenet": (*IDENTITIES, ZOE, DECOMPOSED)}
    bench.invader.label_sets = dict.fromkeys(TARGETS, (*IDENTITIES, ZOE))
    assert (await bench.evaluate()).outcome["excluded"] == [ZOE]


# Synthetic faces and embedded recognizers

PEOPLE = Population(8).names
EIGHT = "synthetic:identities=8"
EMBEDDED = ("compact-facenet", "compact-resnet", "compact-senet")


@pytest.fixture
def embedded(bench: Bench) -> Bench:
    """Both services serve the embedded recognizers, which know eight people."""
    bench.protector.label_sets = dict.fromkeys(EMBEDDED, PEOPLE)
    bench.invader = FakeInvader(dict.fromkeys(EMBEDDED, PEOPLE))
    return bench


async def test_the_embedded_models_stand_in_where_a_service_has_none_of_the_paper_s(embedded: Bench) -> None:
    faces = read_synthetic_faces(EIGHT)
    evaluated = await embedded.evaluate(faces=faces, source_models=None, target_models=None, epsilons=(4,))
    assert evaluated.finished.complete
    assert {request.source_model for request in embedded.protector.requests} == set(EMBEDDED)
    rendered = {photo.read() for identity in faces.identities for photo in faces.photos(identity)}
    assert {request.photo for request in embedded.protector.requests} <= rendered


async def test_every_table_of_synthetic_faces_says_so(embedded: Bench) -> None:
    evaluated = await embedded.evaluate(
        faces=read_synthetic_faces(EIGHT), source_models=None, target_models=None, subjects=2
    )
    caveat = "embedded recognizers on synthetic faces: not the paper's figures"
    before, *tables = evaluated.printed.split("PSR in %, crafted with ")
    assert f"take care      {caveat}" in before
    assert len(tables) == len(EMBEDDED)
    assert all(caveat in table for table in tables)
    assert {row["caveat"] for row in csv.DictReader(io.StringIO(evaluated.csv))} == {caveat}
    assert evaluated.outcome["caveat"] == caveat


@pytest.mark.parametrize(
    ("faces", "models", "caveat"),
    [
        (EIGHT, TARGETS, "recognizers on synthetic faces: not the paper's figures"),
        (None, EMBEDDED[:2], "embedded recognizers on faces: not the paper's figures"),
        (None, TARGETS, ""),
    ],
)
async def test_the_caveat_says_what_is_not_the_paper_s(
    bench: Bench, faces: str | None, models: tuple[str, ...], caveat: str
) -> None:
    known = dict.fromkeys(models, (*PEOPLE, *IDENTITIES))
    bench.protector.label_sets, bench.invader = known, FakeInvader(known)
    data_set = read_synthetic_faces(faces) if faces else read_face_folder(bench.faces)
    evaluated = await bench.evaluate(faces=data_set, source_models=models, target_models=models, subjects=1)
    assert evaluated.outcome["caveat"] == caveat


async def test_more_synthetic_people_than_the_models_know_are_refused(embedded: Bench) -> None:
    faces = read_synthetic_faces("synthetic:identities=9")
    message = await embedded.fails(InputError, faces=faces, source_models=None, target_models=None)
    assert message == "--faces: expected at most 8 synthetic identities, as many as every model knows, got 9"


async def test_synthetic_people_of_another_seed_are_strangers(embedded: Bench) -> None:
    faces = read_synthetic_faces(f"{EIGHT},seed=9")
    message = await embedded.fails(InputError, faces=faces, source_models=None, target_models=None)
    assert message.startswith("--faces: expected identities that every model knows, got 8 (synthetic9-0001, ...)")


HIDDEN = Fault(grpc.StatusCode.PERMISSION_DENIED, "this service does not list its identities", "IDENTITIES_NOT_LISTED")


async def test_an_invader_that_does_not_list_its_identities_works_with_the_protector_s_label_set(bench: Bench) -> None:
    bench.invader.refusal = HIDDEN
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert evaluated.csv == await bench.undisturbed()


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(HIDDEN, id="ours"),
        pytest.param(Fault(grpc.StatusCode.PERMISSION_DENIED, "no"), id="of another invader, without a reason"),
    ],
)
async def test_an_invader_that_does_not_list_another_label_set_is_refused(bench: Bench, refusal: Fault) -> None:
    bench.invader.refusal = refusal
    bench.invader.label_sets = {"facenet": IDENTITIES, "resnet50": tuple(reversed(IDENTITIES))}
    message = await bench.fails(InputError)
    assert "does not list the identities of resnet50, and its label set is none of the protector's" in message


async def test_a_label_set_that_two_models_share_is_fetched_once(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": tuple(reversed(IDENTITIES))}
    await bench.evaluate()
    assert bench.invader.lists_asked == 3, "the three pages of one label set"


async def test_a_label_set_that_is_not_the_one_stated_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.fakes.label_set_sha256", lambda identities: "0" * 64)
    message = await bench.fails(UnusableServiceError)
    assert "the identities of facenet do not have the digest it states" in message


# What a service does not have


@pytest.mark.parametrize(
    ("running", "changes", "said"),
    [
        ("protector", {"source_models": ("senet50",)}, "--source-models: "),
        ("protector", {"methods": ("cw",)}, "--methods: "),
        ("invader", {"target_models": ("senet50",)}, "--target-models: "),
        ("invader", {"ks": (1, 500)}, "--k: "),
    ],
)
async def test_what_a_running_service_lacks_is_told_before_another_is_started_or_a_folder_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, running: str, changes: dict[str, Any], said: str
) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("a service was started")

    monkeypatch.setattr("orchestrator.services.endpoint.child_service", start)
    async with bench.protector.serving() as protector, bench.invader.serving() as invader:
        with pytest.raises(InputError, match=f"^{said}"):
            await evaluate(
                bench.wish(**changes),
                protector=EndpointSpec("protector", protector if running == "protector" else None, None),
                invader=EndpointSpec("invader", invader if running == "invader" else None, None),
                folder=RunFolder(bench.folder),
                keep_cloaks=True,
                subjects_in_flight=1,
                console=Console(file=io.StringIO()),
            )
    assert not bench.folder.exists()


async def test_models_of_the_paper_that_are_missing_are_reported_and_the_others_run(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": IDENTITIES, "senet50": IDENTITIES}
    evaluated = await bench.evaluate(source_models=None, target_models=None)
    assert evaluated.finished.complete
    missing = evaluated.outcome["missing_models"]
    assert [sentence.partition(" at ")[0] for sentence in missing] == [
        "source model resnet50: the protector",
        "target model senet50: the invader",
    ]
    assert all(f"missing        {sentence}" in evaluated.printed for sentence in missing)
    assert {key[1] for key in observed(bench.folder)} == {"facenet", "senet50"}
    assert {key[4] for key in observed(bench.folder)} == set(TARGETS)
    assert manifest(bench.folder)["protocol"]["grid"]["source_models"] == ["facenet", "senet50"]


async def test_models_that_were_not_asked_for_are_not_missing(bench: Bench) -> None:
    evaluated = await bench.evaluate(target_models=("resnet50",))
    assert evaluated.outcome["missing_models"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source_models": ("facenet1",)},
            r"--source-models: expected one that the protector at \S+ has \(facenet\), got facenet1; "
            r"did you mean facenet\?",
        ),
        (
            {"target_models": ("facenet", "mine")},
            r"--target-models: expected one that the invader at \S+ has \(facenet, resnet50\), got mine",
        ),
        (
            {"methods": ("bim", "deepfool")},
            r"--methods: expected one that the protector at \S+ has \(bim, illc, noise, none\), got deepfool",
        ),
        ({"ks": (1, 7)}, r"--k: expected at most 6, the candidates that facenet returns \(its label set has 8\), got 7"),
    ],
)
async def test_what_a_service_does_not_have_is_refused_by_option(
    bench: Bench, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        await bench.evaluate(**changes)
    assert bench.protector.requests == []


async def test_services_with_none_of_the_usual_models_are_asked_with_all_of_their_own_which_is_said(bench: Bench) -> None:
    bench.protector.label_sets = {"lens": IDENTITIES}
    bench.invader.label_sets = {"mine": IDENTITIES, "yours": IDENTITIES}
    bench.invader.rank, bench.invader.face_found = lambda shown, target: 1, lambda shown: True
    evaluated = await bench.evaluate(source_models=None, target_models=None)
    grid = manifest(evaluated.finished.folder)["protocol"]["grid"]
    assert (grid["source_models"], grid["target_models"]) == (["lens"], ["mine", "yours"])
    for kind, sentence in zip(("source", "target"), evaluated.outcome["missing_models"], strict=True):
        assert sentence.startswith(f"{kind} models of the paper: the ")
        assert sentence.endswith(" has none of them, so that all of its own are used")


async def test_a_service_without_models_cannot_be_used(bench: Bench) -> None:
    bench.invader.label_sets = {}
    message = await bench.fails(UnusableServiceError, target_models=None)
    assert message.endswith(" lists no models, where it must at least one")


async def test_the_manifest_states_what_the_services_say_of_themselves_and_nothing_else(bench: Bench) -> None:
    bench.protector.methods = ("bim", "blur", "noise", "none")
    stated = {"alpha": "as far as a blur goes", "n_iter": " one \n", "kernel": ""}
    costs = [protector_pb2.BudgetCost(epsilon=4, gradients=3, forward_passes=1)]
    bench.protector.stated = {"blur": protector_pb2.Method(parameters=stated, needs_label_set=True, costs=costs)}
    bench.invader.extraction = "the image's middle; " + "x" * 600
    bench.invader.rank, bench.invader.face_found = lambda shown, target: 1, lambda shown: True
    evaluated = await bench.evaluate(methods=("bim", "blur"), epsilons=(4,))
    found = manifest(evaluated.finished.folder)
    assert found["protocol"]["crafting"] == {
        "bim": {"parameters": {}, "needs_label_set": False, "costs": {}, "own_budget": None, "carrier": ""},
        "blur": {
            "parameters": {"alpha": "as far as a blur goes", "n_iter": "one"},
            "needs_label_set": True,
            "costs": {"4": {"gradients": 3, "forward_passes": 1}},
            "own_budget": None,
            "carrier": "",
        },
    }
    assert "gradients" not in evaluated.printed, "those of BIM are not known"
    assert "extraction" not in found["protocol"]
    assert found["source_models"]["facenet"]["extraction"] == "not stated"
    extraction = found["target_models"]["resnet50"]["extraction"]
    assert extraction.startswith("the image's middle; xxx")
    assert len(extraction) == 500


async def test_what_crafting_takes_at_most_is_said_where_it_is_stated_of_every_method_and_budget(bench: Bench) -> None:
    costs = [protector_pb2.BudgetCost(epsilon=epsilon, gradients=1000, forward_passes=epsilon) for epsilon in (4, 8)]
    bench.protector.stated = {"bim": protector_pb2.Method(costs=costs)}
    printed = (await bench.evaluate(subjects=3)).printed
    assert bench.protector.budgets_asked == (4, 8)
    assert "crafting       at most 6,000 gradients and 36 other forward passes, as the protector states\n" in printed


async def test_costs_of_budgets_that_were_not_asked_for_are_refused(bench: Bench) -> None:
    bench.protector.stated = {"bim": protector_pb2.Method(costs=[protector_pb2.BudgetCost(epsilon=16)])}
    message = await bench.fails(UnusableServiceError)
    assert message.endswith("the method 'bim': expected costs of the budgets 4, 8, none twice, got costs of 16")
    assert bench.protector.requests == []


async def test_a_service_of_the_other_kind_is_refused(bench: Bench) -> None:
    async with bench.invader.serving() as invader:
        with pytest.raises(InputError, match=rf"^the protector at {invader} does not speak the schema: "):
            await bench.evaluate_at(invader, invader)


# Calls that fail


async def test_a_stream_that_breaks_is_asked_again_for_the_missing_budgets_only(bench: Bench) -> None:
    bench.protector.faults = deque([Fault(after=4)])
    evaluated = await bench.evaluate()
    broken, again, *_ = bench.protector.requests
    assert (list(broken.methods), list(broken.epsilons)) == (["none", "noise", "bim"], [4, 8])
    assert again.identity == broken.identity
    assert (list(again.methods), list(again.epsilons)) == (["bim"], [8])
    assert evaluated.finished.complete
    assert evaluated.csv == await bench.undisturbed()
    assert evaluated.outcome["failed_calls"] == 0


async def test_a_cloak_that_comes_again_beside_the_missing_ones_is_not_shown_again(bench: Bench) -> None:
    bench.protector.faults = deque([Fault(after=2), Fault(grpc.StatusCode.UNAVAILABLE, after=1)])
    evaluated = await bench.evaluate()
    assert max(bench.protector.asked.values()) > 1
    assert set(bench.invader.asked.values()) == {1}
    assert evaluated.csv == await bench.undisturbed()


async def test_a_stream_that_ends_early_without_a_failure_is_asked_again(bench: Bench) -> None:
    dropped: list[int] = []

    def drop_the_first(response: protector_pb2.CraftResponse) -> None:
        if response.method == "bim" and not dropped:
            dropped.append(response.epsilon)
            response.method = "of no one"

    bench.protector.alter = drop_the_first
    evaluated = await bench.evaluate()
    again = bench.protector.requests[1]
    assert (list(again.methods), list(again.epsilons)) == (["bim"], dropped)
    assert evaluated.csv == await bench.undisturbed()


async def test_a_craft_that_fails_for_good_leaves_its_cells_short_and_the_others_whole(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": IDENTITIES, "senet50": IDENTITIES}
    first = draw("abcd")[0]
    bench.protector.broken = {(first, "facenet"): Fault(message="out of memory")}
    evaluated = await bench.evaluate(source_models=("facenet", "senet50"))
    assert not evaluated.finished.complete
    assert {key for key in observed(bench.folder) if key[0] == first} == {
        (first, "senet50", *cloak, target) for cloak in CLOAKS for target in TARGETS
    }
    assert [request.identity for request in bench.protector.requests].count(first) == ATTEMPTS + 1
    assert f"failed: {first}/0.jpg: craft with facenet: protector at " in evaluated.printed
    assert "INTERNAL: out of memory" in evaluated.printed


async def test_a_call_that_will_never_succeed_is_made_once(bench: Bench) -> None:
    bench.protector.faults = deque([Fault(grpc.StatusCode.NOT_FOUND, "identity: expected a name")])
    evaluated = await bench.evaluate()
    assert not evaluated.finished.complete
    assert len(bench.protector.requests) == 4
    assert evaluated.outcome["failed_calls"] == 1


FAILING = Shown("b", "facenet", "bim", 8)


def failing(times: int, fault: Fault | None = None) -> Callable[[Shown, int], Fault | None]:
    return lambda shown, time: (fault or Fault()) if shown == FAILING and time <= times else None


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
async def test_a_failed_classification_is_asked_again(bench: Bench, code: grpc.StatusCode) -> None:
    bench.invader.fault = failing(2, Fault(code))
    evaluated = await bench.evaluate()
    assert bench.invader.asked[FAILING] == 3
    assert evaluated.finished.complete
    assert evaluated.csv == await bench.undisturbed()


async def test_an_invader_that_stumbles_for_a_moment_costs_no_observation(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.services.retries.FIRST_WAIT_SECONDS", 0.2)  # 0.7 s at least, of all waits together
    until: list[float] = []

    def stumbles(shown: Shown, time: int) -> Fault | None:
        now = asyncio.get_running_loop().time()
        if not until:
            until.append(now + 0.5)
        return Fault(message="hiccup") if now < until[0] else None

    bench.invader.fault = stumbles
    evaluated = await bench.evaluate(in_flight=4)
    assert max(bench.invader.asked.values()) > 1
    assert (evaluated.finished.complete, evaluated.outcome["failed_calls"]) == (True, 0)


async def test_a_classification_that_fails_for_good_leaves_its_cells_short_and_is_never_protected(bench: Bench) -> None:
    bench.invader.fault = failing(1000)
    evaluated = await bench.evaluate(allow_incomplete=True)
    assert not evaluated.finished.complete
    assert bench.invader.asked[FAILING] == ATTEMPTS
    rows = evaluated.rows()
    assert {cell for cell, row in rows.items() if row["n"] != "4"} == {
        ("bim", 8, target, k) for target in TARGETS for k in (1, 5)
    }
    # Without b: ranks 3, beyond, no face by FaceNet; 1, 2, no face by ResNet-50.
    short = {(target, k): rows["bim", 8, target, k] for target in TARGETS for k in (1, 5)}
    assert {row["n"] for row in short.values()} == {"3"}
    assert {cell: float(row["psr"]) for cell, row in short.items()} == {
        ("facenet", 1): 100,
        ("facenet", 5): 66.6667,
        ("resnet50", 1): 66.6667,
        ("resnet50", 5): 33.3333,
    }
    assert evaluated.outcome["failed_calls"] == 1
    assert "INCOMPLETE: 2 cells have fewer than 4 observations" in evaluated.printed
    assert "(N=3)" in evaluated.printed
    assert "failed: b/0.jpg: classify " in evaluated.printed


async def test_what_failed_for_good_is_asked_again_on_going_on_and_nothing_else(bench: Bench) -> None:
    bench.invader.fault = failing(ATTEMPTS)
    assert not (await bench.evaluate()).finished.complete
    bench.protector.requests.clear()
    bench.invader.asked.clear()
    bench.invader.fault = failing(0)
    evaluated = await bench.evaluate()
    assert evaluated.finished.complete
    assert bench.protector.requests == [], "the cloak was kept"
    assert bench.invader.asked == {FAILING: 1}
    assert evaluated.csv == await bench.undisturbed()


async def test_without_kept_cloaks_only_the_missing_one_is_crafted_again(bench: Bench) -> None:
    bench.invader.fault = failing(ATTEMPTS)
    await bench.evaluate(keep_cloaks=False)
    bench.protector.asked.clear()
    bench.invader.asked.clear()
    bench.invader.fault = failing(0)
    evaluated = await bench.evaluate(keep_cloaks=False)
    assert bench.protector.asked == {FAILING: 1}
    assert bench.invader.asked == {FAILING: 1}
    assert evaluated.finished.complete
    assert evaluated.csv == await bench.undisturbed()


# Services that are gone


@pytest.mark.parametrize("gone", ["protector", "invader"])
async def test_a_service_that_is_not_there_is_one_clear_line(bench: Bench, gone: str) -> None:
    nowhere = "127.0.0.1:1"
    async with bench.protector.serving() as protector, bench.invader.serving() as invader:
        addresses = {"protector": protector, "invader": invader} | {gone: nowhere}
        with pytest.raises(UnusableServiceError) as failure:
            await bench.evaluate_at(addresses["protector"], addresses["invader"])
    assert str(failure.value).startswith(f"the {gone} at {nowhere} does not answer: ")
    assert "\n" not in str(failure.value)


async def test_an_invader_that_dies_leaves_what_was_observed_and_a_new_one_goes_on(bench: Bench) -> None:
    last = Shown(draw("abcd")[1], "facenet", "bim", 8)
    dying: list[asyncio.Task[None]] = []

    def die(shown: Shown, time: int) -> Fault | None:
        if shown == last and not dying:
            dying.append(bench.invader.die())
        return None

    bench.invader.fault = die
    message = await bench.fails(UnusableServiceError)
    await asyncio.gather(*dying)
    assert message.startswith("the invader at 127.0.0.1:")
    assert "does not answer" in message
    before = observed(bench.folder)
    assert {key for key in before if key[0] == draw("abcd")[0]} == {
        (draw("abcd")[0], "facenet", *cloak, target) for cloak in CLOAKS for target in TARGETS
    }
    bench.invader.fault = failing(0)
    bench.invader.answered.clear()
    evaluated = await bench.evaluate()
    again = {
        (shown.identity, shown.source_model, shown.method, shown.epsilon, target) for shown, target in bench.invader.answered
    }
    assert not again & before
    assert evaluated.csv == await bench.undisturbed()


async def test_figures_of_a_short_run_are_written_on_request_only(bench: Bench) -> None:
    bench.invader.fault = failing(1000)
    evaluated = await bench.evaluate()
    assert not evaluated.finished.published
    assert not (bench.folder / "psr.csv").exists()
    assert "No figures were written; --allow-incomplete writes them" in evaluated.printed
    bench.invader.fault = failing(0)
    assert (await bench.evaluate()).finished.published
    assert (bench.folder / "psr.csv").read_text() == await bench.undisturbed()


async def test_a_protector_that_dies_leaves_what_was_observed(bench: Bench) -> None:
    first, second = draw("abcd")[:2]
    dying: list[asyncio.Task[None]] = []

    def die_by_the_second(response: protector_pb2.CraftResponse) -> None:
        if bench.protector.requests[-1].identity == second and response.epsilon == 8:
            dying.append(bench.protector.die())

    bench.protector.alter = die_by_the_second
    message = await bench.fails(UnusableServiceError)
    assert message.startswith("the protector at 127.0.0.1:")
    assert "it has not answered since " in message
    assert len({key for key in observed(bench.folder) if key[0] == first}) == 10
    assert {key[0] for key in observed(bench.folder)} <= {first, second}
    bench.protector.alter = lambda response: None
    assert (await bench.evaluate()).csv == await bench.undisturbed()


async def test_a_photo_that_brings_the_protector_down_every_time_does_not_keep_the_others(bench: Bench) -> None:
    bench.protector.broken = {("b", "facenet"): Fault(grpc.StatusCode.UNAVAILABLE, "gone")}
    evaluated = await bench.evaluate()
    assert not evaluated.finished.complete
    assert "failed: b/0.jpg: craft with facenet: " in evaluated.printed
    assert {identity for identity, *_ in observed(bench.folder)} == set("acd")
    bench.protector.broken = {}
    assert (await bench.evaluate()).csv == await bench.undisturbed()


# Services that lie


@pytest.fixture
def lying(bench: Bench) -> Bench:
    """Its invader finds every face and ranks it first, unless it is told to lie."""
    bench.invader.face_found = lambda shown: True
    bench.invader.rank = lambda shown, target_model: 1
    return bench


async def test_an_answer_outside_the_label_set_stops_the_run(lying: Bench) -> None:
    def name_a_stranger(response: invader_pb2.ClassifyResponse) -> None:
        response.classifications[1].candidates[4].identity = "stranger"

    lying.invader.alter = name_a_stranger
    message = await lying.fails(UnusableServiceError)
    assert "resnet50 answered 'stranger', which is not in the label set that it listed" in message
    assert observed(lying.folder) == set()


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (
            lambda response: response.classifications[0].candidates.pop(),
            "expected 5 distinct candidates of facenet, got 4, 4 of them distinct",
        ),
        (
            lambda response: response.classifications[1].candidates[0].CopyFrom(response.classifications[1].candidates[1]),
            "expected 5 distinct candidates of resnet50, got 5, 4 of them distinct",
        ),
        (lambda response: response.classifications.pop(), "expected 5 distinct candidates of resnet50, got 0, 0 of them"),
        (lambda response: response.ClearField("classifications"), "expected 5 distinct candidates of facenet, got 0"),
    ],
)
async def test_an_answer_that_is_not_what_was_asked_for_stops_the_run(
    lying: Bench, alter: Callable[[invader_pb2.ClassifyResponse], None], message: str
) -> None:
    lying.invader.alter = alter
    assert message in await lying.fails(UnusableServiceError)
    assert observed(lying.folder) == set()


def over_budget(response: protector_pb2.CraftResponse) -> None:
    response.largest_change = response.epsilon + 1


def wrong_digest(response: protector_pb2.CraftResponse) -> None:
    response.cloak += b" "


def shares(share: float) -> Callable[[protector_pb2.CraftResponse], None]:
    def alter(response: protector_pb2.CraftResponse) -> None:
        response.zero_gradient_share = share

    return alter


def counts(field: str) -> Callable[[protector_pb2.CraftResponse], None]:
    return lambda response: setattr(response, field, -1)


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (over_budget, "changes pixels by 1 levels, over its budget"),
        (wrong_digest, "does not have the digest that was sent with it"),
        (shares(math.nan), "expected zero_gradient_share within 0..1, got nan"),
        (shares(1.5), "expected zero_gradient_share within 0..1, got 1.5"),
        *(
            (counts(field), f"expected {field} of at least 0, got -1")
            for field in ("n_iter", "largest_change", "gradients", "forward_passes")
        ),
    ],
)
async def test_a_cloak_that_is_not_what_it_is_said_to_be_stops_the_run(
    bench: Bench, alter: Callable[[protector_pb2.CraftResponse], None], message: str
) -> None:
    bench.protector.alter = alter
    assert message in await bench.fails(UnusableServiceError)
    assert bench.invader.asked == Counter(), "it is shown to no one"


# Going on


async def test_a_finished_run_is_gone_on_with_without_a_question(bench: Bench) -> None:
    first = await bench.evaluate()
    bench.protector.requests.clear()
    bench.invader.asked.clear()
    again = await bench.evaluate()
    assert bench.protector.requests == []
    assert bench.invader.asked == Counter()
    assert again.csv == first.csv
    assert again.finished.complete
    assert again.outcome["subjects"] == [f"{identity}/0.jpg" for identity in "abcd"]


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_an_interrupted_run_keeps_what_was_observed_and_goes_on_to_the_same_results(
    bench: Bench, in_flight: int
) -> None:
    third = draw("abcd")[2]
    bench.invader.hold = lambda shown: shown == Shown(third, "facenet", "noise", 8)
    running = asyncio.create_task(bench.evaluate(in_flight=in_flight))
    await bench.invader.held.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    before, kept = observed(bench.folder), recorded_cloaks(bench.folder)
    assert before, "something was observed"
    if in_flight == 1:
        done = {
            (identity, "facenet", *cloak, target) for identity in draw("abcd")[:2] for cloak in CLOAKS for target in TARGETS
        }
        assert before >= done
    bench.protector.asked.clear()
    bench.invader.answered.clear()
    bench.invader.hold = lambda shown: False
    evaluated = await bench.evaluate(in_flight=in_flight)
    assert evaluated.finished.complete
    assert evaluated.csv == await bench.undisturbed()
    answered = {
        (shown.identity, shown.source_model, shown.method, shown.epsilon, target) for shown, target in bench.invader.answered
    }
    assert not answered & before, "nothing that was observed is asked again"
    assert set(bench.invader.answered.values()) == {1}
    crafted_before = {shown for shown in kept if all((*shown_key(shown), target) in before for target in TARGETS)}
    assert not bench.protector.asked.keys() & crafted_before


def shown_key(shown: Shown) -> tuple[str, str, str, int]:
    return shown.identity, shown.source_model, shown.method, shown.epsilon


async def test_a_target_model_with_another_label_set_is_refused_on_going_on(bench: Bench) -> None:
    await bench.evaluate()
    csv_before, bench.invader.asked = (bench.folder / "psr.csv").read_text(), Counter()
    retrained = (*IDENTITIES, "i")
    bench.invader.label_sets = {"facenet": IDENTITIES, "resnet50": retrained}
    message = await bench.fails(InputError)
    assert message.startswith(f"--run: {bench.folder} holds another run; what differs: ")
    digests = f"'{label_set_sha256(IDENTITIES)}' then, '{label_set_sha256(retrained)}' now"
    assert f"target_models.resnet50.label_set_sha256: {digests}" in message
    assert "facenet" not in message
    assert bench.invader.asked == Counter()
    assert (bench.folder / "psr.csv").read_text() == csv_before


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 1}, "protocol.seed: 0 then, 1 now"),
        ({"subjects": 3}, "protocol.subjects: 4 then, 3 now"),
        ({"epsilons": (4,)}, "protocol.grid.epsilons: [4, 8] then, [4] now"),
        ({"conditions": (PAPERS,)}, "protocol.grid.conditions: ['png'] then, ['jpeg:95'] now"),
    ],
)
async def test_another_protocol_is_refused_on_going_on(bench: Bench, changes: dict[str, Any], difference: str) -> None:
    await bench.evaluate()
    assert (await bench.fails(InputError, **changes)).endswith(f"what differs: {difference}")


async def test_a_photo_that_was_exchanged_meanwhile_is_refused_by_name(bench: Bench) -> None:
    bench.invader.fault = failing(ATTEMPTS)
    await bench.evaluate()
    before = observed(bench.folder)
    write_photo(bench.faces / "b" / "0.jpg", level=255)
    assert "b/0.jpg" in await bench.fails(InputError)
    assert observed(bench.folder) == before


async def test_a_photo_that_was_exchanged_while_its_subject_was_begun_is_refused_by_name(bench: Bench) -> None:
    last = draw("abcd")[3]
    bench.invader.hold = lambda shown: shown == Shown(last, "facenet", "bim", 8)
    running = asyncio.create_task(bench.evaluate())
    await bench.invader.held.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    write_photo(bench.faces / last / "0.jpg", level=255)
    assert f"{last}/0.jpg" in await bench.fails(InputError)


async def test_a_begun_subject_whose_photo_was_damaged_meanwhile_is_not_replaced_by_another(bench: Bench) -> None:
    order = draw("abcd")
    bench.invader.fault = lambda shown, time: Fault() if shown.identity == order[0] else None
    await bench.evaluate(subjects=3)
    (bench.faces / order[0] / "0.jpg").write_bytes(b"damaged")
    assert f"{order[0]}/0.jpg" in await bench.fails(InputError, subjects=3)
    assert order[3] not in {identity for identity, *_ in observed(bench.folder)}


async def test_a_subject_that_is_done_needs_its_photo_no_more(bench: Bench) -> None:
    first = await bench.evaluate()
    (bench.faces / "a" / "0.jpg").write_bytes(b"damaged")
    bench.protector.requests.clear()
    bench.invader.asked.clear()
    assert (await bench.evaluate()).csv == first.csv
    assert bench.protector.requests == []
    assert bench.invader.asked == Counter()


async def test_a_kept_cloak_that_was_damaged_is_crafted_again(bench: Bench) -> None:
    bench.invader.fault = failing(ATTEMPTS)
    await bench.evaluate()
    digest = sha256(FAILING.encoded()).hexdigest()
    (bench.folder / "cloaks" / digest[:2] / f"{digest}.png").write_bytes(b"damaged")
    bench.protector.asked.clear()
    evaluated = await bench.evaluate()
    assert bench.protector.asked == {FAILING: 1}
    assert evaluated.csv == await bench.undisturbed()


# The program


async def test_a_complete_run_exits_with_0_and_gives_the_same_results(bench: Bench) -> None:
    program = await run_program(bench)
    assert (program.status, program.errors) == (0, "")
    assert (bench.folder / "psr.csv").read_text() == await bench.undisturbed()


async def test_a_short_run_exits_with_3(bench: Bench) -> None:
    bench.invader.fault = failing(1000)
    program = await run_program(bench)
    assert (program.status, program.errors) == (3, "")
    assert "INCOMPLETE: 2 cells" in program.output


async def test_a_service_that_is_gone_exits_with_1_and_one_line_that_says_how_to_go_on(bench: Bench) -> None:
    dying: list[asyncio.Task[None]] = []
    bench.protector.alter = lambda response: dying.append(bench.protector.die())
    program = await run_program(bench)
    assert program.status == 1
    (line,) = program.errors.splitlines()
    assert line.startswith("error: the protector at 127.0.0.1:")
    assert line.endswith(f"the same command with --run {bench.folder} goes on")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda value: str(value)
)
async def test_a_signal_ends_a_run_in_order_with_its_outcome_and_a_word_on_how_to_go_on(
    bench: Bench, number: signal.Signals, status: int
) -> None:
    bench.invader.hold = lambda shown: shown == Shown(draw("abcd")[1], "facenet", "bim", 8)
    async with bench.protector.serving() as protector, bench.invader.serving() as invader:
        process = await start(bench, protector, invader)
        await bench.invader.held.wait()
        process.send_signal(number)
        program = await finish(process)
    assert program.status == status
    assert program.errors == (
        f"interrupted by {number.name}; what was observed is kept, and the same command with --run {bench.folder} goes on\n"
    )
    assert observed(bench.folder)
    assert manifest(bench.folder)["outcome"]["stopped_by"] == "interrupted"
    assert not read_run(bench.folder).held


async def test_whom_each_target_model_took_a_cloak_for_is_recorded(bench: Bench) -> None:
    bench.invader.rank = lambda shown, target: 1 if target == "facenet" else 2
    bench.invader.face_found = lambda shown: shown.epsilon != 8
    await bench.evaluate()
    with sqlite3.connect(bench.folder / "observations.sqlite") as connection:
        found = set(
            connection.execute("SELECT probe, epsilon, target_model, answer FROM observations WHERE answer NOT NULL")
        )
    named = {(probe.partition("/")[0], target, identity) for probe, epsilon, target, identity in found}
    # The fake's label set is a to h in order: whoever is first of the others comes before a true identity at rank 2.
    assert named == {(name, "facenet", name) for name in "abcd"} | {
        (name, "resnet50", "b" if name == "a" else "a") for name in "abcd"
    }
    assert {epsilon for _, epsilon, *_ in found} == {0, 4}
