"""Mutual TLS: each side shows a certificate that one private authority signed, and refuses a peer that cannot."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from rpc.errors import DeidRpcError

EXPIRES_SOON = timedelta(days=30)
_COMMON_NAME, _TRANSPORT, _TLS = "x509_common_name", "transport_security_type", b"ssl"
LOOPBACK_CLIENT = "loopback"  # every client in plain text: they cannot be told apart
_WAY_OUT = "`make certificates` makes new ones"


class TlsError(DeidRpcError):
    """A certificate, key or authority cannot be used; the message names the file and the way out."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of one side: its certificate, its private key, and the authority whose certificates it accepts."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class TlsMaterial:
    """What the files hold, checked."""

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes
    leaf: x509.Certificate

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials that refuse a client without a certificate of the authority."""
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)], root_certificates=self.authority, require_client_auth=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Credentials that refuse a server without a certificate of the authority for the host that was asked for."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)


def read_tls(files: TlsFiles, *, now: datetime | None = None) -> TlsMaterial:
    """Reads and checks certificate, key and authority.

    Raises:
        TlsError: a file cannot be read or is not PEM; the key is not the certificate's; the certificate is expired, not
            yet valid, or of another authority.
    """
    certificate, key, authority = (_read(path) for path in (files.certificate, files.key, files.authority))
    leaf, issuer = _certificate(files.certificate, certificate), _certificate(files.authority, authority)
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise TlsError(f"{files.key}: expected a PEM private key without a password; {_WAY_OUT}") from error
    if _public_bytes(private) != _public_bytes(leaf):
        raise TlsError(
            f"{files.key}: expected the private key of {files.certificate}, got that of another certificate; {_WAY_OUT}"
        )
    check_valid_now(leaf, str(files.certificate), now=now)
    check_valid_now(issuer, str(files.authority), now=now)
    try:
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise TlsError(
            f"{files.certificate}: expected a certificate of the authority {files.authority}, got one of "
            f"{leaf.issuer.rfc4514_string() or 'another'}; {_WAY_OUT}"
        ) from error
    return TlsMaterial(certificate, key, authority, leaf)


def check_valid_now(certificate: x509.Certificate, name: str, *, now: datetime | None = None) -> None:
    """Makes sure that a certificate is in its period of validity.

    Raises:
        TlsError: it is not.
    """
    now = now or datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise TlsError(f"{name}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}; {_WAY_OUT}")
    if now < certificate.not_valid_before_utc:
        raise TlsError(f"{name}: not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; check the clock")


def expires_soon(certificate: x509.Certificate, *, now: datetime | None = None) -> bool:
    """Whether a certificate will have expired a month from now."""
    return certificate.not_valid_after_utc - (now or datetime.now(UTC)) < EXPIRES_SOON


def certified_name(context: grpc.aio.ServicerContext[Any, Any]) -> str | None:
    """The common name in the certificate that a client showed, empty where it has none; None in plain text."""
    shown = context.auth_context()
    if _TLS not in shown.get(_TRANSPORT, ()):
        return None
    names = list(shown.get(_COMMON_NAME, ()))
    return names[0].decode(errors="replace") if names else ""


def client_name(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Who a client is where something is counted or kept for it."""
    name = certified_name(context)
    return LOOPBACK_CLIENT if name is None else name


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"{path}: cannot be read: {error.strerror or error}; {_WAY_OUT}") from error


def _certificate(path: Path, encoded: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(encoded)
    except ValueError as error:
        raise TlsError(f"{path}: expected a PEM certificate; {_WAY_OUT}") from error


def _public_bytes(holder: object) -> bytes:
    key = holder.public_key()  # type: ignore[attr-defined]  # a private key or a certificate
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
