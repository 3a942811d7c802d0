"""`python -P -m rpc.certificates FOLDER`: a private authority, and one certificate for each program.

The authority's key is never written: whoever reads the folder cannot make further certificates, and new ones are made all
together. A server's certificate does not serve as a client's, so that neither service can ask the other.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from command_line.options import PathOption
from command_line.program import run_program
from rpc.roles import ROLES
from rpc.tls import TlsError, TlsFiles, TlsMaterial, read_tls

SERVERS = tuple(role.name for role in ROLES)
CLIENTS = ("orchestrator",)
DAYS = 365
_RENEW = "--renew makes new ones, with which all programs have to be started again"
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class Authority:
    """A certificate authority that lives as long as this object."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, *, days: int = DAYS) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "face de-identification bench")])
        return cls(_begin(name, name, key, days=days, is_authority=True).sign(key, hashes.SHA256()), key)

    def issue(self, name: str, *, server: bool, also: Sequence[str] = (), days: int = DAYS) -> tuple[bytes, bytes]:
        """Certificate and key, PEM, of a server reached as `name` or one of `also`, or of the client called `name`.

        Raises:
            TlsError: a name is neither a host name in ASCII of at most 64 characters nor an address.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        except ValueError as error:
            raise _no_host(name) from error
        hosts = [_host(each) for each in (name, *(also if server else ()))]
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _begin(subject, self.certificate.subject, key, days=days, is_authority=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        certificate = builder.sign(self.key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), private


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    if not name:
        raise _no_host(name)
    try:
        return x509.DNSName(name)
    except ValueError as error:
        raise _no_host(name) from error


def _no_host(name: str) -> TlsError:
    return TlsError(f"expected a host name in ASCII of at most 64 characters, or an address, got {name!r}")


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int, is_authority: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_APART)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(usage, critical=True)
    )


def files_in(folder: Path) -> TlsFiles:
    """Where a program's certificate, key and authority lie in its folder."""
    return TlsFiles(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")


def make_certificates(
    folder: Path,
    *,
    servers: Sequence[str] = SERVERS,
    clients: Sequence[str] = CLIENTS,
    also: Sequence[str] = (),
    days: int = DAYS,
    renew: bool = False,
) -> bool:
    """Makes an authority, and a folder `NAME/` with `tls.crt`, `tls.key` and `ca.crt` for each program.

    Where all are there, of one authority and valid, they are left as they are unless they are to be renewed: services that
    run would not trust whoever comes with new ones. `also` are further hosts of every server.

    Returns:
        Whether new ones were made.

    Raises:
        TlsError: the folder cannot be written, a name is none, or certificates that are left do not serve for what is asked.
    """
    names = [*servers, *clients]
    if not renew and (there := _good(folder, names)):
        for name, shown in there.items():
            _check_use(shown.leaf, files_in(folder / name).certificate, (name, *also) if name in servers else ())
        return False
    authority = Authority.create(days=days)
    ca = authority.certificate.public_bytes(Encoding.PEM)
    # All before any is written: a name that is none must leave nothing half done.
    issued = {name: authority.issue(name, server=name in servers, also=also, days=days) for name in names}
    try:
        for name, (certificate, key) in issued.items():
            _write(files_in(folder / name), certificate, key, ca)
    except OSError as error:
        raise TlsError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return True


def _good(folder: Path, names: Sequence[str]) -> Mapping[str, TlsMaterial]:
    """All programs' certificates; none unless all are there, valid and of one authority."""
    try:
        there = {name: read_tls(files_in(folder / name)) for name in names}
    except TlsError:
        return {}
    return there if len({shown.authority for shown in there.values()}) == 1 else {}


def _check_use(certificate: x509.Certificate, path: Path, hosts: Sequence[str]) -> None:
    """Makes sure that a certificate serves a server that is reached as each of these hosts; where there are none, a client.

    Raises:
        TlsError: it does not.
    """
    usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    try:
        of_other_use = usage not in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        of_other_use = False  # of any
    if of_other_use:
        expected, actual = ("a server", "a client") if hosts else ("a client", "a server")
        raise TlsError(f"{path}: expected a certificate for {expected}, got one for {actual}; {_RENEW}")
    certified = _certified_hosts(certificate)
    missing = [host for host in hosts if not any(_is_for(host, name) for name in certified)]
    if missing:
        raise TlsError(
            f"{path}: expected a certificate for {', '.join(missing)} too, got one for {', '.join(certified) or 'no host'}; "
            f"{_RENEW}"
        )


def _certified_hosts(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _is_for(host: str, certified: str) -> bool:
    """Whether a host is the one that a certificate names, or one of those of its wildcard, `*.example.org`."""
    try:
        return ip_address(host) == ip_address(certified)
    except ValueError:
        host, certified = host.lower(), certified.lower()
        return host == certified or (certified.startswith("*.") and host.partition(".")[2] == certified[2:])


def _write(files: TlsFiles, certificate: bytes, key: bytes, authority: bytes) -> None:
    files.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, content in ((files.authority, authority), (files.certificate, certificate), (files.key, key)):
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


@click.command(context_settings={"show_default": True, "help_option_names": ["-h", "--help"]})
@click.argument("folder", type=PathOption(file_okay=False))
@click.option("--server", "servers", multiple=True, default=SERVERS, help="Host name of a server; repeatable.")
@click.option("--client", "clients", multiple=True, default=CLIENTS, help="Name of a client; repeatable.")
@click.option("--days", type=click.IntRange(1), default=DAYS, help="How long new ones are valid.")
@click.option("--also", "also", multiple=True, help="A further host name or address of every server, such as localhost.")
@click.option("--renew", is_flag=True, help="Make new ones even where good ones are there.")
def command(
    *, folder: Path, servers: tuple[str, ...], clients: tuple[str, ...], also: tuple[str, ...], days: int, renew: bool
) -> str:
    """Make certificates for mutual TLS in FOLDER/NAME/, unless good ones are there.

    New ones are made all together, of a new authority: programs that run with old ones have to be started again.
    """
    made = make_certificates(folder, servers=servers, clients=clients, also=also, days=days, renew=renew)
    return f"{folder}: {'made' if made else 'there already'}: {', '.join((*servers, *clients))}"


def main() -> None:
    """Runs the command line, and exits."""
    run_program(command)


if __name__ == "__main__":
    main()
