"""Certificates for every program, judged by OpenSSL; gRPC, which brings BoringSSL, meets them in test_mutual_tls."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rpc.certificates import Authority, files_in, main, make_certificates
from rpc.tls import TlsError, TlsMaterial, read_tls
from tests.support.certificates import certificate_of, expired, material, written
from tests.support.programs import Program

NAMES = ("protector", "invader", "orchestrator")


def side(shown: TlsMaterial, folder: Path, protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    files = written(folder, shown)  # the ssl module takes certificates and keys from files only
    context.load_verify_locations(files.authority)
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # all that RFC 5280 asks for; from Python 3.13 on, the default
    return context


def shake_hands(server: TlsMaterial, client: TlsMaterial, host: str, folder: Path) -> None:
    """A TLS handshake of two sides in memory.

    Raises:
        ssl.SSLCertVerificationError: a side refuses the other's certificate.
    """
    upstream, downstream = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        side(client, folder, ssl.PROTOCOL_TLS_CLIENT).wrap_bio(downstream, upstream, server_hostname=host),
        side(server, folder, ssl.PROTOCOL_TLS_SERVER).wrap_bio(upstream, downstream, server_side=True),
    ]
    while sides:
        for one in tuple(sides):
            try:
                one.do_handshake()
                sides.remove(one)
            except ssl.SSLWantReadError:
                pass


@pytest.fixture
def authority() -> Authority:
    return Authority.create()


@pytest.mark.parametrize("host", ["protector", "localhost", "127.0.0.1", "::1"])
def test_a_server_is_believed_by_its_name_and_by_all_that_it_was_given_beside(
    authority: Authority, host: str, tmp_path: Path
) -> None:
    shake_hands(material(authority, "protector", server=True), material(authority), host, tmp_path)


@pytest.mark.parametrize("host", ["invader", "192.0.2.1", "protector.example"])
def test_a_server_is_not_believed_by_another_name(authority: Authority, host: str, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        shake_hands(material(authority, "protector", server=True), material(authority), host, tmp_path)


def test_a_server_is_not_believed_on_loopback_unless_asked_for(tmp_path: Path) -> None:
    make_certificates(tmp_path / "plain")
    plain = [read_tls(files_in(tmp_path / "plain" / name)) for name in ("protector", "orchestrator")]
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid for"):
        shake_hands(plain[0], plain[1], "localhost", tmp_path)
    make_certificates(tmp_path / "also", also=["localhost"])
    also = [read_tls(files_in(tmp_path / "also" / name)) for name in ("protector", "orchestrator")]
    shake_hands(also[0], also[1], "localhost", tmp_path)


def test_a_server_can_be_an_address(tmp_path: Path) -> None:
    make_certificates(tmp_path, servers=["192.0.2.7"])
    server, client = (read_tls(files_in(tmp_path / name)) for name in ("192.0.2.7", "orchestrator"))
    shake_hands(server, client, "192.0.2.7", tmp_path)


@pytest.mark.parametrize("name", ["bücher", "a" * 65, ""])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(TlsError, match="expected a host name"):
        Authority.create().issue(name, server=True)


def test_a_server_s_certificate_does_not_serve_as_a_client_s(authority: Authority, tmp_path: Path) -> None:
    protector, invader = (material(authority, name, server=True) for name in ("protector", "invader"))
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake_hands(protector, invader, "protector", tmp_path)


def test_a_client_s_certificate_does_not_serve_as_a_server_s(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        shake_hands(material(authority), material(authority), "orchestrator", tmp_path)


def test_a_program_s_key_signs_no_certificate_that_is_believed(authority: Authority, tmp_path: Path) -> None:
    mine = material(authority, "protector", server=True)
    private = load_pem_private_key(mine.key, password=None)
    forged = material(Authority(mine.leaf, private), trusting=authority)  # type: ignore[arg-type]
    chained = TlsMaterial(forged.certificate + mine.certificate, forged.key, forged.authority, forged.leaf)
    with pytest.raises(ssl.SSLCertVerificationError, match="invalid CA"):
        shake_hands(mine, chained, "protector", tmp_path)


def test_certificates_live_as_many_days_as_asked() -> None:
    leaf = x509.load_pem_x509_certificate(Authority.create().issue("a", server=True, days=3)[0])
    left = leaf.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=3, minutes=-1) < left <= timedelta(days=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_program_gets_a_folder_with_its_certificate_its_key_and_the_authority(tmp_path: Path) -> None:
    assert make_certificates(tmp_path)
    assert contents(tmp_path).keys() == {f"{name}/{file}" for name in NAMES for file in ("tls.crt", "tls.key", "ca.crt")}
    for name in NAMES:
        assert read_tls(files_in(tmp_path / name)).leaf.subject.rfc4514_string() == f"CN={name}"
    assert len({(tmp_path / name / "ca.crt").read_bytes() for name in NAMES}) == 1


def test_the_programs_that_were_made_for_one_another_believe_one_another(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    protector, invader, orchestrator = (read_tls(files_in(tmp_path / name)) for name in NAMES)
    shake_hands(protector, orchestrator, "protector", tmp_path)
    shake_hands(invader, orchestrator, "invader", tmp_path)


def test_only_their_owner_reads_them_and_nobody_writes_them(tmp_path: Path) -> None:
    before = os.umask(0)  # whatever else the process lets others read
    try:
        make_certificates(tmp_path / "made")
    finally:
        os.umask(before)
    folders = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "made").iterdir()}
    files = {path: path.stat().st_mode & 0o777 for folder in folders for path in folder.iterdir()}
    assert set(folders.values()) == {0o700}
    assert set(files.values()) == {0o400}


def test_the_authority_s_key_is_written_nowhere(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    authority = x509.load_pem_x509_certificate((tmp_path / "invader" / "ca.crt").read_bytes()).public_key()
    written_keys = [content for content in contents(tmp_path).values() if b"PRIVATE KEY" in content]
    assert len(written_keys) == len(NAMES)
    assert all(load_pem_private_key(key, password=None).public_key() != authority for key in written_keys)


def test_good_certificates_are_left_as_they_are(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    before = contents(tmp_path)
    assert not make_certificates(tmp_path)
    assert contents(tmp_path) == before


def all_new(before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    return all(after[name] != content for name, content in before.items())


def test_certificates_that_end_soon_are_left_because_services_run_with_them(tmp_path: Path) -> None:
    make_certificates(tmp_path, days=1)
    assert not make_certificates(tmp_path)


@pytest.mark.parametrize(
    ("also", "missing"), [(["localhost"], "localhost"), (["::1", "gpu1.example", "protector"], "::1, gpu1.example")]
)
def test_certificates_that_lack_a_host_that_is_asked_for_are_not_taken_for_good(
    tmp_path: Path, also: list[str], missing: str
) -> None:
    make_certificates(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(TlsError) as refused:
        make_certificates(tmp_path, also=also)
    assert str(refused.value) == (
        f"{tmp_path}/protector/tls.crt: expected a certificate for {missing} too, got one for protector; "
        "--renew makes new ones, with which all programs have to be started again"
    )
    assert contents(tmp_path) == before
    assert make_certificates(tmp_path, also=also, renew=True)
    assert not make_certificates(tmp_path, also=also)
    assert not make_certificates(tmp_path), "a further host does no harm"


def test_an_address_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    make_certificates(tmp_path, also=["::1", "LocalHost"])
    assert not make_certificates(tmp_path, also=["0:0:0:0:0:0:0:1", "localhost"])


def with_hosts(folder: Path, *hosts: str, server: bool = True) -> None:
    """A server's certificate of somebody's own authority, and with it a client's of another common name."""
    authority = Authority.create()
    for name, hosts_of in (("gpu1.example", hosts), ("orchestrator", ("alice",))):
        first, *others = hosts_of
        certificate, key = authority.issue(first, server=name != "orchestrator", also=others)
        leaf = x509.load_pem_x509_certificate(certificate)
        written(folder / name, TlsMaterial(certificate, key, certificate_of(authority), leaf))


