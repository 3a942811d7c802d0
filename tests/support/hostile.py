"""Requests that no client of good faith makes, by a seed, and whoever sends them to an address.

For services in this process, child processes and containers alike: only the wire is needed.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rpc.tls import TlsMaterial
from tests.support.hostile_images import bombs, broken_images, heavy_images, whole_images

SECONDS = 120.0  # until a service that hangs fails a test
AT_A_TIME = 8
_TOO_LARGE = 18 * 2**20  # bytes: more than the largest image and its envelope
_HEALTH_CHECKED_EVERY = 25  # requests
_TOKENS = ("-1", "0", "x", "9" * 11, "9" * 100_000, "٣", "1e3", " 1", "\0", "../..")
_NUMBERS = (-(2**31), -1, 0, 1, 5, 51, 10_000, 10_001, 2**31 - 1)

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True)
class Target:
    """What is attacked: `images` puts an image into an otherwise good request of the method that takes one."""

    service: str
    methods: Sequence[str]
    takes_image: str  # method
    good: Message  # for it
    image_field: str
    lists: Sequence[Message]  # requests for ListIdentities, to be given page sizes and tokens
    names_field: str  # repeated

    def with_image(self, image: bytes) -> bytes:
        """A good request but for its image."""
        return self._with({self.image_field: image})

    def with_names(self, names: Sequence[str]) -> bytes:
        """A good request but for its names of models or methods."""
        return self._with({self.names_field: names})

    def _with(self, changes: dict[str, Any]) -> bytes:
        request = type(self.good)()
        request.CopyFrom(self.good)
        for field, value in changes.items():
            request.ClearField(field)
            request.MergeFrom(type(self.good)(**{field: value}))
        return request.SerializeToString()


INVADER = Target(
    service=invader_pb2.DESCRIPTOR.services_by_name["InvaderService"].full_name,
    methods=("Classify", "ListTargetModels", "ListIdentities"),
    takes_image="Classify",
    good=invader_pb2.ClassifyRequest(image=whole_images()[0], target_models=["compact-senet"], k=3),
    image_field="image",
    lists=[invader_pb2.ListIdentitiesRequest(target_model=name) for name in ("compact-senet", "", "x" * 10**6)],
    names_field="target_models",
)
PROTECTOR = Target(
    service=protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].full_name,
    methods=("Craft", "ListSourceModels", "ListMethods", "ListIdentities"),
    takes_image="Craft",
    good=protector_pb2.CraftRequest(
        photo=whole_images()[0],
        identity="synthetic0-0001",
        source_model="compact-senet",
        methods=["none"],
        storage=protector_pb2.Storage(png=protector_pb2.PngStorage()),
    ),
    image_field="photo",
    lists=[protector_pb2.ListIdentitiesRequest(source_model=name) for name in ("compact-senet", "", "x" * 10**6)],
    names_field="methods",
)


@dataclass(frozen=True)
class Attack:
    """One request."""

    method: str
    request: bytes
    metadata: Metadata = ()
    compression: grpc.Compression = grpc.Compression.NoCompression


def attacks(target: Target, *, seed: int) -> Iterator[Attack]:
    """First all that costs most, then without end what can be made up in any number."""
    chance = random.Random(seed)
    path = f"/{target.service}/{target.takes_image}"
    yield from (Attack(path, target.with_image(image)) for image in (*bombs(), *heavy_images(), *whole_images()))
    yield from (Attack(path, bytes(_TOO_LARGE + extra)) for extra in range(4))
    yield from (Attack(path, target.with_image(bytes(_TOO_LARGE))) for _ in range(4))
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        yield from (Attack(path, bytes(size), compression=compression) for size in (100, 2**20, 2**24, 2**28))
        yield Attack(path, target.good.SerializeToString(), compression=compression)
    yield from (Attack(path, target.with_names(names)) for names in _many_names())
    images, requests = broken_images(chance), _small(target, chance)
    while True:
        yield Attack(path, target.with_image(next(images)))
        yield next(requests)


def _many_names() -> Iterator[list[str]]:
    yield ["x"] * 500_000
    yield [f"model {number}" for number in range(500_000)]
    yield ["x" * 10**7]
    yield [""] * 1000


def _small(target: Target, chance: random.Random) -> Iterator[Attack]:
    good = target.good.SerializeToString()
    while True:
        method = f"/{target.service}/{chance.choice(target.methods)}"
        yield Attack(method, chance.randbytes(chance.randrange(600)))
        yield Attack(method, _mutated(good, chance))
        yield Attack(f"/{target.service}/{target.takes_image}", _mutated(good[-60:], chance))
        yield Attack(f"/{target.service}/ListIdentities", _list(target, chance))
        yield Attack(f"/{target.service}/{target.takes_image}", _nested(chance))
        yield Attack(chance.choice(["/", "//", "/x", f"/{target.service}/", f"{method}x"]), good)
        yield Attack(method, good, metadata=_metadata(chance))


def _mutated(request: bytes, chance: random.Random) -> bytes:
    """A request in which some bytes are others, missing, or there twice."""
    mutated = bytearray(request)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(mutated))
        match chance.randrange(4):
            case 0:
                mutated[place] = chance.randrange(256)
            case 1:
                del mutated[place : place + chance.randint(1, 9)]
            case 2:
                mutated[place:place] = mutated[max(0, place - 40) : place]
            case _:
                mutated[place:place] = b"\xff" * chance.randint(1, 10)  # the longest of lengths
        mutated = mutated or bytearray(b"\x0a")
    return bytes(mutated)


def _list(target: Target, chance: random.Random) -> bytes:
    request: Any = type(target.lists[0])()
    request.CopyFrom(chance.choices(target.lists, weights=(20, 5, 1))[0])
    request.page_size = chance.choice(_NUMBERS)
    request.page_token = chance.choice(_TOKENS)
    return bytes(request.SerializeToString())


def _nested(chance: random.Random) -> bytes:
    """Groups within groups of an unknown field, deeper than a parser goes."""
    depth = chance.choice([10, 99, 101, 20_000])
    return b"\x7b" * depth + b"\x7c" * chance.choice([depth, 0])


def _metadata(chance: random.Random) -> Metadata:
    large: list[Metadata] = [
        (("x-request-id", "i" * 4000),),
        (("x-request-id", "i" * 10**6),),
        tuple((f"x-{number}", "v") for number in range(2000)),
        (("x-noise-bin", chance.randbytes(3000)),),
        (("grpc-previous-rpc-attempts", "9" * 1000),),
        (("traceparent", "00-" + "f" * 32 + "-" + "f" * 16 + "-01"), ("tracestate", "a=" + "b" * 3000)),
    ]
    return chance.choice(large)


@dataclass(frozen=True)
class Aftermath:
    """What became of the requests, by status, and what health said all along."""

    statuses: Counter[str]
    health: Counter[str]


async def assault(address: str, target: Target, *, requests: int, seed: int, tls: TlsMaterial | None = None) -> Aftermath:
    """Sends requests, several at a time, and looks at the service's health throughout."""
    aftermath = Aftermath(Counter(), Counter())
    coming = enumerate(itertools.islice(attacks(target, seed=seed), requests))
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
    channel = (
        grpc.aio.insecure_channel(address, options=options)
        if tls is None
        else grpc.aio.secure_channel(address, tls.channel_credentials(), options=options)
    )

    async def send() -> None:
        for number, attack in coming:
            aftermath.statuses[await _status(channel, attack)] += 1
            if number % _HEALTH_CHECKED_EVERY == 0:
                aftermath.health[await _health(channel, target.service)] += 1
                await _garbage(address, number)

    async with channel:
        await asyncio.gather(*(send() for _ in range(AT_A_TIME)))
    return aftermath


async def _status(channel: grpc.aio.Channel, attack: Attack) -> str:
    """The status of one request; a stream of answers is read to its end."""
    ask: Any = channel.unary_stream(attack.method)
    call = ask(attack.request, metadata=attack.metadata, compression=attack.compression, timeout=SECONDS)
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def _health(channel: grpc.aio.Channel, service: str) -> str:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def _garbage(address: str, number: int) -> None:
    """Bytes that are no HTTP/2, or break off in the midst of it, on a connection of their own."""
    host, _, port = address.rpartition(":")
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    pieces = [
        random.Random(number).randbytes(500),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        preface[:11],
        preface + b"\xff\xff\xff\x00\xff\0\0\0\1",  # a frame of 16 MB
        preface + b"\0\0\0\4\0\0\0\0\0" * 1000,  # settings, again and again
        b"",
    ]
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(pieces[number // _HEALTH_CHECKED_EVERY % len(pieces)])
    try:
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    except ConnectionError:
        pass  # the service hung up first
