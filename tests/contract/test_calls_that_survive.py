"""The orchestrator's clients against services that freeze, break off, come back as others, or are several.

Services are fakes, but channels, connections and the proxy that cuts them are real.
"""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import grpc
import pytest
from deid.invader.v1 import invader_pb2, invader_pb2_grpc
from deid.protector.v1 import protector_pb2, protector_pb2_grpc

from invader_service.ledger import QueryLedger
from orchestrator.doctor.finding import Verdict
from orchestrator.doctor.wire import examine_services
from orchestrator.errors import ServiceChangedError, UnreachableServiceError
from orchestrator.experiment.cloak import Cloak
from orchestrator.experiment.model import Model
from orchestrator.services.invader import CLASSIFY_SECONDS, Classification, InvaderClient
from orchestrator.services.model_catalogue import LIST_SECONDS
from orchestrator.services.protector import CRAFT_SECONDS, ProtectorClient
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.retries import RetryPolicy
from rpc.interceptor import wrapped
from rpc.models_digest import models_digest, received_models_digest, send_models_digest
from tests.support.drawn_faces import jpeg
from tests.support.fakes import FakeInvader, FakeProtector, Shown
from tests.support.networks import probe
from tests.support.services import serving_invader, serving_protector
from tests.support.tcp_proxy import TcpProxy, Way, tcp_proxy

SECONDS = 60.0  # until a test that hangs fails
A_CLOAK = 20_000  # bytes, so that a row is more than one network packet
IDENTITIES, OTHERS = tuple("abcdefg"), tuple("abcdefh")
EPSILONS = (4, 8, 16, 32, 64, 128)
PHOTO = b"\xff\xd8\xff a photo"
SHOWN = Shown("a", "facenet", "bim", 4)

Context = grpc.aio.ServicerContext[Any, Any]
Client = TypeVar("Client", ProtectorClient, InvaderClient)


@dataclass
class Protector(FakeProtector):
    """Large cloaks, and offers where it is told to send them."""

    offering: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.alter = enlarge

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        await self._send_offer(context)
        async for response in super().Craft(request, context):
            yield response

    async def ListSourceModels(  # noqa: N802
        self, request: protector_pb2.ListSourceModelsRequest, context: Context
    ) -> protector_pb2.ListSourceModelsResponse:
        await self._send_offer(context)
        return await super().ListSourceModels(request, context)

    async def _send_offer(self, context: Context) -> None:
        if self.offering:
            listed = await super().ListSourceModels(protector_pb2.ListSourceModelsRequest(), context)
            await send_models_digest(context, models_digest(listed))


@dataclass
class Invader(FakeInvader):
    """Offers where it is told to send them."""

    offering: bool = False

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Context
    ) -> invader_pb2.ClassifyResponse:
        response = await super().Classify(request, context)
        await self._send_offer(context)
        return response

    async def ListTargetModels(  # noqa: N802
        self, request: invader_pb2.ListTargetModelsRequest, context: Context
    ) -> invader_pb2.ListTargetModelsResponse:
        await self._send_offer(context)
        return await super().ListTargetModels(request, context)

    async def _send_offer(self, context: Context) -> None:
        if self.offering:
            listed = await super().ListTargetModels(invader_pb2.ListTargetModelsRequest(), context)
            await send_models_digest(
                context, models_digest(invader_pb2.ListTargetModelsResponse(target_models=listed.target_models))
            )


def enlarge(response: protector_pb2.CraftResponse) -> None:
    response.cloak += bytes(A_CLOAK)
    response.cloak_sha256 = sha256(response.cloak).hexdigest()


@asynccontextmanager
async def client_of(kind: type[Client], address: str) -> AsyncIterator[Client]:
    client = kind(address)
    try:
        yield client
    finally:
        await client.close()


def row_of(client: ProtectorClient, epsilons: tuple[int, ...]) -> AsyncGenerator[Cloak, None]:
    """A Craft call of one photo."""
    return client.craft(
        PHOTO,
        probe="a/0.jpg",
        identity="a",
        source_model="facenet",
        methods=["bim"],
        epsilons=epsilons,
        seed=0,
    )


