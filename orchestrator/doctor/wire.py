"""Asks the two services over the wire."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orchestrator.doctor.finding import Finding, Verdict, judged
from orchestrator.errors import OrchestratorError
from orchestrator.services.addresses import has_replicas, replica_addresses
from orchestrator.services.label_sets import fetch_label_sets
from orchestrator.services.replicated_invader import open_invader
from orchestrator.services.replicated_protector import open_protector
from rpc.addresses import host_and_port, is_loopback, is_replicated
from rpc.channel import NO_PROXY, open_channel
from rpc.diagnosis import addresses_of, diagnose
from rpc.tls import TlsMaterial, expires_soon

_SECONDS = 5.0
_NO_CONNECTION = grpc.StatusCode.UNAVAILABLE.name


NO_NAMES: Mapping[str, str | None] = {}


async def examine_services(
    protector: str, invader: str, tls: TlsMaterial | None, *, tls_names: Mapping[str, str | None] = NO_NAMES
) -> AsyncIterator[Finding]:
    """Findings on a protector and an invader at their addresses, and on each of their replicas where they are listed.

    `tls_names` are those that certificates are for, by the kind of service, where these are not their hosts.

    Raises:
        InputError: a list of addresses is none.
    """
    if tls is not None:
        yield _expiry("orchestrator", tls.leaf)
    reachable = True
    for kind, text in (("protector", protector), ("invader", invader)):
        is_list = has_replicas(text) and not is_replicated(text)
        for address in await replica_addresses(kind, text)() if is_list else (text,):
            name = f"{kind} at {address}" if is_list else kind
            async for finding in _examine(name, address, tls, tls_names.get(kind)):
                reachable = reachable and finding.verdict is not Verdict.WRONG
                yield finding
    if not reachable:
        yield Finding("label sets", "overlap", Verdict.UNKNOWN, "a service cannot be asked")
        return
    async for finding in _examine_models(protector, invader, tls, tls_names):
        yield finding


async def _examine(name: str, address: str, tls: TlsMaterial | None, tls_name: str | None) -> AsyncIterator[Finding]:
    host, _ = host_and_port(address)
    problem = await asyncio.to_thread(diagnose, address, tls, tls_name=tls_name)
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
        named = [] if tls_name is None else [("grpc.ssl_target_name_override", tls_name)]
        async with grpc.aio.secure_channel(address, only_authority, options=[NO_PROXY, *named]) as channel:
            answer = await _health(channel)
        yield judged(
            name,
            "refuses clients without a certificate",
            good=answer == _NO_CONNECTION,
            seen="refused" if answer == _NO_CONNECTION else f"answered: {answer}",
            mend="give it --tls-authority",
        )
    async with open_channel(address, tls=tls, tls_name=tls_name) as channel:
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


async def _examine_models(
    protector: str, invader: str, tls: TlsMaterial | None, tls_names: Mapping[str, str | None]
) -> AsyncIterator[Finding]:
    refused: list[str] = []
    protector_client = open_protector(protector, tls=tls, tls_name=tls_names.get("protector"), note=refused.append)
    invader_client = open_invader(invader, tls=tls, tls_name=tls_names.get("invader"), note=refused.append)
    try:
        sources, targets = await protector_client.models(), await invader_client.models()
        if has_replicas(protector) or has_replicas(invader):
            yield judged(
                "replicas",
                "offer the same models",
                good=not refused,
                seen="; ".join(refused) or "they do",
                mend="the same checkpoints, --batch-rows, --threads and --precision for all",
            )
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
