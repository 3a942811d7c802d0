"""What servers and clients show one another: good certificates, and those that are bad in one way each."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from rpc.certificates import Authority, files_in
from rpc.tls import TlsFiles, TlsMaterial

DAY = timedelta(days=1)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def certificate_of(authority: Authority) -> bytes:
    """An authority's own certificate, PEM."""
    return authority.certificate.public_bytes(Encoding.PEM)


def material(
    authority: Authority, name: str = "orchestrator", *, server: bool = False, trusting: Authority | None = None
) -> TlsMaterial:
    """What a client, or else a server, shows, and whom it believes: by default who signed its own certificate.

    A server is believed on loopback too, where tests meet it.
    """
    certificate, key = authority.issue(name, server=server, also=LOOPBACK_NAMES)
    leaf = x509.load_pem_x509_certificate(certificate)
    return TlsMaterial(certificate, key, certificate_of(trusting or authority), leaf)


def expired(authority: Authority, shown: TlsMaterial) -> TlsMaterial:
    """It was valid until yesterday."""
    return _signed_again(authority, shown, begin=-2 * DAY, end=-DAY)


def not_yet_valid(authority: Authority, shown: TlsMaterial) -> TlsMaterial:
    """It will be valid from tomorrow on."""
    return _signed_again(authority, shown, begin=DAY, end=2 * DAY)


def of_elsewhere(authority: Authority, shown: TlsMaterial) -> TlsMaterial:
    """It is for the host `elsewhere` only."""
    return _signed_again(
        authority, shown, begin=-DAY, end=DAY, hosts=x509.SubjectAlternativeName([x509.DNSName("elsewhere")])
    )


def nameless(authority: Authority, shown: TlsMaterial) -> TlsMaterial:
    """Its subject is empty."""
    return _signed_again(authority, shown, begin=-DAY, end=DAY, subject=x509.Name([]))


def _signed_again(
    authority: Authority,
    shown: TlsMaterial,
    *,
    begin: timedelta,
    end: timedelta,
    hosts: x509.SubjectAlternativeName | None = None,
    subject: x509.Name | None = None,
) -> TlsMaterial:
    """The same certificate but for its period, counted from now, and its hosts or its subject."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(shown.leaf.subject if subject is None else subject)
        .issuer_name(shown.leaf.issuer)
        .public_key(shown.leaf.public_key())
        .serial_number(shown.leaf.serial_number)
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
    )
    for extension in shown.leaf.extensions:
        other_hosts = hosts if isinstance(extension.value, x509.SubjectAlternativeName) else None
        builder = builder.add_extension(other_hosts or extension.value, critical=extension.critical)
    leaf = builder.sign(authority.key, hashes.SHA256())
    return TlsMaterial(leaf.public_bytes(Encoding.PEM), shown.key, shown.authority, leaf)


def written(folder: Path, shown: TlsMaterial) -> TlsFiles:
    """The files of a program in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = files_in(folder)
    files.certificate.write_bytes(shown.certificate)
    files.key.write_bytes(shown.key)
    files.authority.write_bytes(shown.authority)
    return files
