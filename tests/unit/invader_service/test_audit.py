"""The audit log: a line on every query, whatever became of it, and nothing of the image."""

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from deid.invader.v1 import invader_pb2

from invader_service import audit
from invader_service.audit import AuditError, AuditLog
from rpc.errors import QUERY_BUDGET_SPENT, ServiceError, invalid_argument
from rpc.logs import request_id

IMAGE = b"\xff\xd8 a face that nobody but its owner may keep \xff\xd9"
REQUEST = invader_pb2.ClassifyRequest(image=IMAGE, target_models=["facenet", "senet50"], k=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def write(log: AuditLog, request: invader_pb2.ClassifyRequest = REQUEST, *, client: str = "ada") -> None:
    with log.query(client, request) as write_line:
        write_line(audit.ANSWERED)


def test_a_line_says_who_asked_what_when_and_what_became_of_it(path: Path) -> None:
    token = request_id.set("abc123")
    write(AuditLog(path))
    request_id.reset(token)
    (line,) = lines(path)
    time = datetime.fromisoformat(line.pop("time"))
    assert time.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)
    assert line == {
        "client": "ada",
        "request_id": "abc123",
        "image_sha256": hashlib.sha256(IMAGE).hexdigest(),
        "image_bytes": len(IMAGE),
        "target_models": ["facenet", "senet50"],
        "k": 3,
        "region": "detected",
        "outcome": "answered",
    }


@pytest.mark.parametrize(
    ("asked", "written"),
    [(invader_pb2.REGION_DETECTED, "detected"), (invader_pb2.REGION_FULL, "full"), (99, "99")],
)
def test_a_line_says_how_the_image_was_to_be_read_even_where_that_is_unknown(path: Path, asked: Any, written: str) -> None:
    write(AuditLog(path), invader_pb2.ClassifyRequest(image=IMAGE, target_models=["facenet"], k=3, region=asked))
    (line,) = lines(path)
    assert line["region"] == written


def test_nothing_of_the_image_is_kept_but_its_digest(path: Path) -> None:
    write(AuditLog(path))
    kept = path.read_bytes()
    for encoded in (IMAGE, IMAGE[2:20], base64.b64encode(IMAGE)[:20], IMAGE.hex().encode()[:20]):
        assert encoded not in kept


REFUSED = ServiceError("spent", code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason=QUERY_BUDGET_SPENT)


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (invalid_argument("k", expected="1", actual="2"), "INVALID_ARGUMENT"),
        (REFUSED, "QUERY_BUDGET_SPENT"),
        (asyncio.CancelledError(), "client left"),
        (RuntimeError("/srv/weights"), "failed"),
    ],
)
def test_a_query_that_is_not_answered_has_its_line_and_its_error_goes_on(
    ending: BaseException, outcome: str, path: Path
) -> None:
    with pytest.raises(type(ending)) as raised, AuditLog(path).query("ada", REQUEST):
        raise ending
    assert raised.value is ending
    assert [line["outcome"] for line in lines(path)] == [outcome]
    assert "/srv/weights" not in path.read_text()


def test_a_photo_without_a_face_is_told_from_an_answer(path: Path) -> None:
    with AuditLog(path).query("ada", REQUEST) as write_line:
        write_line(audit.NO_FACE)
    assert [line["outcome"] for line in lines(path)] == ["no face"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [("two\nlines", "two?lines"), ('"quoted"', '"quoted"'), ("umläut", "umläut"), ("\0", "?"), ("\u2028", "?")],
)
def test_no_name_breaks_a_line(name: str, kept: str, path: Path) -> None:
    log = AuditLog(path)
    write(log, invader_pb2.ClassifyRequest(target_models=[name]), client=name)
    write(log)
    first, second = lines(path)
    assert (first["client"], first["target_models"]) == (name, [kept])
    assert second["client"] == "ada"


def test_a_request_of_many_long_names_makes_a_short_line(path: Path) -> None:
    write(AuditLog(path), invader_pb2.ClassifyRequest(target_models=["\0" * 100_000] * 100))
    assert path.stat().st_size < 700


def test_only_its_owner_may_read_the_file(path: Path) -> None:
    write(AuditLog(path))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_there_already_is_gone_on_with(path: Path) -> None:
    for client in ("ada", "bob"):
        log = AuditLog(path)
        write(log, client=client)
        log.close()
    assert [line["client"] for line in lines(path)] == ["ada", "bob"]


def test_a_file_that_is_emptied_goes_on_from_its_beginning(path: Path) -> None:
    log = AuditLog(path)
    write(log, client="ada")
    path.write_bytes(b"")
    write(log, client="bob")
    assert [line["client"] for line in lines(path)] == ["bob"]


def test_no_line_is_lost_while_the_file_is_moved_away(path: Path, tmp_path: Path) -> None:
    log = AuditLog(path)
    write(log, client="ada")
    moved = path.rename(tmp_path / "audit.1")
    write(log, client="bob")
    assert [line["client"] for line in lines(moved)] == ["ada", "bob"]


def test_without_a_file_nothing_is_kept_and_errors_go_on(tmp_path: Path) -> None:
    log = AuditLog(None)
    write(log)
    with pytest.raises(ServiceError), log.query("ada", REQUEST):
        raise REFUSED
    log.close()
    assert list(tmp_path.iterdir()) == []


def a_folder(path: Path) -> None:
    path.mkdir()


def nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "missing" / "file")


@pytest.mark.parametrize(("make", "reason"), [(a_folder, "Is a directory"), (nowhere, "No such file or directory")])
def test_a_file_that_cannot_be_written_is_refused_by_option_and_name(
    make: Callable[[Path], None], reason: str, path: Path
) -> None:
    make(path)
    with pytest.raises(AuditError) as failure:
        AuditLog(path)
    assert str(failure.value) == f"--audit-log: {path}: cannot be written: {reason}"


def test_a_query_whose_line_cannot_be_written_fails() -> None:
    log = AuditLog(Path("/dev/full"))
    with pytest.raises(OSError, match="No space left on device"):
        write(log)


# In a process of its own, because the limit on files cannot be raised again by everyone.
ALMOST_FULL = """
import resource, sys
from pathlib import Path
from deid.invader.v1 import invader_pb2
from invader_service.audit import AuditError, AuditLog
log = AuditLog(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    with log.query("ada", invader_pb2.ClassifyRequest()):
        pass
except AuditError:
    print("refused")
"""


def test_a_query_whose_line_is_cut_short_fails(path: Path) -> None:
    told = subprocess.run([sys.executable, "-c", ALMOST_FULL, str(path)], capture_output=True, text=True, timeout=60)
    assert told.stdout.strip() == "refused", told.stderr
    assert path.stat().st_size == 100


def test_a_log_that_is_closed_writes_to_no_file_that_was_opened_since(path: Path, tmp_path: Path) -> None:
    log = AuditLog(path)
    log.close()
    with (tmp_path / "another").open("wb") as another:
        with pytest.raises(AuditError, match="closed"):
            write(log)
        log.close()
        another.write(b"its own")
    assert (tmp_path / "another").read_bytes() == b"its own"
    assert lines(path) == []
