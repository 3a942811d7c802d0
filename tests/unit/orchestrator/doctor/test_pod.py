"""What is found from within a pod."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from orchestrator.doctor import examination
from orchestrator.doctor.finding import Finding, Verdict
from orchestrator.doctor.pod import connects, examine_pod, is_pod
from orchestrator.errors import InputError
from tests.support.ports import free_port

CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443", "HOME": "/"}
LEDGER = "10.0.0.7:5432"
NOT_SEEN = ["are isolated"]  # by a pod


def found(
    tmp_path: Path,
    ledger: str | None = LEDGER,
    *,
    variables: dict[str, str] | None = None,
    reached: Sequence[tuple[str, int]] = (),
    user: int = 10001,
    read_only: bool = True,
) -> Iterator[Finding]:
    return examine_pod(
        ledger,
        environment=CLUSTER | (variables or {}),
        reaches=lambda host, port: (host, port) in reached,
        user=lambda: user,
        is_read_only=lambda: read_only,
        token=tmp_path / "token",
    )


def demands(findings: Iterator[Finding], verdict: Verdict) -> list[str]:
    return [finding.demand for finding in findings if finding.verdict is verdict]


def test_nothing_is_wrong_with_a_pod_of_the_manifests_and_it_says_what_it_cannot_see(tmp_path: Path) -> None:
    assert demands(found(tmp_path), Verdict.WRONG) == []
    assert demands(found(tmp_path), Verdict.UNKNOWN) == NOT_SEEN
    assert demands(found(tmp_path, None), Verdict.UNKNOWN) == ["does not reach the ledger's database", *NOT_SEEN]


def test_a_network_without_policies_is_noticed_by_what_can_be_reached(tmp_path: Path) -> None:
    api, ledger = ("10.96.0.1", 443), ("10.0.0.7", 5432)
    assert demands(found(tmp_path, reached=[api]), Verdict.WRONG) == ["does not reach the cluster's own API"]
    assert demands(found(tmp_path, reached=[ledger]), Verdict.WRONG) == ["does not reach the ledger's database"]


def test_what_a_pod_was_given_beyond_the_manifests_is_wrong(tmp_path: Path) -> None:
    assert demands(found(tmp_path, user=0, read_only=False), Verdict.WRONG) == [
        "runs as no root",
        "cannot write its root file system",
    ]
    links = {"INVADER_SERVICE_HOST": "10.96.0.9", "INVADER_SERVICE_PORT": "50052"}
    assert demands(found(tmp_path, variables=links), Verdict.WRONG) == ["is told of no Service by variables"]
    (tmp_path / "token").touch()
    assert demands(found(tmp_path), Verdict.WRONG) == ["may ask Kubernetes for nothing"]


def test_a_ledger_that_is_no_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--ledger: expected host:port"):
        list(found(tmp_path, "postgresql://ledger"))


def test_a_port_where_nothing_listens_is_not_reached() -> None:
    assert not connects("127.0.0.1", free_port())


async def test_on_kubernetes_the_pod_is_examined_and_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert not is_pod()
    for name, value in (CLUSTER | {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}).items():
        monkeypatch.setenv(name, value)
    findings = await examination.examine(None, None, None, project=None)
    assert {finding.subject for finding in findings} == {"this pod", "protector and invader"}