async def crafted(client: ProtectorClient, epsilons: tuple[int, ...] = EPSILONS) -> tuple[list[Cloak], Exception | None]:
    """The cloaks of one Craft call, and what ended it early."""
    cloaks: list[Cloak] = []
    row = row_of(client, epsilons)
    try:
        async with aclosing(row):
            async for cloak in row:
                cloaks.append(cloak)
    except UnreachableServiceError as error:
        return cloaks, error
    return cloaks, None


async def classified(client: InvaderClient, target_model: str = "facenet") -> dict[str, Classification] | None:
    return await client.classify(SHOWN.encoded(), target_models=[target_model], k=5)


async def lost(client: ProtectorClient | InvaderClient) -> None:
    """Until a client's connection to a service that ended is gone: a call before that would end with it."""
    async with asyncio.timeout(SECONDS):
        while (state := client.channel.get_state()) is grpc.ChannelConnectivity.READY:
            await client.channel.wait_for_state_change(state)


def retries_of(client: Client, models: Mapping[str, Model]) -> RetryPolicy:
    gate = RecoveryGate(
        client.name, check=partial(client.check_unchanged, models), outage_timeout=SECONDS, note=lambda _: None
    )
    return RetryPolicy(gate, outage_timeout=SECONDS, note=lambda _: None)


# A peer that is frozen keeps its connections, and accepts new ones.


async def test_a_peer_that_freezes_during_a_call_is_noticed_within_seconds() -> None:
    service = Invader({"facenet": IDENTITIES}, hold=lambda shown: True)
    async with service.serving() as address:
        with tcp_proxy(address) as proxy:
            async with client_of(InvaderClient, proxy.address) as client:
                call = asyncio.create_task(classified(client))
                await service.held.wait()
                proxy.freeze()
                frozen = time.monotonic()
                with pytest.raises(UnreachableServiceError, match="does not answer: it does not answer in time"):
                    await asyncio.wait_for(call, SECONDS)
                print(f"a frozen invader was noticed after {time.monotonic() - frozen:.1f} s")  # noqa: T201
                proxy.thaw()


async def test_a_stream_whose_peer_freezes_midway_is_noticed_within_seconds_and_asked_again_for_the_rest() -> None:
    service = Protector({"facenet": IDENTITIES})
    async with service.serving() as address:
        with tcp_proxy(address) as proxy:
            async with client_of(ProtectorClient, proxy.address) as client:
                proxy.when(Way.ANSWERED, 3 * A_CLOAK, proxy.freeze)
                begun = time.monotonic()
                cloaks, error = await asyncio.wait_for(crafted(client), SECONDS)
                print(f"a frozen protector was noticed after {time.monotonic() - begun:.1f} s")  # noqa: T201
                assert isinstance(error, UnreachableServiceError)
                assert 0 < len(cloaks) < len(EPSILONS)
                proxy.thaw()
                await _asks_for_the_rest(client, cloaks)


async def _asks_for_the_rest(client: ProtectorClient, cloaks: list[Cloak]) -> None:
    missing = tuple(epsilon for epsilon in EPSILONS if epsilon not in {cloak.record.key.epsilon for cloak in cloaks})
    while missing:  # a connection that is being made anew may fail once more
        rest, _ = await asyncio.wait_for(crafted(client, missing), SECONDS)
        assert {cloak.record.key.epsilon for cloak in rest} <= set(missing)
        cloaks += rest
        missing = missing[len(rest) :]
    assert [cloak.record.key.epsilon for cloak in cloaks] == list(EPSILONS)


# A connection that is cut before, during and after an answer.


async def bytes_of_a_row(proxy: TcpProxy, client: ProtectorClient) -> int:
    """The bytes that an answer to `crafted` takes on a connection that there is already."""
    await client.models()
    before = proxy.bytes[Way.ANSWERED]
    await crafted(client)
    return proxy.bytes[Way.ANSWERED] - before


