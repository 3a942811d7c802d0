"""A ledger and a rate limit that replicas of an invader share, on a real PostgreSQL server."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc

from invader_service.config import InvaderSettings
from invader_service.database import SharedDatabase
from invader_service.ledger import LedgerError
from invader_service.rate_limit import SharedRateLimit
from invader_service.serve import access_policy_of
from invader_service.shared_ledger import SharedQueryLedger
from rpc.errors import BUSY, QUERY_BUDGET_SPENT, RATE_LIMITED, ServiceError
from rpc.settings import read_settings
from rpc.status import received
from rpc.tls import LOOPBACK_CLIENT
from tests.support.drawn_faces import jpeg
from tests.support.networks import probe
from tests.support.postgres import Cluster, running_cluster
from tests.support.services import serving_invader

IMAGE = jpeg(probe(side=64))
REPLICAS, THREADS, BUDGET = 8, 32, 1000
NAMES = ("ada", "", "ada\0", "Ada", "ädä", "' OR 1=1 --")


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.new_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[SharedDatabase]:
    database = SharedDatabase(url)
    yield database
    database.close()


async def refusal_of(ledger: SharedQueryLedger, client: str = "ada") -> ServiceError:
    with pytest.raises(ServiceError) as refusal:
        await ledger.charge(client)
    return refusal.value


async def answered(address: str) -> invader_pb2.ClassifyResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        request = invader_pb2.ClassifyRequest(image=IMAGE, target_models=["small"], k=1)
        return await invader_pb2_grpc.InvaderServiceStub(channel).Classify(request, timeout=60)


async def test_of_1000_queries_that_32_threads_ask_8_replicas_1000_are_answered_and_the_next_is_refused_by_all(
    url: str,
) -> None:
    reasons: Counter[str | None] = Counter()
    answers: list[int] = []

    async def ask(address: str) -> None:
        while True:
            try:
                answers.append((await answered(address)).queries_left)
            except grpc.aio.AioRpcError as error:
                reasons[received(error).reason] += 1
                if received(error).reason == QUERY_BUDGET_SPENT:
                    return

    async with AsyncExitStack() as stack:
        addresses = []
        for _ in range(REPLICAS):
            database = SharedDatabase(url)
            stack.callback(database.close)
            ledger = SharedQueryLedger(database, budget=BUDGET)
            replica = await stack.enter_async_context(serving_invader(ledger=ledger, max_waiting=THREADS))
            addresses.append(replica.address)
        async with asyncio.TaskGroup() as threads:
            for number in range(THREADS):
                threads.create_task(ask(addresses[number % REPLICAS]))
    assert len(answers) == BUDGET
    assert sorted(answers) == list(range(BUDGET)), "no two replicas gave the same query away"
    assert reasons == {QUERY_BUDGET_SPENT: THREADS}


async def test_a_budget_is_one_for_all_replicas_and_each_says_what_is_left(url: str) -> None:
    databases = SharedDatabase(url), SharedDatabase(url)
    one, other = (SharedQueryLedger(database, budget=3) for database in databases)
    assert [await one.charge("ada"), await other.charge("ada"), await other.left("ada")] == [2, 1, 1]
    assert await one.charge("ada") == 0
    told = await refusal_of(other)
    assert (told.reason, told.retry_after_ms) == (QUERY_BUDGET_SPENT, -1)
    await other.refund("ada")
    assert await one.left("ada") == 1
    for database in databases:
        database.close()


async def test_clients_do_not_share_a_budget_whatever_their_names(database: SharedDatabase) -> None:
    ledger = SharedQueryLedger(database, budget=1)
    assert [await ledger.charge(name) for name in NAMES] == [0] * len(NAMES)
    assert {(await refusal_of(ledger, name)).reason for name in NAMES} == {QUERY_BUDGET_SPENT}


async def test_without_a_budget_queries_are_counted(database: SharedDatabase) -> None:
    ledger = SharedQueryLedger(database, budget=None)
    assert [await ledger.charge("ada") for _ in range(3)] == [None] * 3
    assert await ledger.left("ada") is None
    assert await SharedQueryLedger(database, budget=5).left("ada") == 2


async def test_a_refund_never_gives_more_than_the_budget(database: SharedDatabase) -> None:
    ledger = SharedQueryLedger(database, budget=2)
    await ledger.refund("ada")
    await ledger.charge("ada")
    await ledger.refund("ada")
    await ledger.refund("ada")
    assert await ledger.left("ada") == 2


async def test_a_query_that_fails_is_not_charged(database: SharedDatabase) -> None:
    ledger = SharedQueryLedger(database, budget=2)
    with pytest.raises(ZeroDivisionError):
        async with ledger.charged("ada"):
            raise ZeroDivisionError
    assert await ledger.left("ada") == 2


async def test_a_caller_that_leaves_while_it_is_charged_is_charged(database: SharedDatabase) -> None:
    ledger = SharedQueryLedger(database, budget=2)
    charging = asyncio.create_task(ledger.charge("ada"))
    await asyncio.sleep(0)  # until the statement has begun
    charging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await charging
    assert await ledger.left("ada") == 1, "statements take turns"


KILLED = """
import asyncio, os, signal, sys
from invader_service.database import SharedDatabase
from invader_service.shared_ledger import SharedQueryLedger

