"""Logs are a JSON object a line."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from rpc.logs import JsonFormatter, configure_logging, request_id


def formatted(message: str, *arguments: object, **extra: object) -> dict[str, Any]:
    record = logging.getLogger("a.logger").makeRecord(
        "a.logger", logging.WARNING, "file.py", 1, message, arguments, None, extra=extra
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    read: dict[str, Any] = json.loads(text)
    return read


def test_a_record_has_its_level_logger_event_and_fields() -> None:
    fields = formatted("crafted %d", 3, seconds=1.5, identity="李雷")
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "warning",
        "logger": "a.logger",
        "event": "crafted 3",
        "seconds": 1.5,
        "identity": "李雷",
    }


def test_a_line_is_ascii_and_json_whatever_is_logged() -> None:
    record = logging.LogRecord("a", logging.INFO, "f", 1, "ü 李雷 \N{GRINNING FACE} \udcff", (), None)
    text = JsonFormatter().format(record)
    assert text.isascii()
    assert json.loads(text)["event"] == "ü 李雷 \N{GRINNING FACE} \udcff"


def test_a_record_has_the_id_of_its_request() -> None:
    token = request_id.set("abc")
    try:
        assert formatted("crafted")["request_id"] == "abc"
    finally:
        request_id.reset(token)
    assert "request_id" not in formatted("crafted")


def test_what_json_does_not_know_is_written_as_text() -> None:
    assert formatted("crafted", code=ValueError("of no type that JSON knows"))["code"] == "of no type that JSON knows"


def test_line_breaks_do_not_begin_a_new_record() -> None:
    assert formatted('a\nb {"level": "error"}')["event"] == 'a\nb {"level": "error"}'


def test_an_exception_is_logged_with_its_traceback() -> None:
    try:
        raise ZeroDivisionError("here")
    except ZeroDivisionError:
        record = logging.LogRecord("a", logging.ERROR, "f", 1, "incident", (), sys.exc_info())
    traceback = json.loads(JsonFormatter().format(record))["traceback"]
    assert traceback.startswith("Traceback")
    assert traceback.endswith("ZeroDivisionError: here")


def test_logs_go_to_standard_error_from_the_level_on_that_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    handlers, level = root.handlers, root.level
    root.handlers = []
    try:
        configure_logging("warning")
        logging.getLogger("a").info("too little")
        logging.getLogger("a").warning("enough")
    finally:
        root.handlers, root.level = handlers, level
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert json.loads(line)["event"] == "enough"


def test_a_warning_is_a_line_of_the_log_too() -> None:
    script = (
        "import warnings; from rpc.logs import configure_logging; configure_logging('info'); warnings.warn('two\\nlines')"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    (line,) = finished.stderr.splitlines()
    logged = json.loads(line)
    assert logged["logger"] == "py.warnings"
    assert logged["level"] == "warning"
    assert "two\nlines" in logged["event"]
