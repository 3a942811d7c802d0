"""The audit log: who asked or enrolled what when, and what became of it. No images, and nothing that was answered."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from deid.invader.v1 import invader_pb2

from gallery_service.enrolment import EnrolOrder
from rpc.errors import DeidRpcError, ServiceError, shorten
from rpc.logs import request_id
from rpc.running_calls import is_cut_off

ANSWERED, NO_FACE, LEFT, CUT_OFF, FAILED = "answered", "no face", "client left", "cut off", "failed"
_REGIONS = {
    invader_pb2.REGION_UNSPECIFIED: "detected",
    invader_pb2.REGION_DETECTED: "detected",
    invader_pb2.REGION_FULL: "full",
}
_NAMES_KEPT, _MAX_NAME = 8, 40  # of target models: a request may hold any number, of any length
_PHOTOS_KEPT = 8  # likewise, of an enrolment
_GALLERY_DIGITS = 16  # that tell galleries apart, and give nobody their names


class AuditError(DeidRpcError):
    """The audit log cannot be written."""


class AuditLog:
    """A JSON object a line: who asked what when, and what became of it.

    The fields of a query are time, client, request_id, image_sha256, image_bytes, target_models, k, region, gallery if it
    is a client's, and outcome: "answered", "no face", "client left", "cut off" where the service stopped before answering,
    the reason of a refusal, or "failed". Those of an enrolment are time, client, request_id, gallery, identity_sha256,
    photos, photo_bytes, photos_sha256 (the first eight) and outcome: "enrolled", or as a query's. A gallery stands by the
    beginning of its name's digest, because who has its name can search it; an identity by its digest, because nobody's name
    is kept. A query or an enrolment whose line cannot be written is not answered.

    The file stays the same when it is renamed; to rotate it, copy and truncate.
    """

    def __init__(self, path: Path | None) -> None:
        """Nothing is kept where there is no path.

        Raises:
            AuditError: the file cannot be opened.
        """
        self._torn = False  # whether the last line lacks its end
        self._closed = False
        try:
            # Appended to by one write a line, so that whoever rotates it may truncate it at any time.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            self._file = None if path is None else os.open(path, flags, 0o600)
        except OSError as error:
            raise AuditError(f"--audit-log: {path}: cannot be written: {error.strerror or error}") from error

    @contextmanager
    def query(self, client: str, request: invader_pb2.ClassifyRequest) -> Iterator[Callable[[str], None]]:
        """Gives what writes the query's line, of its outcome; one that is not written by the end is written as how it ended.

        Raises:
            AuditError, OSError: the line cannot be written.
        """
        with self._line(client, partial(_facts_of_query, request)) as write:
            yield write

    @contextmanager
    def enrolment(self, client: str, order: EnrolOrder) -> Iterator[Callable[[str], None]]:
        """The same for an enrolment's line.

        Raises:
            AuditError, OSError: the line cannot be written.
        """
        with self._line(client, partial(_facts_of_enrolment, order)) as write:
            yield write

    @contextmanager
    def _line(self, client: str, facts: Callable[[], Mapping[str, object]]) -> Iterator[Callable[[str], None]]:
        written = False

        def write(outcome: str) -> None:
            nonlocal written
            written = True
            self._write(client, facts, outcome)

        outcome = FAILED
        try:
            yield write
        except ServiceError as error:
            outcome = error.reason
            raise
        except asyncio.CancelledError:
            outcome = CUT_OFF if is_cut_off() else LEFT
            raise
        finally:
            if not written:
                write(outcome)

    def _write(self, client: str, facts: Callable[[], Mapping[str, object]], outcome: str) -> None:
        if self._closed:  # the file's descriptor may be another file's by now
            raise AuditError("the audit log is closed")
        if self._file is None:
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "client": client,
            "request_id": request_id.get(),
            **facts(),
            "outcome": outcome,
        }
        encoded = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        begun, self._torn = b"\n" if self._torn else b"", True  # until it is written, whatever happens
        if os.write(self._file, begun + encoded) < len(begun + encoded):  # what a disk does that is almost full
            raise AuditError("the audit log's last line could not be written in full")
        self._torn = False

    def close(self) -> None:
        """Closes the file; no line can be written from then on."""
        self._closed = True
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _facts_of_query(request: invader_pb2.ClassifyRequest) -> Mapping[str, object]:
    facts = {
        "image_sha256": hashlib.sha256(request.image).hexdigest(),
        "image_bytes": len(request.image),
        "target_models": [_plain(name) for name in request.target_models[:_NAMES_KEPT]],
        "k": request.k,
        "region": _REGIONS.get(request.region, str(request.region)),
    }
    return facts | {"gallery": _gallery(request.gallery)} if request.gallery else facts


def _facts_of_enrolment(order: EnrolOrder) -> Mapping[str, object]:
    return {
        "gallery": _gallery(order.gallery),
        "identity_sha256": hashlib.sha256(order.identity.encode()).hexdigest(),
        "photos": len(order.photos),
        "photo_bytes": sum(map(len, order.photos)),
        "photos_sha256": order.digests[:_PHOTOS_KEPT],
    }


def _gallery(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:_GALLERY_DIGITS]


def _plain(name: str) -> str:
    """A name without what JSON would write as six characters each."""
    return shorten("".join(each if each.isprintable() else "?" for each in name[: _MAX_NAME + 1]), most=_MAX_NAME)
