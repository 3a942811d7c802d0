"""The orchestrator and both services by mutual TLS: whom they refuse, and that the error says why."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from orchestrator.doctor.finding import Verdict
from orchestrator.doctor.wire import examine_services
from orchestrator.errors import InputError, OrchestratorError, UnusableServiceError
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from rpc.certificates import Authority
from rpc.tls import TlsMaterial
from tests.support.certificates import expired, material, of_elsewhere
from tests.support.services import serving_invader, serving_protector

AUTHORITY, OTHER = Authority.create(), Authority.create()
SERVER = material(AUTHORITY, "invader", server=True)
CLIENT = material(AUTHORITY)

DOES_NOT_ANSWER = r"^the invader at 127\.0\.0\.1:\d+ does not answer: "


@dataclass(frozen=True)
class Refused:
    """A server and a client that do not go together, and what is said of it."""

    server: TlsMaterial | None
    client: TlsMaterial | None
    why: str


@pytest.mark.parametrize(
    "case",
    [
        Refused(
            SERVER, None, "it speaks TLS, and was spoken to in plain text: give a certificate, its key and the authority"
        ),
        Refused(None, CLIENT, "it speaks plain text, not TLS"),
        Refused(expired(AUTHORITY, SERVER), CLIENT, "its certificate has expired"),
        Refused(material(OTHER, "invader", server=True), CLIENT, r"its certificate is not of our authority \(.+\)"),
        Refused(of_elsewhere(AUTHORITY, SERVER), CLIENT, r"its certificate is for another name than '127\.0\.0\.1'"),
        Refused(SERVER, expired(AUTHORITY, CLIENT), "it refuses our certificate: CN=orchestrator: expired on .+"),
        Refused(
            SERVER,
            material(OTHER, trusting=AUTHORITY),
            "it refuses our certificate: CN=orchestrator is of another authority",
        ),
        Refused(
            SERVER,
            material(AUTHORITY, "protector", server=True),
            "it refuses our certificate: CN=protector is not for a client",
        ),
    ],
    ids=lambda case: case.why[:40],
)
async def test_the_orchestrators_error_says_which(case: Refused) -> None:
    async with serving_invader(tls=case.server) as service:
        client = InvaderClient(service.address, tls=case.client)
        with pytest.raises(UnusableServiceError, match=DOES_NOT_ANSWER + case.why + "$"):
            await client.models()
        await client.close()


async def test_the_right_certificates_are_let_in() -> None:
    async with serving_invader(tls=SERVER) as service:
        client = InvaderClient(service.address, tls=CLIENT)
        assert set(await client.models()) == {"small", "large"}
        await client.close()


@pytest.mark.parametrize("kind", [ProtectorClient, InvaderClient])
def test_faces_leave_this_machine_by_tls_only(kind: type[ProtectorClient | InvaderClient]) -> None:
    with pytest.raises(InputError, match=r"example\.org:50051: plain text is for loopback only.+--tls-certificate"):
        kind("example.org:50051")


@pytest.fixture
async def addresses() -> AsyncIterator[tuple[str, str]]:
    """A protector and an invader by mutual TLS."""
    async with (
        serving_protector(tls=material(AUTHORITY, "protector", server=True)) as protector,
        serving_invader(tls=SERVER) as invader,
    ):
        yield protector.address, invader.address


async def test_the_doctor_finds_nothing_wrong_with_two_good_services(addresses: tuple[str, str]) -> None:
    findings = [finding async for finding in examine_services(*addresses, CLIENT)]
    assert [finding for finding in findings if finding.verdict is not Verdict.GOOD] == []
    assert {(finding.subject, finding.demand) for finding in findings} == {
        ("orchestrator", "has a certificate for another month"),
        *((name, "can be reached") for name in ("protector", "invader")),
        *((name, "has a certificate for another month") for name in ("protector", "invader")),
        *((name, "refuses clients without a certificate") for name in ("protector", "invader")),
        *((name, "is healthy") for name in ("protector", "invader")),
        ("protector", "has source models"),
        ("invader", "has target models"),
        ("label sets", "overlap"),
        ("invader", "has queries left for us"),
    }


async def test_the_doctor_sees_a_certificate_that_ends_soon(addresses: tuple[str, str]) -> None:
    certificate, key = AUTHORITY.issue("orchestrator", server=False, days=20)
    async with serving_invader(tls=SERVER) as invader:
        client = _with(certificate, key)
        findings = [finding async for finding in examine_services(addresses[0], invader.address, client)]
    (wrong,) = [finding for finding in findings if finding.verdict is Verdict.WRONG]
    assert (wrong.subject, wrong.seen) == ("orchestrator", "19 days left")


async def test_the_doctor_sees_a_service_that_is_gone(addresses: tuple[str, str]) -> None:
    findings = [finding async for finding in examine_services(addresses[0], "127.0.0.1:1", CLIENT)]
    (wrong,) = [finding for finding in findings if finding.verdict is Verdict.WRONG]
    assert (wrong.subject, wrong.demand, wrong.seen) == ("invader", "can be reached", "nothing listens there")
    assert findings[-1].verdict is Verdict.UNKNOWN


async def test_the_doctor_says_that_plain_text_is_no_tls() -> None:
    async with serving_protector() as protector, serving_invader() as invader:
        findings = [finding async for finding in examine_services(protector.address, invader.address, None)]
    unknown = [finding for finding in findings if finding.verdict is Verdict.UNKNOWN]
    assert [finding.seen for finding in unknown] == ["plain text, on loopback"] * 2
    assert not [finding for finding in findings if finding.verdict is Verdict.WRONG]


async def test_an_error_on_the_way_is_one_of_ours() -> None:
    client = InvaderClient("127.0.0.1:1", tls=CLIENT)
    with pytest.raises(OrchestratorError, match="nothing listens there"):
        await client.models()
    await client.close()


def _with(certificate: bytes, key: bytes) -> TlsMaterial:
    from cryptography import x509

    return TlsMaterial(certificate, key, CLIENT.authority, x509.load_pem_x509_certificate(certificate))
