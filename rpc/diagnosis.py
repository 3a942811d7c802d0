"""Why a service cannot be spoken to: what gRPC knows of a failed handshake, it tells in one word for all of them."""

import socket
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from rpc.addresses import host_and_port, is_replicated
from rpc.tls import TlsError, TlsMaterial, check_valid_now

SECONDS = 3.0

_OTHER_NAME = "is for another name than"
_VERDICTS = {  # by OpenSSL's X509_V_ERR_*
    9: "is not valid yet",
    10: "has expired",
    26: "is not for a server",
    62: _OTHER_NAME,
    64: _OTHER_NAME,  # address
}


def diagnose(address: str, tls: TlsMaterial | None, *, tls_name: str | None = None) -> str | None:
    """Connects as a client would and says what is in the way; None where nothing is found to be.

    The certificate has to be for the host, or for `tls_name` where that is given. Of replicas behind one name it says which
    are in the way; one that can be spoken to is not enough.

    Raises:
        AddressError: the address is none.
    """
    host, port = host_and_port(address)
    try:
        ends = addresses_of(host, port) if is_replicated(address) else (host,)
    except OSError:
        return _unknown(host)
    found = {end: _diagnose(end, port, tls_name or host, tls) for end in ends}
    if len(set(found.values())) == 1:
        return found.popitem()[1]
    return "; ".join(f"{end}: {reason}" for end, reason in found.items() if reason is not None)


def addresses_of(host: str, port: int) -> list[str]:
    """All addresses that a name stands for.

    Raises:
        OSError: the name is not known here.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    return list(dict.fromkeys(str(end[0]) for *_, end in found))


def _diagnose(end: str, port: int, host: str, tls: TlsMaterial | None) -> str | None:
    """What is in the way to a name or an address, which is to be `host`."""
    try:
        with socket.create_connection((end, port), timeout=SECONDS) as connection:
            connection.settimeout(SECONDS)
            return _plain(connection) if tls is None else _mutual(connection, host, tls)
    except (socket.gaierror, UnicodeError):
        return _unknown(host)
    except ConnectionRefusedError:
        return "nothing listens there"
    except TimeoutError:
        return "it does not answer in time"
    except OSError as error:
        return f"it cannot be reached: {error.strerror or error}"


def _unknown(host: str) -> str:
    return f"the name {host!r} is not known here"


def _plain(connection: socket.socket) -> str | None:
    """A server that completes a TLS handshake, or ends one by an alert, speaks TLS."""
    try:
        ssl._create_unverified_context().wrap_socket(connection).close()  # noqa: S323 - only to see whether it is TLS
    except ssl.SSLError as error:
        if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING"):
            return None
    except TimeoutError:
        raise
    except OSError:
        return None
    return "it speaks TLS, and was spoken to in plain text: give a certificate, its key and the authority"


def _mutual(connection: socket.socket, host: str, tls: TlsMaterial) -> str | None:
    context = ssl.create_default_context(cadata=tls.authority.decode())
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as gRPC, whichever Python's default
    context.set_alpn_protocols(["h2"])
    _show(context, tls)
    try:
        with context.wrap_socket(connection, server_hostname=host) as secured:
            refused = _is_refused(secured)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate {_verdict(error, host)}"
    except ssl.SSLError as error:
        return _alert(error)
    return f"it refuses our certificate: {_flaw(tls)}" if refused else None


def _is_refused(secured: ssl.SSLSocket) -> bool:
    """Since TLS 1.3 a server refuses a client's certificate after the handshake; gRPC's then closes without a word.

    A server that takes the certificate speaks first: HTTP/2 begins with its settings.
    """
    try:
        return secured.recv(1) == b""
    except ConnectionError:
        return True


def _flaw(tls: TlsMaterial) -> str:
    """Why a server does not take our certificate, which it does not say."""
    name = tls.leaf.subject.rfc4514_string()
    try:
        check_valid_now(tls.leaf, name)
        tls.leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(tls.authority))
        usage = tls.leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except TlsError as error:
        return str(error)
    except (ValueError, TypeError, InvalidSignature):
        return f"{name} is of another authority"
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        return f"{name} is not for a client"
    return f"{name} seems good from here; it may let in the clients of another authority"


def _show(context: ssl.SSLContext, tls: TlsMaterial) -> None:
    """Lets a context show the client's certificate, which the ssl module takes from a file only."""
    with tempfile.TemporaryDirectory() as folder, suppress(ssl.SSLError):
        chain = Path(folder, "client.pem")
        chain.touch(mode=0o600)
        chain.write_bytes(tls.key + tls.certificate)
        context.load_cert_chain(chain)


def _verdict(error: ssl.SSLCertVerificationError, host: str) -> str:
    verdict = _VERDICTS.get(error.verify_code, f"is not of our authority ({error.verify_message})")
    return f"{verdict} {host!r}" if verdict is _OTHER_NAME else verdict


def _alert(error: ssl.SSLError) -> str:
    reason = error.reason or str(error)
    if "ALERT" not in reason:
        return "it speaks plain text, not TLS" if reason == "WRONG_VERSION_NUMBER" else f"no TLS with it: {reason}"
    return f"it refuses our certificate: {reason.partition('ALERT_')[2].lower().replace('_', ' ')}"
