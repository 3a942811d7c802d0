"""Asks the two services over the wire."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator.doctor.finding import Finding, Verdict, judged
from orchestrator.errors import OrchestratorError
from orchestrator.services.invader import InvaderClient
from orchestrator.services.label_sets import fetch_label_sets
from orchestrator.services.protector import ProtectorClient
from rpc.addresses import host_and_port, is_loopback, is_replicated
from rpc.channel import NO_PROXY, open_channel
from rpc.diagnosis import addresses_of, diagnose
from rpc.tls import TlsMaterial, expires_soon

_SECONDS = 5.0
_NO_CONNECTION = grpc.StatusCode.UNAVAILABLE.name


async def examine_services(protector: str, invader: str, tls: TlsMaterial | None) -> AsyncIterator[Finding]:
    """Findings on a protector and an invader at their addresses."""
    if tls is not None:
        yield _expiry("orchestrator", tls.leaf)
    reachable = True
    for name, address in (("protector", protector), ("invader", invader)):
        async for finding in _examine(name, address, tls):
            reachable = reachable and finding.verdict is not Verdict.WRONG
            yield finding
    if not reachable:
        yield Finding("label sets", "overlap", Verdict.UNKNOWN, "a service cannot be asked")
        return
    async for finding in _examine_models(protector, invader, tls):
        yield finding


async def _examine(name: str, address: str, tls: TlsMaterial | None) -> AsyncIterator[Finding]:
    host, _ = host_and_port(address)
    problem = await asyncio.to_thread(diagnose, address, tls)
    yield judged(name, "can be reached", good=problem is None, seen=problem or address, mend="see what was seen")
    if problem is not None:
        return
    if tls is None and not is_loopback(host):
        yield Finding(name, "is spoken to by mutual TLS", Verdict.WRONG, "plain text", "give both sides certificates")
        return
    if tls is None:
        yield Finding(name, "is spoken to by mutual TLS", Verdict.UNKNOWN, "plain text, on loopback")
    else:
        yield _expiry(name, await asyncio.to_thread(_certificate, address))
        only_authority = grpc.ssl_channel_credentials(tls.authority)  # as a stranger may know it
        async with grpc.aio.secure_channel(address, only_authority, options=[NO_PROXY]) as channel:
            answer = await _health(channel)
        yield judged(
            name,
            "refuses clients without a certificate",
            good=answer == _NO_CONNECTION,
            seen="refused" if answer == _NO_CONNECTION else f"answered: {answer}",
            mend="give it --tls-authority",
        )
    async with open_channel(address, tls=tls) as channel:
        health = await _health(channel)
    yield judged(name, "is healthy", good=health == "SERVING", seen=health, mend="look at its log")


def _expiry(name: str, certificate: x509.Certificate) -> Finding:
    days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
    return judged(
        name,
        "has a certificate for another month",
        good=not expires_soon(certificate),
        seen=f"{days} days left",
        mend="make new certificates; docs/deployment.md says how",
    )


def _certificate(address: str) -> x509.Certificate:
    """Of replicas, the one that ends first."""
    host, port = host_and_port(address)
    ends = addresses_of(host, port) if is_replicated(address) else (host,)
    shown = [ssl.get_server_certificate((end, port), timeout=_SECONDS) for end in ends]
    return min((x509.load_pem_x509_certificate(pem.encode()) for pem in shown), key=lambda each: each.not_valid_after_utc)


async def _health(channel: grpc.aio.Channel) -> str:
    """The health that a service reports, or the status of the call that failed, by its name."""
    stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs do not name its methods
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_SECONDS)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def _examine_models(protector: str, invader: str, tls: TlsMaterial | None) -> AsyncIterator[Finding]:
    protector_client, invader_client = ProtectorClient(protector, tls=tls), InvaderClient(invader, tls=tls)
    try:
        sources, targets = await protector_client.models(), await invader_client.models()
        yield judged("protector", "has source models", good=bool(sources), seen=", ".join(sources), mend="--checkpoints")
        yield judged("invader", "has target models", good=bool(targets), seen=", ".join(targets), mend="--checkpoints")
        label_sets = await fetch_label_sets(protector_client, sources, invader_client, targets)
        known = [frozenset(labels) for by_model in label_sets for labels in by_model.values()]
        common = frozenset.intersection(*known) if known else frozenset()
        yield judged(
            "label sets",
            "overlap",
            good=bool(common),
            seen=f"{len(common)} identities that every model knows",
            mend="recognizers that were trained on the same people, and galleries of them",
        )
        left = invader_client.queries_left
        yield judged(
            "invader",
            "has queries left for us",
            good=left is None or left > 0,
            seen="no budget" if left is None else f"{left} left",
            mend="raise --query-budget",
        )
    except OrchestratorError as error:
        yield Finding("label sets", "overlap", Verdict.WRONG, str(error), "see what was seen")
    finally:
        await protector_client.close()
        await invader_client.close()
