"""Who may reach whom by Kubernetes' network policies: a plain reading of networking.k8s.io/v1.

A pod that no policy selects for a direction is open in that direction; one that some select may do what any of these allows.
Both ends have to allow a connection (https://kubernetes.io/docs/concepts/services-networking/network-policies).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]
KNOWN_SELECTOR, KNOWN_PEER = {"matchLabels"}, {"podSelector", "namespaceSelector", "ipBlock"}


@dataclass(frozen=True)
class End:
    """A pod, or with an address alone a machine outside."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    address: str | None = None


def may_reach(policies: Sequence[Policy], source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection can be made."""
    return _allows(policies, "Egress", source, target, port, protocol) and _allows(
        policies, "Ingress", target, source, port, protocol
    )


def _allows(policies: Sequence[Policy], direction: str, end: End, other: End, port: int, protocol: str) -> bool:
    selecting = [
        each
        for each in policies
        if end.address is None
        and each["metadata"]["namespace"] == end.namespace
        and direction in each["spec"]["policyTypes"]
        and _selects(each["spec"]["podSelector"], end.labels)
    ]
    if not selecting:
        return True
    rules = [(each, rule) for each in selecting for rule in each["spec"].get(direction.lower(), [])]
    peers = "to" if direction == "Egress" else "from"
    return any(
        _is_peer(rule.get(peers), other, namespace=policy["metadata"]["namespace"]) and _is_port(rule, port, protocol)
        for policy, rule in rules
    )


def _is_peer(peers: Sequence[Mapping[str, Any]] | None, other: End, *, namespace: str) -> bool:
    if not peers:  # anybody
        return True
    return any(_matches(peer, other, namespace=namespace) for peer in peers)


def _matches(peer: Mapping[str, Any], other: End, *, namespace: str) -> bool:
    assert peer.keys() <= KNOWN_PEER, f"this reading does not know {peer.keys() - KNOWN_PEER}"
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        inside = other.address is not None and ip_address(other.address) in ip_network(block["cidr"])
        return inside and not any(ip_address(other.address or "") in ip_network(each) for each in block.get("except", []))
    if other.address is not None:
        return False
    if "namespaceSelector" in peer:
        of_namespace = _selects(peer["namespaceSelector"], other.namespace_labels)
    else:
        of_namespace = other.namespace == namespace
    return of_namespace and _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= KNOWN_SELECTOR, f"this reading does not know {selector.keys() - KNOWN_SELECTOR}"
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def _is_port(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(each.get("protocol", "TCP") == protocol and each.get("port", port) == port for each in ports)