@pytest.mark.parametrize("share", [0.001, 0.2, 0.5, 0.8])
async def test_a_row_that_is_cut_anywhere_is_whole_after_what_is_missing_was_asked_for(share: float) -> None:
    service = Protector({"facenet": IDENTITIES})
    async with service.serving() as address:
        with tcp_proxy(address) as proxy:
            async with client_of(ProtectorClient, proxy.address) as client:
                length = await bytes_of_a_row(proxy, client)
                cut = proxy.passed(Way.ANSWERED, max(1, int(share * length)))
                proxy.when(Way.ANSWERED, max(1, int(share * length)), proxy.cut)
                cloaks, _ = await asyncio.wait_for(crafted(client), SECONDS)
                assert cut.is_set()
                await _asks_for_the_rest(client, cloaks)
    assert proxy.connections > 1


@dataclass
class Breaking(Protector):
    """Breaks the connection when it has sent a row, and before it has said that this was all."""

    cut: Callable[[], object] = lambda: None

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        async for response in super().Craft(request, context):
            yield response
        self.cut()


async def test_a_row_whose_end_is_cut_off_is_no_whole_row_until_nothing_is_missing() -> None:
    service = Breaking({"facenet": IDENTITIES})
    async with service.serving() as address:
        with tcp_proxy(address) as proxy:
            async with client_of(ProtectorClient, proxy.address) as client:
                service.cut = proxy.cut
                cloaks, error = await asyncio.wait_for(crafted(client), SECONDS)
                assert isinstance(error, UnreachableServiceError)
                service.cut = int
                await _asks_for_the_rest(client, cloaks)


async def test_a_request_that_is_cut_off_is_asked_again() -> None:
    service = Invader({"facenet": IDENTITIES})
    async with service.serving() as address:
        with tcp_proxy(address) as proxy:
            async with client_of(InvaderClient, proxy.address) as client:
                retries = retries_of(client, await client.models())
                proxy.when(Way.ASKED, 20, proxy.cut)
                assert await asyncio.wait_for(retries.call(partial(classified, client)), SECONDS) is not None
    assert service.asked[SHOWN] == 1


async def test_an_answer_that_is_lost_on_the_way_costs_the_query_that_was_in_flight_and_no_more() -> None:
    service = Invader({"facenet": IDENTITIES}, queries_left=10)
    async with service.serving() as address:
        with tcp_proxy(address) as proxy:
            async with client_of(InvaderClient, proxy.address) as client:
                retries = retries_of(client, await client.models())

                def cut_the_first(response: invader_pb2.ClassifyResponse) -> None:
                    if service.asked[SHOWN] == 1:
                        proxy.cut()

                service.alter = cut_the_first
                assert await asyncio.wait_for(retries.call(partial(classified, client)), SECONDS) is not None
                assert client.queries_left == 8
    assert service.asked[SHOWN] == 2


async def test_a_service_that_refuses_connections_is_unreachable_and_says_why() -> None:
    service = Invader({"facenet": IDENTITIES})
    async with service.serving() as address:
        with tcp_proxy(address) as proxy:
            async with client_of(InvaderClient, proxy.address) as client:
                models = await client.models()
                proxy.refuse()
                proxy.cut()
                with pytest.raises(UnreachableServiceError, match="nothing listens there"):
                    await asyncio.wait_for(client.check_unchanged(models), SECONDS)
                proxy.accept()
                while True:  # the channel waits a while before it connects again
                    try:
                        await client.check_unchanged(models)
                        break
                    except UnreachableServiceError:
                        continue


# A stream whose reader leaves.


@dataclass
class Endless(FakeProtector):
    """Sends one cloak, and then computes for as long as it is wanted."""

    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        async for response in super().Craft(request, context):
            yield response
            break
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


async def test_a_reader_who_stops_early_ends_the_call() -> None:
    service = Endless({"facenet": IDENTITIES})
    async with service.serving() as address, client_of(ProtectorClient, address) as client:
        row = row_of(client, (4,))
        async with aclosing(row):
            async for _ in row:
                break
        await asyncio.wait_for(service.left.wait(), SECONDS)


async def test_a_reader_who_is_cancelled_ends_the_call() -> None:
    service = Endless({"facenet": IDENTITIES})
    async with service.serving() as address, client_of(ProtectorClient, address) as client:
        came = asyncio.Event()

        async def read() -> None:
            row = row_of(client, (4,))
            async with aclosing(row):
                async for _ in row:
                    came.set()

        reading = asyncio.create_task(read())
        await came.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(service.left.wait(), SECONDS)


