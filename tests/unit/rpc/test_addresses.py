"""Which hosts are this machine's own, and the host of an address."""

import pytest

from rpc.addresses import host_of, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "::1", "[::1]"])
def test_loopback_is_this_machine_s_own(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "[::]", "192.0.2.1", "128.0.0.1", "localhost.example", "127.0.0.1.example", "protector", "unix"],
)
def test_no_other_host_is_whatever_its_name_resembles(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1:5000", "127.0.0.1"), ("[::1]:5000", "[::1]"), ("protector:5000", "protector"), (":5000", "")],
)
def test_the_host_stands_before_the_last_colon(address: str, host: str) -> None:
    assert host_of(address) == host
