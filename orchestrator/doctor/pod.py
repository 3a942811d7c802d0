"""What an orchestrator's pod can see of a Kubernetes cluster: itself, and whom it reaches. Of the other pods, nothing."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from orchestrator.doctor.finding import Finding, Verdict, judged
from orchestrator.errors import InputError
from rpc.addresses import AddressError, address_of, host_and_port

_SUBJECT = "this pod"
_OF_THE_CLUSTER = "KUBERNETES_SERVICE_"  # begins variables that every pod has: where the cluster's own API is
_OF_SERVICES = "_SERVICE_HOST"  # ends one of each Service, where pods are told of them
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_SECONDS = 3.0
_MANIFEST = "compare it with deploy/kubernetes/base/orchestrator.yaml"
_POLICIES = "a network plug-in that enforces NetworkPolicies, and deploy/kubernetes/base/policies.yaml"


def is_pod(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process runs on Kubernetes."""
    return f"{_OF_THE_CLUSTER}HOST" in environment


def connects(host: str, port: int) -> bool:
    """Whether something listens there that can be reached from here."""
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def examine_pod(
    ledger: str | None,
    *,
    environment: Mapping[str, str] = os.environ,
    reaches: Callable[[str, int], bool] = connects,
    user: Callable[[], int] = os.geteuid,
    is_read_only: Callable[[], bool] = lambda: bool(os.statvfs("/").f_flag & os.ST_RDONLY),
    token: Path = _TOKEN,
) -> Iterator[Finding]:
    """Findings on the pod of this process.

    Args:
        ledger: `host:port` of the database of the invader's ledger; None where it is not known here.
        environment: of this process.
        reaches: whether a host and port can be connected to.
        user: gives the id of whom this process runs as.
        is_read_only: whether the root file system is.
        token: where Kubernetes puts the token of a service account.

    Raises:
        InputError: `ledger` is no address.
    """
    yield judged(_SUBJECT, "runs as no root", good=user() != 0, seen=f"user {user()}", mend=_MANIFEST)
    read_only = is_read_only()
    seen = "read-only" if read_only else "writable"
    yield judged(_SUBJECT, "cannot write its root file system", good=read_only, seen=seen, mend=_MANIFEST)
    has_token = token.exists()
    yield judged(
        _SUBJECT,
        "may ask Kubernetes for nothing",
        good=not has_token,
        seen=f"{token} is there" if has_token else "no token",
        mend=f"automountServiceAccountToken: false; {_MANIFEST}",
    )
    told_of = sorted(name for name in environment if name.endswith(_OF_SERVICES) and not name.startswith(_OF_THE_CLUSTER))
    yield judged(
        _SUBJECT,
        "is told of no Service by variables",
        good=not told_of,
        seen=", ".join(told_of) or "none",
        mend=f"enableServiceLinks: false; {_MANIFEST}",
    )
    # Which listens in every cluster, and which the policies let nobody here reach.
    host, port = environment[f"{_OF_THE_CLUSTER}HOST"], int(environment[f"{_OF_THE_CLUSTER}PORT"])
    yield _unreachable("the cluster's own API", host, port, reaches)
    if ledger is None:
        where = "where it is is not known here; --ledger HOST:PORT tries to reach it"
        yield Finding(_SUBJECT, "does not reach the ledger's database", Verdict.UNKNOWN, where)
    else:
        try:
            host, port = host_and_port(ledger)
        except AddressError as error:
            raise InputError(f"--ledger: {error}") from error
        yield _unreachable("the ledger's database", host, port, reaches)
    elsewhere = "a pod sees no other: kubectl -n deid-bench get networkpolicy,pods -o yaml shows what is applied"
    yield Finding("protector and invader", "are isolated", Verdict.UNKNOWN, elsewhere)


def _unreachable(what: str, host: str, port: int, reaches: Callable[[str, int], bool]) -> Finding:
    reached = reaches(host, port)
    seen = f"{address_of(host, port)} {'answers' if reached else 'cannot be reached'}"
    return judged(_SUBJECT, f"does not reach {what}", good=not reached, seen=seen, mend=_POLICIES)
