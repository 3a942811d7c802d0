"""Which hosts are this machine's own, and what the two forms of an address are made of."""

import pytest

from rpc.addresses import AddressError, host_and_port, is_loopback, is_replicated


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
    ("address", "host", "port"),
    [("127.0.0.1:5000", "127.0.0.1", 5000), ("[::1]:5000", "::1", 5000), ("protector:65535", "protector", 65535)],
)
@pytest.mark.parametrize("form", ["", "dns:///"])
def test_an_address_is_a_host_and_a_port_in_either_form(form: str, address: str, host: str, port: int) -> None:
    assert host_and_port(form + address) == (host, port)


@pytest.mark.parametrize(
    "address",
    [
        *("", "protector", "protector:", ":5000", "a:0", "a:65536", "a:-1", "a:x", "a:5 ", "a:٣", "::1:5000", "[::1]"),
        *("dns:protector:5000", "dns://8.8.8.8/protector:5000", "dns:///", "dns:////a:1", "dns:///dns:///a:1"),
        *("unix:/socket:1", "ipv4:127.0.0.1:5000", "https://a:1"),
    ],
)
def test_what_is_no_address_is_refused_and_both_forms_are_named(address: str) -> None:
    with pytest.raises(AddressError, match=r"expected host:port, such as .+, or dns:///host:port for replicas .+, got "):
        host_and_port(address)


def test_the_second_form_is_for_replicas() -> None:
    assert is_replicated("dns:///protector:5000")
    assert not is_replicated("protector:5000")
