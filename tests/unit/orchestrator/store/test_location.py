"""Where a store may be, and that no password is shown."""

import sys
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.store.location import store_name
from orchestrator.store.store import Store


def test_a_path_and_a_url_of_a_file_are_the_same_place(tmp_path: Path) -> None:
    path = tmp_path / "observations.sqlite"
    by_path, by_url = Store(path, run="r"), Store(f"sqlite:///{path}", run="r")
    by_path.leases.draw(["alice"])
    assert by_url.leases.claim(wanted=1) == "alice"
    assert (by_path.name, by_url.name) == (str(path), f"sqlite:///{path}")
    by_path.close()
    by_url.close()


@pytest.mark.parametrize("folder", ["plain", "a b", "what?", "50%20", "#1", "a&b=c", "jürgen"])
def test_a_file_is_opened_again_by_its_name_from_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """A run folder keeps the name."""
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    first = Store("sqlite:///shared.sqlite", run="r")
    first.leases.draw(["alice"])
    monkeypatch.chdir("/")
    again = Store(first.name, run="r")
    assert again.leases.claim(wanted=1) == "alice"
    assert again.name == first.name
    first.close()
    again.close()
    assert (tmp_path / folder / "shared.sqlite").is_file()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+psycopg://me:s3cret@db:5433/bench", "postgresql+psycopg://me@db:5433/bench"),
        ("postgresql://me:s3cret@db/bench", "postgresql+psycopg://me@db/bench"),
        ("postgresql+psycopg:///bench?host=/run/pg&password=s3cret", "postgresql+psycopg:///bench?host=%2Frun%2Fpg"),
        ("postgresql+psycopg://db/bench?sslpassword=s3cret", "postgresql+psycopg://db/bench"),
    ],
)
def test_a_location_is_shown_without_its_password(url: str, name: str) -> None:
    assert store_name(url) == name


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("runs/observations.sqlite", "something without :// that cannot be read as a URL"),
        ("postgresql+psycopg://me:s3cret@db:port/bench", r"one of postgresql\+psycopg:// that cannot be read as a URL"),
        ("mysql://me:s3cret@db/bench", "one of mysql://$"),
        ("postgresql+asyncpg://me:s3cret@db/bench", r"one of postgresql\+asyncpg://$"),
        ("postgresql+psycopg://me:s3cret@db", r"one of postgresql\+psycopg:// without a database"),
        ("sqlite://", "a SQLite URL without a file"),
        ("sqlite:///:memory:", "a SQLite URL without a file"),
        ("", "something without ://"),
    ],
)
def test_what_is_no_location_is_refused_and_says_what_is_one(url: str, got: str) -> None:
    with pytest.raises(InputError, match=f"^--store: expected sqlite:///FILE or postgresql.*, got {got}") as failure:
        Store(url, run="r")
    assert "s3cret" not in str(failure.value)


def test_without_psycopg_a_postgresql_store_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    with pytest.raises(InputError, match=r"pip install 'face-deid-bench\[postgresql\]'"):
        Store("postgresql+psycopg://db/bench", run="r")
