"""Replicas of both services, as fakes: they come, go, are slow, busy or others than the run began with."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc
import pytest
from deid.protector.v1 import protector_pb2

from orchestrator.doctor.finding import Verdict
from orchestrator.doctor.wire import _examine_models, examine_services
from orchestrator.errors import (
    GalleryGoneError,
    InputError,
    OrchestratorError,
    ServiceChangedError,
    ThrottledError,
    UnreachableServiceError,
)
from orchestrator.services.addresses import replica_addresses
from orchestrator.services.invader import InvaderClient
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.replicated_invader import ReplicatedInvader, open_invader
from orchestrator.services.replicated_protector import open_protector
from orchestrator.services.retries import RetryPolicy
from rpc.certificates import Authority
from tests.support.bench import IDENTITIES, TARGETS, Bench, face_found, rank
from tests.support.certificates import material, of_elsewhere
from tests.support.client_galleries import MATCHER, matchers_of, photo_file
from tests.support.fakes import Context, FakeInvader, FakeProtector, Fault, Shown
from tests.support.services import serving_invader

SECONDS = 30.0  # until a test that hangs fails
SHOWN = Shown("a", "facenet", "bim", 4)
BUSY = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", "BUSY", retry_after_ms=60_000)


def an_invader(**changes: object) -> FakeInvader:
    return FakeInvader(dict.fromkeys(TARGETS, IDENTITIES), rank, face_found, **changes)  # type: ignore[arg-type]


def a_protector() -> FakeProtector:
    return FakeProtector({"facenet": IDENTITIES})


def crafted(protectors: Sequence[FakeProtector]) -> list[int]:
    return [len(each.requests) for each in protectors]


def asked(invaders: Sequence[FakeInvader]) -> list[int]:
    return [each.asked.total() for each in invaders]


@asynccontextmanager
async def serving(*fakes: FakeProtector | FakeInvader) -> AsyncIterator[list[str]]:
    """Their addresses."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(each.serving()) for each in fakes]


# A whole run.


async def test_a_run_through_replicas_has_the_figures_of_a_run_through_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    protectors, invaders = [a_protector() for _ in range(3)], [an_invader() for _ in range(3)]
    async with serving(*protectors) as of_protectors, serving(*invaders) as of_invaders:
        evaluated = await bench.evaluate_at(",".join(of_protectors), ",".join(of_invaders), in_flight=4)
    assert evaluated.csv == await bench.undisturbed()
    assert sum(crafted(protectors)) == 4
    assert all(crafted(protectors)), "each has its share"
    assert all(asked(invaders)), "each has its share"
    assert sum(asked(invaders)) == 4 * 5


async def test_replicas_that_die_during_a_run_cost_no_observation_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A call that a dying server cuts off may just fail: the next finds it gone, and must come before the run is over.
    monkeypatch.setattr("orchestrator.services.replicas.FAILED_MS", 0)
    bench = Bench(tmp_path)
    protectors, invaders = [a_protector(), a_protector()], [an_invader(), an_invader()]

    def die_at_the_second_query(shown: Shown, time: int) -> Fault | None:
        if invaders[0].asked.total() == 2:
            invaders[0].die()
        return None

    invaders[0].fault = die_at_the_second_query

    def die_while_crafting(response: protector_pb2.CraftResponse) -> None:
        protectors[0].die()

    protectors[0].alter = die_while_crafting
    async with serving(*protectors) as of_protectors, serving(*invaders) as of_invaders:
        evaluated = await bench.evaluate_at(",".join(of_protectors), ",".join(of_invaders), in_flight=4)
    assert evaluated.finished.complete
    assert evaluated.csv == await bench.undisturbed()
    for kind, address in (("protector", of_protectors[0]), ("invader", of_invaders[0])):
        assert f"{kind} at {address} is away: " in evaluated.printed
    assert "; going on with another" in evaluated.printed


async def test_a_replica_that_offers_other_models_is_refused_and_named_and_the_others_go_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    invaders = [an_invader(), FakeInvader(dict.fromkeys(TARGETS, IDENTITIES[:-1]), rank, face_found), an_invader()]
    async with bench.protector.serving() as protector, serving(*invaders) as addresses:
        evaluated = await bench.evaluate_at(protector, ",".join(addresses), in_flight=4)
    assert evaluated.csv == await bench.undisturbed()
    assert asked(invaders)[1] == 0
    said = (
        f"invader at {addresses[1]} is refused: it offers other models than the first: facenet.identities: 8 there, 7 here"
    )
    assert said in evaluated.printed


