"""The query ledger: budgets are held, what was refused is free, and nothing is forgotten."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import hypothesis.strategies as st
import pytest
from hypothesis import given

from invader_service.ledger import LedgerError, QueryLedger
from rpc.errors import QUERY_BUDGET_SPENT, ServiceError

CLIENTS = ("ada", "bob", "", "ada\0", "Ada", "ädä", "' OR 1=1 --")


async def spend(ledger: QueryLedger, queries: int, client: str = "ada") -> None:
    for _ in range(queries):
        await ledger.charge(client)


async def is_refused(ledger: QueryLedger, client: str = "ada") -> bool:
    try:
        await ledger.charge(client)
    except ServiceError:
        return True
    return False


async def test_a_budget_is_spent_query_by_query_and_then_refused_for_good() -> None:
    ledger = QueryLedger(None, budget=3)
    left = [await ledger.left("ada")]
    for _ in range(3):
        await ledger.charge("ada")
        left.append(await ledger.left("ada"))
    assert left == [3, 2, 1, 0]
    for _ in range(2):
        with pytest.raises(ServiceError, match=r"^the budget of 3 queries is spent$") as refusal:
            await ledger.charge("ada")
        told = refusal.value
        assert (told.code, told.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, QUERY_BUDGET_SPENT)
        assert told.retry_after_ms == -1
    assert await ledger.left("ada") == 0, "a refused query is not charged"


async def test_without_a_budget_queries_are_counted_and_none_is_refused(tmp_path: Path) -> None:
    ledger = QueryLedger(tmp_path / "ledger", budget=None)
    await spend(ledger, 50)
    assert await ledger.left("ada") is None
    ledger.close()
    assert await QueryLedger(tmp_path / "ledger", budget=60).left("ada") == 10


async def test_clients_do_not_share_a_budget() -> None:
    ledger = QueryLedger(None, budget=1)
    assert [await is_refused(ledger, client) for client in CLIENTS] == [False] * len(CLIENTS)
    assert [await is_refused(ledger, client) for client in CLIENTS] == [True] * len(CLIENTS)


async def test_a_refunded_query_can_be_asked_again() -> None:
    ledger = QueryLedger(None, budget=1)
    await ledger.charge("ada")
    await ledger.refund("ada")
    assert not await is_refused(ledger)
    assert await is_refused(ledger)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_refund_never_gives_more_than_the_budget(client: str) -> None:
    ledger = QueryLedger(None, budget=2)
    await ledger.refund(client)
    assert await ledger.left(client) == 2
    await spend(ledger, 1, client)
    await ledger.refund(client)
    await ledger.refund(client)
    assert await ledger.left(client) == 2


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(CLIENTS), st.booleans()), max_size=60))
async def test_whatever_is_charged_and_refunded_the_count_is_right(budget: int, steps: list[tuple[str, bool]]) -> None:
    ledger = QueryLedger(None, budget=budget)
    used: Counter[str] = Counter()
    for client, charges in steps:
        if charges:
            assert await is_refused(ledger, client) == (used[client] == budget)
            used[client] = min(budget, used[client] + 1)
        else:
            await ledger.refund(client)
            used[client] = max(0, used[client] - 1)
        assert {each: await ledger.left(each) for each in CLIENTS} == {each: budget - used[each] for each in CLIENTS}


async def test_a_query_is_charged_while_it_is_computed_and_for_good_once_it_is_answered() -> None:
    ledger = QueryLedger(None, budget=2)
    async with ledger.charged("ada"):
        assert await ledger.left("ada") == 1
    assert await ledger.left("ada") == 1


async def test_a_query_that_fails_is_not_charged() -> None:
    ledger = QueryLedger(None, budget=2)
    with pytest.raises(ZeroDivisionError):
        async with ledger.charged("ada"):
            raise ZeroDivisionError
    assert await ledger.left("ada") == 2


async def test_a_query_that_is_refused_for_the_budget_is_not_refunded() -> None:
    ledger = QueryLedger(None, budget=1)
    await spend(ledger, 1)
    with pytest.raises(ServiceError):
        async with ledger.charged("ada"):
            pytest.fail("it was let in")
    assert await ledger.left("ada") == 0


async def test_a_client_that_leaves_is_charged() -> None:
    class Left(BaseException):
        """As a cancellation is: no `Exception`."""

    ledger = QueryLedger(None, budget=2)
    with pytest.raises(Left):
        async with ledger.charged("ada"):
            raise Left
    assert await ledger.left("ada") == 1


async def test_a_file_that_is_opened_again_remembers(tmp_path: Path) -> None:
    first = QueryLedger(tmp_path / "ledger", budget=5)
    await spend(first, 2, "ada")
    await spend(first, 5, "bob")
    first.close()
    again = QueryLedger(tmp_path / "ledger", budget=5)
    assert (await again.left("ada"), await again.left("bob"), await again.left("cyd")) == (3, 0, 5)
    assert await is_refused(again, "bob")


async def test_another_budget_counts_what_was_asked_before(tmp_path: Path) -> None:
    small = QueryLedger(tmp_path / "ledger", budget=5)
    await spend(small, 5)
    small.close()
    larger = QueryLedger(tmp_path / "ledger", budget=8)
    assert await larger.left("ada") == 3
    larger.close()
    smaller = QueryLedger(tmp_path / "ledger", budget=2)
    assert await smaller.left("ada") == 0
    assert await is_refused(smaller)


async def test_two_services_with_one_file_share_a_budget(tmp_path: Path) -> None:
    one, other = (QueryLedger(tmp_path / "ledger", budget=3) for _ in range(2))
    await spend(one, 2)
    assert await other.left("ada") == 1
    await spend(other, 1)
    assert await is_refused(one)


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from invader_service.ledger import QueryLedger

async def main():
    ledger = QueryLedger(Path(sys.argv[1]), budget=5)
    async with ledger.charged("ada"):
        pass
    async with ledger.charged("ada"):
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def run_killed(ledger: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", KILLED, str(ledger)], capture_output=True, timeout=60)


async def test_a_process_that_is_killed_has_charged_what_it_was_computing(tmp_path: Path) -> None:
    killed = await asyncio.to_thread(run_killed, tmp_path / "ledger")
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert await QueryLedger(tmp_path / "ledger", budget=5).left("ada") == 3


def no_database(path: Path) -> None:
    path.write_text("queries: ada 3\n" * 100)


def a_folder(path: Path) -> None:
    path.mkdir()


def nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "missing" / "file")


def another_program_s(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE queries (text TEXT)")


@pytest.mark.parametrize("make", [no_database, a_folder, nowhere, another_program_s])
def test_a_file_that_is_no_ledger_is_refused_by_option_and_name(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    make(path)
    with pytest.raises(LedgerError) as failure:
        QueryLedger(path, budget=3)
    assert str(failure.value).startswith(f"--ledger: {path}: expected a file that can be written, got: ")
