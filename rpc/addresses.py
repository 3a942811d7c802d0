"""Hosts and ports, and the two forms in which a client names a service."""

from ipaddress import IPv6Address, ip_address

from rpc.errors import DeidRpcError

LOOPBACK = "127.0.0.1"
MAX_PORT = 65_535
ALL_OF_A_NAME = "dns:///"
LISTENING = "listening on "  # begins the line by which a service tells its address to whoever started it


class AddressError(DeidRpcError):
    """What should be an address is none."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own, which nobody else can listen to; of names, `localhost` alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def bare_host(host: str) -> str:
    """A host name or an address as it is typed, without an IPv6 address's brackets.

    Raises:
        AddressError: it is neither, such as one with a port.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if bare != host or ":" in bare:
        try:
            IPv6Address(bare)
        except ValueError as error:
            raise AddressError(f"expected a host name or an address, without a port, got {host!r}") from error
    return bare


def address_of(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_replicated(address: str) -> bool:
    """Whether an address stands for all that its name stands for, each of them a replica of one service."""
    return address.startswith(ALL_OF_A_NAME)


def host_and_port(address: str) -> tuple[str, int]:
    """The host, without an IPv6 address's brackets, and the port of `host:port` or of `dns:///host:port`.

    Raises:
        AddressError: it is of neither form.
    """
    host, _, port = address.removeprefix(ALL_OF_A_NAME).rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    # gRPC would take `dns:host:port`, `unix:path` and the like for schemes of its own.
    other_form = "/" in host or (":" in bare and bare == host)
    if not host or other_form or not port.isascii() or not port.isdigit() or not 0 < int(port) <= MAX_PORT:
        raise AddressError(
            f"expected host:port, such as {LOOPBACK}:50051, or {ALL_OF_A_NAME}host:port for replicas behind one name, "
            f"got {address!r}"
        )
    return bare, int(port)
