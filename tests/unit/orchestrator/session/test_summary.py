"""What is printed at the end of a session."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.session.summary import RunResult, show


@pytest.mark.parametrize(
    ("tables", "printed"), [(False, ["answer", "remark"]), (True, ["answer", "one table", "another", "remark"])]
)
def test_answers_come_first_and_remarks_last_with_all_tables_between_them_where_they_are_wanted(
    tables: bool, printed: list[str]
) -> None:
    text = io.StringIO()
    finished = RunResult(
        complete=True,
        published=True,
        folder=Path("run"),
        answers=["answer"],
        tables=["one table", "another"],
        remarks=["remark"],
    )
    show(finished, Console(file=text), tables=tables)
    assert text.getvalue().splitlines() == printed
