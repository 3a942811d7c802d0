"""Programs run within this process, with what they leave on the terminal."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Answer:
    """What a run of a program left on the terminal."""

    status: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, str]:
        """The lines of a report by their first word."""
        return {name: fact.strip() for name, fact in (line.split(":", 1) for line in self.out.splitlines())}


@dataclass(frozen=True)
class Program:
    """A program's entry, to be called with arguments."""

    main: Callable[[], object]
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, main: Callable[[], object] | None = None) -> Answer:
        """Runs it, or another entry in its place."""
        self.monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            (main or self.main)()
        captured = self.capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Answer(left.value.code, captured.out, captured.err)
