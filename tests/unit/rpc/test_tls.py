"""Certificates, keys and authorities are checked before they are used; what is wrong with them is said with the file."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from rpc.certificates import Authority
from rpc.errors import DeidRpcError
from rpc.tls import TlsError, TlsFiles, expires_soon, read_tls
from tests.support.certificates import certificate_of, material, written

WAY_OUT = "`make certificates` makes new ones"
SECOND = timedelta(seconds=1)


@pytest.fixture
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
def files(authority: Authority, tmp_path: Path) -> TlsFiles:
    return written(tmp_path, material(authority))


def refusal(files: TlsFiles, *, now: datetime | None = None) -> str:
    """What is said of files that cannot be used."""
    with pytest.raises(TlsError) as refused:
        read_tls(files, now=now)
    assert isinstance(refused.value, DeidRpcError), "the package's one root"
    return str(refused.value)


def test_good_files_are_read_as_they_are(files: TlsFiles, authority: Authority) -> None:
    read = read_tls(files)
    assert read.certificate == files.certificate.read_bytes()
    assert read.key == files.key.read_bytes()
    assert read.authority == certificate_of(authority)
    assert read.leaf.subject.rfc4514_string() == "CN=orchestrator"


def certificate(files: TlsFiles) -> Path:
    return files.certificate


def key(files: TlsFiles) -> Path:
    return files.key


def ca(files: TlsFiles) -> Path:
    return files.authority


each_file = pytest.mark.parametrize("which", [certificate, key, ca])
Which = Callable[[TlsFiles], Path]


@each_file
def test_a_missing_file_is_named(files: TlsFiles, which: Which) -> None:
    path = which(files)
    path.unlink()
    assert refusal(files) == f"{path}: cannot be read: No such file or directory; {WAY_OUT}"


@each_file
def test_a_folder_in_a_file_s_place_is_named(files: TlsFiles, which: Which) -> None:
    path = which(files)
    path.unlink()
    path.mkdir()
    assert refusal(files) == f"{path}: cannot be read: Is a directory; {WAY_OUT}"


@each_file
@pytest.mark.parametrize(
    "content", [b"", b"\x30\x82\x00\x01", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_that_is_not_pem_is_named_with_what_was_expected(files: TlsFiles, which: Which, content: bytes) -> None:
    path = which(files)
    path.write_bytes(content)
    expected = "a PEM private key without a password" if which is key else "a PEM certificate"
    assert refusal(files) == f"{path}: expected {expected}; {WAY_OUT}"


def test_a_key_with_a_password_is_named(files: TlsFiles) -> None:
    private = load_pem_private_key(files.key.read_bytes(), password=None)
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password"))
    files.key.write_bytes(locked)
    assert refusal(files) == f"{files.key}: expected a PEM private key without a password; {WAY_OUT}"


def test_the_key_of_another_certificate_is_named_with_the_certificate(files: TlsFiles, authority: Authority) -> None:
    files.key.write_bytes(material(authority).key)
    said = refusal(files)
    assert said.startswith(f"{files.key}: expected the private key of {files.certificate}, got that of another")
    assert said.endswith(WAY_OUT)


def test_nothing_of_a_key_is_repeated(files: TlsFiles, authority: Authority) -> None:
    other = material(authority).key
    files.key.write_bytes(other)
    assert other.decode().splitlines()[1] not in refusal(files)


def test_a_certificate_of_another_authority_is_named_with_both(files: TlsFiles) -> None:
    # Of the same name, as the authority of an earlier run is: only the signature tells them apart.
    files.authority.write_bytes(certificate_of(Authority.create()))
    said = refusal(files)
    assert said.startswith(f"{files.certificate}: expected a certificate of the authority {files.authority}, got one of ")
    assert said.endswith(WAY_OUT)


def test_a_program_s_certificate_is_no_authority(files: TlsFiles) -> None:
    files.authority.write_bytes(files.certificate.read_bytes())
    assert refusal(files).startswith(f"{files.certificate}: expected a certificate of the authority {files.authority}")


def test_a_certificate_is_good_to_the_last_second_of_its_period_and_no_longer(files: TlsFiles) -> None:
    end = read_tls(files).leaf.not_valid_after_utc
    assert read_tls(files, now=end).certificate == files.certificate.read_bytes()
    assert refusal(files, now=end + SECOND) == f"{files.certificate}: expired on {end:%Y-%m-%d}; {WAY_OUT}"


def test_a_certificate_is_good_from_the_first_second_of_its_period_and_no_sooner(files: TlsFiles) -> None:
    begin = read_tls(files).leaf.not_valid_before_utc
    assert read_tls(files, now=begin).certificate == files.certificate.read_bytes()
    said = refusal(files, now=begin - SECOND)
    assert said == f"{files.certificate}: not valid before {begin:%Y-%m-%d %H:%M} UTC; check the clock"


def test_an_authority_that_expires_before_its_certificate_is_named(tmp_path: Path) -> None:
    authority = Authority.create(days=1)
    files = written(tmp_path, material(authority))
    end = authority.certificate.not_valid_after_utc
    assert refusal(files, now=end + SECOND) == f"{files.authority}: expired on {end:%Y-%m-%d}; {WAY_OUT}"


def test_a_certificate_expires_soon_where_it_has_less_than_thirty_days_left(authority: Authority) -> None:
    leaf = material(authority).leaf
    month_before = leaf.not_valid_after_utc - timedelta(days=30)
    assert not expires_soon(leaf, now=month_before)
    assert expires_soon(leaf, now=month_before + SECOND)
    assert not expires_soon(leaf), "a new one does not"
