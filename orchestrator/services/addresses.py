"""Where the replicas of a service are: a list of addresses, a file with one, or all that a name stands for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from orchestrator.errors import InputError
from rpc.addresses import AddressError, address_of, host_and_port, is_replicated
from rpc.diagnosis import addresses_of

FILE = "@"  # begins the name of a file of addresses
SEPARATOR = ","
COMMENT = "#"  # begins a line of the file that is none

Addresses = Callable[[], Awaitable[tuple[str, ...]]]
"""Gives the addresses as they are now, each `host:port`. Raises InputError: there are none, or one is no address."""


def has_replicas(text: str) -> bool:
    """Whether what is given as an address can stand for several."""
    return text.startswith(FILE) or SEPARATOR in text or is_replicated(text)


def replica_addresses(kind: str, text: str) -> Addresses:
    """The addresses that a text stands for; `kind` is "protector" or "invader"."""
    if text.startswith(FILE):
        return partial(asyncio.to_thread, _of_file, kind, Path(text.removeprefix(FILE)).expanduser())
    if is_replicated(text):
        return partial(asyncio.to_thread, _of_name, kind, text)

    async def given() -> tuple[str, ...]:
        return _checked(kind, text.split(SEPARATOR), where=text)

    return given


def name_of_replicas(text: str) -> str | None:
    """The name that the certificate of each replica is for, if that is not its own host."""
    return host_and_port(text)[0] if is_replicated(text) else None


def _of_file(kind: str, path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"--{kind}: {path}: expected a file with an address a line: {why}") from error
    return _checked(kind, (line for line in lines if not line.strip().startswith(COMMENT)), where=str(path))


def _of_name(kind: str, text: str) -> tuple[str, ...]:
    try:
        host, port = host_and_port(text)
        return tuple(sorted(address_of(end, port) for end in addresses_of(host, port)))
    except AddressError as error:
        raise InputError(f"--{kind}: {error}") from error
    except OSError as error:
        raise InputError(f"--{kind}: the name in {text} is not known here: {error.strerror or error}") from error


def _checked(kind: str, found: Iterable[str], *, where: str) -> tuple[str, ...]:
    addresses = tuple(dict.fromkeys(address.strip() for address in found if address.strip()))
    if not addresses:
        raise InputError(f"--{kind}: {where}: expected at least one address, host:port, got none")
    for address in addresses:
        try:
            host_and_port(address)
        except AddressError as error:
            raise InputError(f"--{kind}: {where}: {error}") from error
        if is_replicated(address):
            raise InputError(f"--{kind}: {where}: expected host:port in a list, got {address}")
    return addresses
