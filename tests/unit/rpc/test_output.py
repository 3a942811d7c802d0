"""A line on a stream, and all that can keep it from being written."""

import io
import sys

import pytest

from rpc.output import say


class Full(io.StringIO):
    """On a disk that is full."""

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


def test_a_line_goes_to_standard_output_and_an_error_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert say("listening")
    assert say("broken", error=True)
    assert capsys.readouterr() == ("listening\n", "broken\n")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("stream", [None, Full(), closed()], ids=["none", "full", "closed"])
def test_a_line_that_cannot_be_written_is_no_error(
    name: str, stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, name, stream)
    assert not say("listening", error=name == "stderr")
    monkeypatch.undo()
    assert capsys.readouterr() == ("", ""), "nor does it go to the other stream"


@pytest.mark.parametrize(("encoding", "written"), [("ascii", rb"\xfc \u674e"), ("latin-1", b"\xfc \\u674e")])
def test_characters_that_the_encoding_lacks_are_escaped(
    encoding: str, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert say("ü 李")
    assert raw.getvalue() == written + b"\n"