@pytest.mark.parametrize("hosts", [("gpu1.example",), ("*.example",), ("other.example", "gpu1.example")])
def test_certificates_of_one_s_own_authority_are_left_where_they_are_for_the_hosts(
    tmp_path: Path, hosts: tuple[str, ...]
) -> None:
    with_hosts(tmp_path, *hosts)
    assert not make_certificates(tmp_path, servers=["gpu1.example"])


@pytest.mark.parametrize("hosts", [("gpu2.example",), ("*.gpu1.example",), ("*.gpu2.example",), ("example",)])
def test_certificates_of_one_s_own_authority_that_lack_the_host_are_named(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    with_hosts(tmp_path, *hosts)
    with pytest.raises(
        TlsError, match=r"gpu1\.example/tls\.crt: expected a certificate for gpu1\.example too, got one for "
    ):
        make_certificates(tmp_path, servers=["gpu1.example"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"servers": [], "clients": ["protector", "orchestrator"]},
            "protector/tls.crt: expected a certificate for a client, got one for a server; --renew",
        ),
        (
            {"servers": ["protector", "orchestrator"], "clients": []},
            "orchestrator/tls.crt: expected a certificate for a server, got one for a client; --renew",
        ),
    ],
)
def test_a_certificate_of_the_other_use_is_not_taken_for_good(
    tmp_path: Path, asked: dict[str, list[str]], message: str
) -> None:
    make_certificates(tmp_path)
    with pytest.raises(TlsError) as refused:
        make_certificates(tmp_path, servers=asked["servers"], clients=asked["clients"])
    assert message in str(refused.value)


