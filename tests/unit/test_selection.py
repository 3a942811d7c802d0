"""Which long tests `make test-all` runs after a change."""

import subprocess
from pathlib import Path

import pytest

from tests.support.selection import changed_paths, is_covered

FILE = "tests/end_to_end/test_endurance.py"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("orchestrator/store/store.py", True),
        (FILE, True),
        ("tests/support/fakes.py", True),
        ("requirements.lock", True),
        ("orchestrators_notes.md", False),
        ("recognizers/extraction.py", False),
        ("README.md", False),
    ],
)
def test_a_long_test_runs_where_what_it_covers_changed(changed: str, expected: bool) -> None:
    assert is_covered(FILE, ("orchestrator/",), {changed}) is expected


def test_a_long_test_that_names_no_folder_always_runs() -> None:
    assert is_covered(FILE, (), set())


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init")
    for name in ("committed", "edited"):
        (tmp_path / name).write_text("before")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "base")
    git(tmp_path, "tag", "base")
    return tmp_path


def test_what_was_committed_edited_and_added_since_the_base_is_a_change(repository: Path) -> None:
    assert changed_paths("base", root=repository) == set()
    (repository / "committed").write_text("after")
    git(repository, "commit", "-am", "change")
    (repository / "edited").write_text("after")
    (repository / "ädded").write_text("new")
    assert changed_paths("base", root=repository) == {"committed", "edited", "ädded"}


def test_a_base_that_git_does_not_know_is_none(repository: Path) -> None:
    assert changed_paths("0" * 40, root=repository) is None
