"""Hosts and ports."""

from ipaddress import ip_address

from rpc.errors import RpcError

LOOPBACK = "127.0.0.1"
MOST_PORT = 65_535


class AddressError(RpcError):
    """What should be an address is none."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own, which nobody else can listen to."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_and_port(address: str) -> tuple[str, int]:
    """The host, without an IPv6 address's brackets, and the port of `host:port`.

    Raises:
        AddressError: it is not of this form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= MOST_PORT:
        raise AddressError(f"expected host:port, such as {LOOPBACK}:50051, got {address!r}")
    return host.strip("[]"), int(port)
