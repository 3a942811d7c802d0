"""What is in the way between a client and a server is named, where gRPC says UNAVAILABLE for all of it."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from rpc import diagnosis
from rpc.certificates import Authority
from rpc.diagnosis import diagnose
from rpc.images.limits import ImageLimits
from rpc.server import Server
from rpc.tls import TlsMaterial
from tests.support.certificates import expired, material, not_yet_valid, of_elsewhere
from tests.support.serving import started

AUTHORITY, OTHER = Authority.create(), Authority.create()
PROTECTOR = material(AUTHORITY, "protector", server=True)
CLIENT = material(AUTHORITY)


async def said_of(server: TlsMaterial | None, client: TlsMaterial | None, *, host: str = "127.0.0.1") -> str | None:
    """What a client is told of a server; the server is a real one."""
    async with started(Server(address="127.0.0.1:0", limits=ImageLimits(), tls=server)) as running:
        return await asyncio.to_thread(diagnose, f"{host}:{running.port}", client)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize(("server", "client"), [(PROTECTOR, CLIENT), (None, None)], ids=["mutual TLS", "plain text"])
async def test_nothing_is_said_where_nothing_is_in_the_way(
    server: TlsMaterial | None, client: TlsMaterial | None, host: str
) -> None:
    assert await said_of(server, client, host=host) is None


async def test_plain_text_to_a_server_of_tls_is_named_with_the_way_out() -> None:
    said = await said_of(PROTECTOR, None)
    assert said == "it speaks TLS, and was spoken to in plain text: give a certificate, its key and the authority"


async def test_tls_to_a_server_of_plain_text_is_named() -> None:
    assert await said_of(None, CLIENT) == "it speaks plain text, not TLS"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (expired(AUTHORITY, PROTECTOR), "its certificate has expired"),
        (not_yet_valid(AUTHORITY, PROTECTOR), "its certificate is not valid yet"),
        (material(OTHER, "protector", server=True, trusting=AUTHORITY), "its certificate is not of our authority ("),
        (material(AUTHORITY, "orchestrator"), "its certificate is not for a server"),
    ],
    ids=["expired", "not yet valid", "another authority's", "a client's"],
)
async def test_what_is_wrong_with_a_server_s_certificate_is_named(server: TlsMaterial, said: str) -> None:
    assert (await said_of(server, CLIENT) or "").startswith(said)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_server_s_certificate_for_another_host_is_named_with_the_host(host: str) -> None:
    said = await said_of(of_elsewhere(AUTHORITY, PROTECTOR), CLIENT, host=host)
    assert said == f"its certificate is for another name than {host!r}"


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (expired(AUTHORITY, CLIENT), "CN=orchestrator: expired on "),
        (not_yet_valid(AUTHORITY, CLIENT), "CN=orchestrator: not valid before "),
        (material(OTHER, trusting=AUTHORITY), "CN=orchestrator is of another authority"),
        (material(AUTHORITY, "invader", server=True), "CN=invader is not for a client"),
    ],
    ids=["expired", "not yet valid", "another authority's", "a server's"],
)
async def test_what_a_server_refuses_in_our_certificate_is_named(client: TlsMaterial, said: str) -> None:
    assert (await said_of(PROTECTOR, client) or "").startswith(f"it refuses our certificate: {said}")


async def test_a_server_that_lets_in_the_clients_of_another_authority_is_suspected_of_it() -> None:
    said = await said_of(material(AUTHORITY, "protector", server=True, trusting=OTHER), CLIENT)
    assert said == (
        "it refuses our certificate: CN=orchestrator seems good from here; it may let in the clients of another authority"
    )


each_way = pytest.mark.parametrize("client", [CLIENT, None], ids=["mutual TLS", "plain text"])


@pytest.fixture
def mute() -> Iterator[socket.socket]:
    """A socket that is bound; what connects to it, once it listens, is never answered."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


@each_way
def test_a_port_that_nothing_listens_on_is_named(client: TlsMaterial | None, mute: socket.socket) -> None:
    assert diagnose(f"127.0.0.1:{mute.getsockname()[1]}", client) == "nothing listens there"


@each_way
@pytest.mark.parametrize("host", ["no-such-host.invalid", "no..host"])
def test_a_host_that_is_not_known_is_named(client: TlsMaterial | None, host: str) -> None:
    assert diagnose(f"{host}:50051", client) == f"the name {host!r} is not known here"


@each_way
def test_a_server_that_does_not_answer_is_named_after_a_while(
    client: TlsMaterial | None, mute: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "SECONDS", 0.05)
    mute.listen()
    assert diagnose(f"127.0.0.1:{mute.getsockname()[1]}", client) == "it does not answer in time"


def resolving_to(*ends: str) -> Callable[[str, int], list[str]]:
    """A name service that knows one name."""
    return lambda host, port: list(ends)


async def test_of_replicas_those_that_are_in_the_way_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "addresses_of", resolving_to("127.0.0.1", "127.0.0.2", "127.0.0.3"))
    async with started(Server(address="127.0.0.2:0", limits=ImageLimits(), tls=PROTECTOR)) as running:
        said = await asyncio.to_thread(diagnose, f"dns:///localhost:{running.port}", CLIENT)
    assert said == "127.0.0.1: nothing listens there; 127.0.0.3: nothing listens there"


async def test_of_replicas_that_all_answer_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "addresses_of", resolving_to("127.0.0.2"))
    async with started(Server(address="127.0.0.2:0", limits=ImageLimits(), tls=PROTECTOR)) as running:
        assert await asyncio.to_thread(diagnose, f"dns:///localhost:{running.port}", CLIENT) is None


@each_way
def test_replicas_of_which_none_is_there_are_one_sentence(
    client: TlsMaterial | None, mute: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "addresses_of", resolving_to("127.0.0.1", "127.0.0.2"))
    assert diagnose(f"dns:///replicas:{mute.getsockname()[1]}", client) == "nothing listens there"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "no..host"])
def test_replicas_whose_name_is_not_known_are_named(host: str) -> None:
    assert diagnose(f"dns:///{host}:50051", CLIENT) == f"the name {host!r} is not known here"