# A service that was started again, at the same address.


async def test_a_service_that_was_started_again_goes_on_where_it_is_the_same() -> None:
    first, second = (Protector({"facenet": IDENTITIES}, offering=True) for _ in range(2))
    async with AsyncExitStack() as stack:
        async with first.serving() as address:
            client = await stack.enter_async_context(client_of(ProtectorClient, address))
            models = await client.models()
        await lost(client)
        async with second.serving(address):
            await client.check_unchanged(models)
            cloaks, error = await crafted(client)
    assert error is None
    assert [cloak.record.key.epsilon for cloak in cloaks] == list(EPSILONS)


@pytest.mark.parametrize("offering", [True, False])
async def test_a_service_that_came_back_with_another_label_set_is_refused_and_both_are_named(offering: bool) -> None:
    async with AsyncExitStack() as stack:
        async with Invader({"facenet": IDENTITIES}, offering=offering).serving() as address:
            client = await stack.enter_async_context(client_of(InvaderClient, address))
            models = await client.models()
        await lost(client)
        async with Invader({"facenet": OTHERS}, offering=offering).serving(address):
            with pytest.raises(ServiceChangedError) as changed:
                await client.check_unchanged(models)
    then, now = (sha256("\n".join(names).encode()).hexdigest() for names in (IDENTITIES, OTHERS))
    assert str(changed.value) == (
        f"the invader at {address} is not what it was when the run began; what differs: "
        f"facenet.label_set_sha256: {then!r} then, {now!r} now"
    )


async def test_a_restart_that_nobody_noticed_is_found_out_by_the_first_answer() -> None:
    async with AsyncExitStack() as stack:
        async with Invader({"facenet": IDENTITIES}, offering=True).serving() as address:
            asking = await stack.enter_async_context(client_of(InvaderClient, address))
            await asking.models()
        await lost(asking)
        async with Invader({"facenet": OTHERS}, offering=True).serving(address):
            with pytest.raises(ServiceChangedError, match=r"what differs: facenet\.label_set_sha256"):
                await classified(asking)
        async with Protector({"facenet": IDENTITIES}, offering=True).serving() as address:
            crafting = await stack.enter_async_context(client_of(ProtectorClient, address))
            await crafting.models()
        await lost(crafting)
        async with Protector({"facenet": OTHERS}, offering=True).serving(address):
            with pytest.raises(ServiceChangedError, match=r"what differs: facenet\.label_set_sha256"):
                await crafted(crafting)


async def test_an_answer_without_an_offer_is_believed() -> None:
    async with AsyncExitStack() as stack:
        async with Invader({"facenet": IDENTITIES}, offering=True).serving() as address:
            client = await stack.enter_async_context(client_of(InvaderClient, address))
            await client.models()
        await lost(client)
        async with Invader({"facenet": IDENTITIES}).serving(address):
            assert await classified(client) is not None


async def test_another_model_beside_those_that_are_asked_is_no_other_service() -> None:
    async with AsyncExitStack() as stack:
        async with Invader({"facenet": IDENTITIES}, offering=True).serving() as address:
            client = await stack.enter_async_context(client_of(InvaderClient, address))
            await client.models()
        await lost(client)
        async with Invader({"facenet": IDENTITIES, "senet50": OTHERS}, offering=True).serving(address):
            assert await classified(client) is not None


