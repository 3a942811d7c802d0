"""Which tests of `make test-all` a change can have broken: the marker `thorough` says what each covers.

`thorough` tests are long and rarely broken. `make test` leaves them out; `make test-all` runs those whose covered paths, or
whose own files, differ from the commit that the environment variable CI_BASE names. Where it names none, all of them run.
"""

import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

THOROUGH, BASE = "thorough", "CI_BASE"
ROOT = Path(__file__).parents[2]
# A change of these can break any test.
COVERED_BY_ALL = ("protos/", "pyproject.toml", "requirements", "tests/conftest.py", "tests/support/", "Makefile", ".ci/")


def changed_paths(base: str, *, root: Path = ROOT) -> Collection[str] | None:
    """The paths that differ from a commit, uncommitted ones too; None where git does not know that commit."""
    paths: set[str] = set()
    for command in (["diff", "--name-only", "-z", base, "--"], ["ls-files", "-z", "--others", "--exclude-standard"]):
        listed = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True)
        if listed.returncode != 0:
            return None
        paths.update(filter(None, listed.stdout.split("\0")))
    return paths


def is_covered(file: str, covers: Sequence[str], changed: Collection[str]) -> bool:
    """Whether a change of these paths can break a test in a file that covers some folders; naming none covers all."""
    if not covers:
        return True
    return any(path == file or path.startswith((*covers, *COVERED_BY_ALL)) for path in changed)


def leave_out_uncovered(config: pytest.Config, items: list[pytest.Item], base: str) -> int:
    """Deselects the thorough tests that no change since `base` can have broken; returns how many.

    Without a base, or with one that git does not know, none is.
    """
    changed = changed_paths(base) if base else None
    if changed is None:
        return 0
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        marker = item.get_closest_marker(THOROUGH)
        covered = marker is None or is_covered(item.nodeid.partition("::")[0], marker.args, changed)
        (kept if covered else left_out).append(item)
    if left_out:
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)
    return len(left_out)