def test_certificates_are_renewed_when_asked(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    before = contents(tmp_path)
    assert make_certificates(tmp_path, renew=True)
    assert all_new(before, contents(tmp_path))


def test_expired_certificates_are_made_anew(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    authority = Authority.create()
    for name in NAMES:
        past = expired(authority, material(authority, name))
        for path in (tmp_path / name).iterdir():
            path.unlink()
        written(tmp_path / name, past)
    before = contents(tmp_path)
    assert make_certificates(tmp_path)
    assert all_new(before, contents(tmp_path))


def test_where_one_is_missing_all_are_made_anew_because_the_authority_is_gone(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "invader" / "tls.key").unlink()
    assert make_certificates(tmp_path)
    assert all_new(before, contents(tmp_path))


def test_certificates_of_several_authorities_are_made_anew(tmp_path: Path) -> None:
    make_certificates(tmp_path, servers=["protector"], clients=[])
    make_certificates(tmp_path, servers=["invader"], clients=["orchestrator"])
    before = contents(tmp_path)
    assert make_certificates(tmp_path)
    assert all_new(before, contents(tmp_path))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "certificates"
    in_the_way.touch()
    with pytest.raises(TlsError, match=f"{in_the_way}: cannot be written: "):
        make_certificates(in_the_way)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    return Program(main, monkeypatch, capfd)


def test_the_command_makes_them_and_leaves_them_the_second_time(run: Program, tmp_path: Path) -> None:
    first, second = run(tmp_path), run(tmp_path)
    assert (first.status, first.out) == (0, f"{tmp_path}: made: protector, invader, orchestrator\n")
    assert (second.status, second.out) == (0, f"{tmp_path}: there already: protector, invader, orchestrator\n")


def test_the_command_takes_names_of_servers_and_clients_and_their_days(run: Program, tmp_path: Path) -> None:
    assert run(tmp_path, "--server", "lamp", "--server", "lantern", "--client", "hand", "--days", "40").status == 0
    lamp, lantern, hand = (read_tls(files_in(tmp_path / name)) for name in ("lamp", "lantern", "hand"))
    assert {path.name for path in tmp_path.iterdir()} == {"lamp", "lantern", "hand"}
    shake_hands(lamp, hand, "lamp", tmp_path)
    shake_hands(lantern, hand, "lantern", tmp_path)
    assert timedelta(days=39) < lamp.leaf.not_valid_after_utc - datetime.now(UTC) < timedelta(days=41)


def test_the_command_ends_with_what_is_in_the_way(run: Program, tmp_path: Path) -> None:
    (tmp_path / "protector").touch()
    refused = run(tmp_path)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith(f"error: {tmp_path}: cannot be written: ")


def test_the_command_does_not_drop_a_host_that_the_certificates_there_lack(run: Program, tmp_path: Path) -> None:
    run(tmp_path)
    refused = run(tmp_path, "--also", "localhost")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.startswith(f"error: {tmp_path}/protector/tls.crt: expected a certificate for localhost too, ")
    assert "--renew" in refused.err


def test_a_name_that_is_none_leaves_the_certificates_as_they_are(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(TlsError, match="got 'bücher'"):
        make_certificates(tmp_path, clients=["orchestrator", "bücher"], renew=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("host", ["bücher", ""])
def test_a_further_host_that_is_none_is_named(run: Program, tmp_path: Path, host: str) -> None:
    refused = run(tmp_path, "--also", host)
    assert (refused.status, refused.out) == (2, "")
    assert refused.err.endswith(f", got {host!r}\n")


def test_the_command_renews_and_gives_servers_further_names(run: Program, tmp_path: Path) -> None:
    run(tmp_path)
    before = contents(tmp_path)
    again = run(tmp_path, "--renew", "--also", "localhost")
    assert again.out == f"{tmp_path}: made: protector, invader, orchestrator\n"
    assert all_new(before, contents(tmp_path))
    invader, orchestrator = (read_tls(files_in(tmp_path / name)) for name in ("invader", "orchestrator"))
    shake_hands(invader, orchestrator, "localhost", tmp_path)