async def test_a_model_that_is_the_same_does_not_vouch_for_another() -> None:
    async with AsyncExitStack() as stack:
        async with Invader({"facenet": IDENTITIES, "senet50": IDENTITIES}, offering=True).serving() as address:
            client = await stack.enter_async_context(client_of(InvaderClient, address))
            await client.models()
        await lost(client)
        async with Invader({"facenet": IDENTITIES, "senet50": OTHERS}, offering=True).serving(address):
            assert await classified(client, "facenet") is not None
            with pytest.raises(ServiceChangedError, match=r"what differs: senet50\.label_set_sha256"):
                await classified(client, "senet50")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Invader({"senet50": IDENTITIES}), r"what differs: facenet: \{.+\} then, None now"),
        (Protector({"facenet": IDENTITIES}), "does not speak the schema"),
    ],
    ids=["without the model", "of the other kind"],
)
async def test_what_answers_at_the_address_but_is_no_such_service_is_another(other: Invader | Protector, said: str) -> None:
    async with AsyncExitStack() as stack:
        async with Invader({"facenet": IDENTITIES}).serving() as address:
            client = await stack.enter_async_context(client_of(InvaderClient, address))
            models = await client.models()
        await lost(client)
        async with other.serving(address):
            with pytest.raises(ServiceChangedError, match=said):
                await client.check_unchanged(models)


async def test_our_protector_sends_the_digest_of_its_models_with_its_list_and_every_row() -> None:
    async with serving_protector() as service:
        stub = protector_pb2_grpc.ProtectorServiceStub(service.channel)
        listing = stub.ListSourceModels(protector_pb2.ListSourceModelsRequest(), timeout=SECONDS)
        offer = models_digest(protector_pb2.ListSourceModelsResponse(source_models=(await listing).source_models))
        assert await received_models_digest(listing) == offer
        request = protector_pb2.CraftRequest(
            photo=jpeg(probe(side=64)),
            source_model="small",
            methods=["none"],
            storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
        )
        identities = await stub.ListIdentities(protector_pb2.ListIdentitiesRequest(source_model="small"), timeout=SECONDS)
        request.identity = identities.identities[0]
        row = stub.Craft(request, timeout=SECONDS)
        assert len([cloak async for cloak in row]) == 1
        assert await received_models_digest(row) == offer


async def test_our_invader_sends_the_digest_of_its_models_with_its_list_and_every_answer() -> None:
    async with serving_invader(ledger=QueryLedger(None, budget=9)) as service:
        stub = invader_pb2_grpc.InvaderServiceStub(service.channel)
        listing = stub.ListTargetModels(invader_pb2.ListTargetModelsRequest(), timeout=SECONDS)
        offer = models_digest(invader_pb2.ListTargetModelsResponse(target_models=(await listing).target_models))
        assert await received_models_digest(listing) == offer
        request = invader_pb2.ClassifyRequest(image=jpeg(probe(side=64)), target_models=["small"], k=1)
        answer = stub.Classify(request, timeout=SECONDS)
        assert (await answer).queries_left == 8
        assert await received_models_digest(answer) == offer


async def test_a_call_that_is_refused_has_no_offer_which_would_keep_it_from_being_made_again() -> None:
    async with serving_invader() as service:
        call = invader_pb2_grpc.InvaderServiceStub(service.channel).Classify(invader_pb2.ClassifyRequest(), timeout=SECONDS)
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        assert await received_models_digest(call) is None


# Replicas behind one name.