async def main():
    ledger = SharedQueryLedger(SharedDatabase(sys.argv[1]), budget=5)
    async with ledger.charged("ada"):
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_replica_that_is_killed_gives_nothing_back(url: str, database: SharedDatabase) -> None:
    arguments = [sys.executable, "-c", KILLED, url]
    killed = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert await SharedQueryLedger(database, budget=5).left("ada") == 4


async def test_while_the_database_is_away_clients_are_told_to_come_back_and_nothing_is_answered() -> None:
    with running_cluster() as cluster:
        url = cluster.new_database()
        database = SharedDatabase(url)
        ledger = SharedQueryLedger(database, budget=2)
        async with serving_invader(ledger=ledger) as service:
            assert (await answered(service.address)).queries_left == 1
            await asyncio.to_thread(cluster.stop)
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await answered(service.address)
            await asyncio.to_thread(cluster.start)
            assert (await answered(service.address)).queries_left == 0, "what was refused is not charged"
        database.close()
    told = received(failure.value)
    assert (told.code, told.reason, told.retry_after_ms) == (grpc.StatusCode.RESOURCE_EXHAUSTED, BUSY, 1000)
    assert told.message == "busy: the query ledger does not answer; try again later"


async def test_a_rate_is_one_for_all_replicas(url: str) -> None:
    databases = SharedDatabase(url), SharedDatabase(url)
    # Ten seconds a query: none comes due while the test runs.
    one, other = (SharedRateLimit(0.1, database) for database in databases)
    await one.admit("ada")
    for limit in (one, other):
        with pytest.raises(ServiceError, match=r"^at most 0\.1 queries a second$") as refusal:
            await limit.admit("ada")
        assert refusal.value.reason == RATE_LIMITED
        assert 0 < (refusal.value.retry_after_ms or 0) <= 10_000
    await other.admit("bob")
    for database in databases:
        database.close()


async def test_a_second_s_worth_may_come_at_once_and_who_comes_back_when_told_to_is_admitted(url: str) -> None:
    database = SharedDatabase(url)
    limit = SharedRateLimit(2, database)
    for _ in range(2):
        await limit.admit("ada")

    async def until_refused() -> None:
        while True:  # once more, unless half a second has passed
            await limit.admit("ada")

    with pytest.raises(ServiceError) as refusal:
        await until_refused()
    # In place of a clock that a test winds on: the row says what the client had when it was told to come back.
    await database.row("UPDATE rates SET due = due - %(wait)s * 1000000", wait=refusal.value.retry_after_ms)
    await limit.admit("ada")
    database.close()


async def test_the_settings_of_the_service_share_ledger_and_rate(url: str) -> None:
    arguments = ["--ledger", url, "--query-budget", "3", "--rate-limit", "1000"]
    settings = read_settings(InvaderSettings, program="invader-service", arguments=arguments)
    with access_policy_of(settings) as one, access_policy_of(settings) as other:
        assert isinstance(one.rate_limit, SharedRateLimit)
        await one.ledger.charge(LOOPBACK_CLIENT)
        assert await other.ledger.left(LOOPBACK_CLIENT) == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg://ada:secret@127.0.0.1:1/ledger", r"^--ledger: 127\.0\.0\.1/ledger: expected a database that"),
        ("postgresql+psycopg://ada:secret@[::1/x", r"^--ledger: expected postgresql\+psycopg://USER:PASSWORD@HOST:PORT/D"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(LedgerError, match=message) as failure:
        SharedDatabase(url)
    assert "secret" not in str(failure.value)


def test_tables_of_another_program_are_refused(url: str, postgres: Cluster) -> None:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE queries (text text)")
    with pytest.raises(LedgerError, match='expected a database that can be written, got: column "client" does not exist'):
        SharedDatabase(url)


def test_another_kind_of_url_is_refused_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(InvaderSettings, program="invader-service", arguments=["--ledger", "mysql://ada:secret@host/x"])
    told = capsys.readouterr().err
    assert "--ledger: expected a file, or postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE, got another URL" in told
    assert "secret" not in told
