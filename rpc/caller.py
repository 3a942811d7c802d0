"""Who calls."""

from typing import Any

import grpc

_COMMON_NAME, _TRANSPORT, _TLS = "x509_common_name", "transport_security_type", b"ssl"


def certified_name(context: grpc.aio.ServicerContext[Any, Any]) -> str | None:
    """The common name in the certificate that a client showed, empty where it has none; None in plain text."""
    shown = context.auth_context()
    if _TLS not in shown.get(_TRANSPORT, ()):
        return None
    names = list(shown.get(_COMMON_NAME, ()))
    return names[0].decode(errors="replace") if names else ""