def port_of_both_loopbacks() -> int:
    """A port that is free on 127.0.0.1 and on ::1, which are the two that `localhost` stands for."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6: localhost is one address")
    for _ in range(20):
        with socket.create_server(("127.0.0.1", 0)) as first, socket.socket(socket.AF_INET6) as second:
            port: int = first.getsockname()[1]
            try:
                second.bind(("::1", port))
            except OSError:
                continue
            return port
    pytest.skip("this machine has no ::1: localhost is one address")


@asynccontextmanager
async def replicas(make: Callable[[], Invader], other: Callable[[], Invader]) -> AsyncIterator[tuple[str, Invader, Invader]]:
    first, second, port = make(), other(), port_of_both_loopbacks()
    async with first.serving(f"127.0.0.1:{port}"), second.serving(f"[::1]:{port}"):
        yield f"dns:///localhost:{port}", first, second


async def test_replicas_take_turns_and_one_that_dies_is_done_without() -> None:
    async with (
        replicas(lambda: Invader({"facenet": IDENTITIES}), lambda: Invader({"facenet": IDENTITIES})) as (address, *both),
        client_of(InvaderClient, address) as client,
    ):
        while not all(each.asked[SHOWN] for each in both):
            assert await asyncio.wait_for(classified(client), SECONDS) is not None
        retries = retries_of(client, await client.models())
        await both[0].die()
        asked = both[1].asked[SHOWN]
        for _ in range(6):
            assert await asyncio.wait_for(retries.call(partial(classified, client)), SECONDS) is not None
        assert both[1].asked[SHOWN] >= asked + 6


async def test_replicas_that_are_not_alike_are_refused() -> None:
    async with (
        replicas(
            lambda: Invader({"facenet": IDENTITIES}, offering=True), lambda: Invader({"facenet": OTHERS}, offering=True)
        ) as (address, *_),
        client_of(InvaderClient, address) as client,
    ):
        await client.models()

        async def ask_until_refused() -> None:
            while True:
                await classified(client)

        with pytest.raises(ServiceChangedError, match=r"replicas|what differs"):
            await asyncio.wait_for(ask_until_refused(), SECONDS)


async def test_the_doctor_asks_replicas_by_their_name() -> None:
    async with (
        replicas(lambda: Invader({"facenet": IDENTITIES}), lambda: Invader({"facenet": IDENTITIES})) as (address, *_),
        Protector({"facenet": IDENTITIES}).serving() as protector,
    ):
        findings = [finding async for finding in examine_services(protector, address, None)]
    found = {(finding.subject, finding.demand): finding for finding in findings}
    assert found["invader", "can be reached"].verdict is Verdict.GOOD
    assert found["invader", "is healthy"].seen == "UNIMPLEMENTED"  # it was asked: fakes have no health


# Deadlines.


class DeadlineRecorder(grpc.aio.ServerInterceptor):
    """Keeps, by method, the seconds that a call has left when it arrives; None where it has all the time of the world."""

    def __init__(self) -> None:
        self.seconds: dict[str, float | None] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler, method = await continuation(handler_call_details), handler_call_details.method.rpartition("/")[2]

        def unary(respond: Any) -> Any:
            async def record(request: Any, context: Context) -> Any:
                self.seconds[method] = context.time_remaining()
                return await respond(request, context)

            return record

        def stream(respond: Any) -> Any:
            async def record(request: Any, context: Context) -> AsyncIterator[Any]:
                self.seconds[method] = context.time_remaining()
                async for response in respond(request, context):
                    yield response

            return record

        return wrapped(handler, unary=unary, stream=stream)


@pytest.fixture
async def recorded() -> AsyncIterator[tuple[DeadlineRecorder, str]]:
    recorder = DeadlineRecorder()
    server = grpc.aio.server(interceptors=[recorder])
    Protector({"facenet": IDENTITIES}).register(server)
    Invader({"facenet": IDENTITIES}).register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield recorder, f"127.0.0.1:{port}"
    await server.stop(None)


async def test_every_call_has_a_deadline(recorded: tuple[DeadlineRecorder, str]) -> None:
    recorder, address = recorded
    async with client_of(ProtectorClient, address) as protector:
        models = await protector.models()
        await protector.methods(())
        await protector.identities(models["facenet"])
        await crafted(protector)
    assert set(recorder.seconds) == {
        method.name for method in protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].methods
    }
    of_protector = dict(recorder.seconds)
    recorder.seconds.clear()
    async with client_of(InvaderClient, address) as invader:
        await invader.identities((await invader.models())["facenet"])
        await classified(invader)
    assert set(recorder.seconds) == {
        method.name for method in invader_pb2.DESCRIPTOR.services_by_name["InvaderService"].methods
    }
    most = {"Craft": CRAFT_SECONDS, "Classify": CLASSIFY_SECONDS}
    for method, seconds in [*of_protector.items(), *recorder.seconds.items()]:
        assert seconds is not None
        assert 0 < seconds <= 1.01 * most.get(method, LIST_SECONDS)  # which gRPC rounds up on the way


async def test_a_call_without_a_deadline_would_be_seen(recorded: tuple[DeadlineRecorder, str]) -> None:
    recorder, address = recorded
    async with grpc.aio.insecure_channel(address) as channel:
        await invader_pb2_grpc.InvaderServiceStub(channel).ListTargetModels(invader_pb2.ListTargetModelsRequest())
    assert recorder.seconds == {"ListTargetModels": None}
