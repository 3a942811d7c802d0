"""Ports of this machine."""

import socket
from contextlib import closing


def free_port() -> int:
    """A port that nothing listens on."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port