async def test_where_no_replica_answers_a_run_does_not_begin(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    async with bench.protector.serving() as protector:
        with pytest.raises(
            UnreachableServiceError, match=r"^the invader at 127\.0\.0\.1:1 does not answer: nothing listens"
        ):
            await bench.evaluate_at(protector, "127.0.0.1:1,127.0.0.1:2")


async def test_what_is_no_address_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(InputError, match=r"^--protector: a:1,b: expected host:port"):
        await bench.evaluate_at("a:1,b", "127.0.0.1:1")


class AllAtOnce(FakeProtector):
    """Crafts nothing before so many calls are there, at all such protectors together."""

    together = 8
    waiting = 0
    all_there: asyncio.Event

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        AllAtOnce.waiting += 1
        if AllAtOnce.waiting == self.together:
            self.all_there.set()
        await asyncio.wait_for(self.all_there.wait(), SECONDS)
        async for response in super().Craft(request, context):
            yield response


async def test_the_subjects_in_flight_follow_the_number_of_protectors(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.add(*IDENTITIES)
    AllAtOnce.waiting, AllAtOnce.all_there = 0, asyncio.Event()
    protectors = [AllAtOnce({"facenet": IDENTITIES}) for _ in range(2)]
    async with serving(*protectors) as addresses, bench.invader.serving() as invader:
        evaluated = await bench.evaluate_at(",".join(addresses), invader, in_flight=None, subjects=8)
    assert evaluated.finished.complete
    assert crafted(protectors) == [4, 4]


# Call by call.


@dataclass
class Pool:
    """Replicas whose addresses are in a file that a test writes, and the notes about them."""

    path: Path
    client: ReplicatedInvader = field(init=False)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        text = f"@{self.path}"
        self.client = ReplicatedInvader(
            "invader",
            text,
            addresses=replica_addresses("invader", text),
            open_client=InvaderClient,
            note=self.notes.append,
            interval=10_000,  # seconds: a test looks when it wants to
        )

    async def list(self, *addresses: str) -> None:
        """Lists addresses, and lets the client see."""
        self.path.write_text("\n".join(addresses))
        await self.client.refresh()

    async def begin(self, *addresses: str) -> None:
        self.path.write_text("\n".join(addresses))
        await self.client.models()

    async def classify(self) -> None:
        await asyncio.wait_for(self.client.classify(SHOWN.encoded(), target_models=["facenet"], k=5), SECONDS)

    def retries(self) -> RetryPolicy:
        models = partial(self.client.check_unchanged, self.client._models)
        gate = RecoveryGate(self.client.name, check=models, outage_timeout=SECONDS, note=self.notes.append)
        return RetryPolicy(gate, outage_timeout=SECONDS, note=self.notes.append)


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[Pool]:
    pool = Pool(tmp_path / "addresses")
    yield pool
    await pool.client.close()


async def test_a_replica_that_is_listed_during_a_run_gets_its_share(pool: Pool) -> None:
    invaders = an_invader(), an_invader()
    async with serving(*invaders) as (first, second):
        await pool.begin(first)
        for _ in range(3):
            await pool.classify()
        await pool.list(first, second)
        for _ in range(4):
            await pool.classify()
    assert asked(invaders)[1] >= 2
    assert pool.notes == [f"invader at {second} is listed now"]


async def test_a_replica_that_is_not_listed_any_more_answers_what_it_was_asked_and_is_asked_no_more(pool: Pool) -> None:
    invaders, released = (an_invader(), an_invader()), asyncio.Event()

    async def held(request: object, context: object) -> object:
        invaders[0].held.set()
        await released.wait()
        return await FakeInvader.Classify(invaders[0], request, context)  # type: ignore[arg-type]

    invaders[0].Classify = held  # type: ignore[assignment, method-assign]
    async with serving(*invaders) as (first, second):
        await pool.begin(first)
        under_way = asyncio.create_task(pool.classify())
        await asyncio.wait_for(invaders[0].held.wait(), SECONDS)
        await pool.list(second)
        for _ in range(3):
            await pool.classify()
        released.set()
        await under_way
    assert asked(invaders) == [1, 3]
    assert f"invader at {first} is not listed any more" in pool.notes


async def test_a_list_that_cannot_be_read_changes_nothing_and_is_complained_of_once(pool: Pool) -> None:
    invader = an_invader()
    async with serving(invader) as (address,):
        await pool.begin(address)
        for content in ("", "", "no address"):
            await pool.list(content)
        await pool.classify()
    assert len(pool.notes) == 2
    assert pool.notes[0].endswith(
        "expected at least one address, host:port, got none; going on with the addresses that were there before"
    )


async def test_a_slow_replica_holds_up_none_but_the_calls_that_it_has(pool: Pool) -> None:
    slow, quick = an_invader(hold=lambda shown: True), an_invader()
    async with serving(slow, quick) as addresses:
        await pool.begin(*addresses)
        first = [asyncio.create_task(pool.classify()) for _ in range(2)]
        await asyncio.wait_for(slow.held.wait(), SECONDS)
        for _ in range(10):
            await pool.classify()
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)
    assert asked([slow, quick]) == [1, 11]


async def test_a_busy_replica_is_passed_over_and_the_call_may_be_made_again_at_once(pool: Pool) -> None:
    busy, idle = an_invader(fault=lambda shown, time: BUSY), an_invader()
    async with serving(busy, idle) as addresses:
        await pool.begin(*addresses)
        assert pool.client.capacity == 2
        with pytest.raises(ThrottledError) as refusal:
            await asyncio.gather(pool.classify(), pool.classify())
        assert refusal.value.retry_after_ms == 0, "another is free"
        assert pool.client.capacity == 1
        for _ in range(5):
            await pool.classify()
    assert asked([busy])[0] == 1


async def test_where_all_are_busy_a_call_is_made_again_when_the_service_says(pool: Pool) -> None:
    invaders = [an_invader(fault=lambda shown, time: BUSY) for _ in range(2)]
    async with serving(*invaders) as addresses:
        await pool.begin(*addresses)
        told = []
        for _ in range(3):
            with pytest.raises(ThrottledError) as refusal:
                await pool.classify()
            told.append(refusal.value.retry_after_ms)
    assert told == [0, 60_000, 60_000]
    assert pool.client.capacity == 1, "the number of subjects in flight follows it"


async def test_a_replica_that_fails_every_call_at_once_does_not_attract_them_all(pool: Pool) -> None:
    broken, sound = an_invader(fault=lambda shown, time: Fault()), an_invader()
    async with serving(broken, sound) as addresses:
        await pool.begin(*addresses)
        failed = 0
        for _ in range(10):
            try:
                await pool.classify()
            except OrchestratorError:
                failed += 1
    assert failed == asked([broken])[0] <= 1


async def test_calls_go_on_with_those_that_are_left_and_with_one_that_comes_back(pool: Pool) -> None:
    first, second = an_invader(), an_invader()
    async with second.serving() as second_address:
        async with first.serving() as address:
            await pool.begin(address, second_address)
        retries = pool.retries()
        for _ in range(4):
            await retries.call(pool.classify)
        assert asked([second])[0] == 4
        async with first.serving(address):
            while first.asked.total() == 0:
                await pool.client.refresh()
                await retries.call(pool.classify)
    assert f"invader at {address} is used again" in pool.notes


async def test_one_that_comes_back_with_other_models_is_refused_and_the_others_go_on(pool: Pool) -> None:
    first, second, other = an_invader(), an_invader(), FakeInvader({"facenet": IDENTITIES[:-1]}, rank, face_found)
    async with second.serving() as second_address:
        async with first.serving() as address:
            await pool.begin(address, second_address)
        retries = pool.retries()
        await retries.call(pool.classify)
        await retries.call(pool.classify)
        async with other.serving(address):
            async with asyncio.timeout(SECONDS):
                while not any(note.startswith(f"invader at {address} is refused: ") for note in pool.notes):
                    await pool.client.refresh()
            for _ in range(4):
                await retries.call(pool.classify)
    assert asked([other]) == [0]


async def test_where_all_that_answer_are_others_the_run_ends(pool: Pool) -> None:
    first, other = an_invader(), FakeInvader({"facenet": IDENTITIES[:-1]}, rank, face_found)
    async with first.serving() as address:
        await pool.begin(address)
    with pytest.raises(UnreachableServiceError):
        await pool.classify()
    async with other.serving(address):
        with pytest.raises(ServiceChangedError, match=r"is not what it was when the run began; what differs: facenet"):
            await pool.retries().call(pool.classify)


# By name, and by TLS.


async def test_replicas_by_addresses_show_certificates_of_one_name() -> None:
    authority = Authority.create()
    server = of_elsewhere(authority, material(authority, "invader", server=True))
    client = material(authority)
    async with serving_invader(tls=server) as one, serving_invader(tls=server) as other:
        for name, fails in ((None, True), ("elsewhere", False)):
            text = f"{one.address},{other.address}"
            invader = open_invader(text, tls=client, tls_name=name, note=lambda _: None)
            if fails:
                with pytest.raises(
                    UnreachableServiceError, match=r"its certificate is for another name than '127\.0\.0\.1'"
                ):
                    await invader.models()
            else:
                assert set(await invader.models()) == {"small", "large"}
            await invader.close()


async def test_a_single_address_takes_no_part_in_this() -> None:
    clients = (
        open_invader("127.0.0.1:1", tls=None, note=lambda _: None),
        open_protector("127.0.0.1:1", tls=None, note=lambda _: None),
    )
    assert [type(each).__name__ for each in clients] == ["InvaderClient", "ProtectorClient"]
    for each in clients:
        await each.close()


async def test_the_doctor_looks_at_every_replica_of_a_list_and_says_which_is_not_like_the_others() -> None:
    others = FakeInvader(dict.fromkeys(TARGETS, IDENTITIES[:-1]), rank, face_found)
    async with serving(an_invader(), others) as addresses, serving(a_protector()) as (protector,):
        findings = [finding async for finding in examine_services(protector, ",".join(addresses), None)]
        # The fakes have no health service, so that the models are not asked for: they are looked at by themselves.
        models = [finding async for finding in _examine_models(protector, ",".join(addresses), None, {})]
    found = {(finding.subject, finding.demand): finding for finding in findings}
    for address in addresses:
        assert found[f"invader at {address}", "can be reached"].verdict is Verdict.GOOD
    (alike,) = [finding for finding in models if finding.subject == "replicas"]
    assert alike.verdict is Verdict.WRONG
    assert f"invader at {addresses[1]} is refused: it offers other models than the first: " in alike.seen


# Galleries.


async def test_a_gallery_is_searched_where_it_is_and_made_again_elsewhere_when_that_replica_is_gone(
    pool: Pool, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    at: Counter[str] = Counter()

    async def search() -> tuple[str, ...]:
        async with pool.client.galleries.gallery({"d": [photo_file("d")]}, base="default") as gallery:
            at[pool.client._galleries.replica_of(gallery.name).address] += 1
            for _ in range(3):  # calls of others in between do not lead it elsewhere
                await pool.client.classify(photo_file("a", 7), target_models=[MATCHER], k=1)
                found = await pool.client.classify(photo_file("d", 7), target_models=[MATCHER], k=1, gallery=gallery)
                assert found is not None
                candidates = found[MATCHER].candidates
            return candidates

    async with AsyncExitStack() as second_only:
        second = await second_only.enter_async_context(serving_invader(matchers=matchers_of(folders[1])))
        async with serving_invader(matchers=matchers_of(folders[0])) as first:
            await pool.begin(first.address, second.address)
            assert pool.client.enrols
            assert [await search() for _ in range(2)] == [("d",)] * 2
            assert at == {first.address: 1, second.address: 1}
            async with pool.client.galleries.gallery({"d": [photo_file("d")]}) as base:
                place = pool.client._galleries.replica_of(base.name)
                async with pool.client.galleries.gallery({"e": [photo_file("e")]}, base=base.name) as derived:
                    assert pool.client._galleries.replica_of(derived.name) is place, "where its base is"
        retries = pool.retries()
        for _ in range(3):
            assert await retries.call(search) == ("d",)
        assert at[second.address] >= 4


async def test_a_gallery_whose_replica_is_gone_is_gone_with_it(pool: Pool, tmp_path: Path) -> None:
    async with serving_invader(matchers=matchers_of(tmp_path)) as service:
        await pool.begin(service.address)
        async with pool.client.galleries.gallery({"d": [photo_file("d")]}) as gallery:
            replica = pool.client._galleries.replica_of(gallery.name)
            pool.client._failed(replica, UnreachableServiceError("it is away"))
            with pytest.raises(GalleryGoneError):
                await pool.client.classify(photo_file("d", 7), target_models=[MATCHER], k=1, gallery=gallery)
        with pytest.raises(GalleryGoneError, match="is not there any more"):
            await pool.client.classify(photo_file("d", 7), target_models=[MATCHER], k=1, gallery=gallery)
