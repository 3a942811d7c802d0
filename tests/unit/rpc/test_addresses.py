"""Which hosts are this machine's own, and what the two forms of an address are made of."""

import pytest

from rpc.addresses import AddressError, address_of, bare_host, host_and_port, is_loopback, is_replicated


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


@pytest.mark.parametrize(
    ("typed", "bare"),
    [
        *(("::1", "::1"), ("[::1]", "::1"), ("::", "::"), ("fe80::1%eth0", "fe80::1%eth0")),
        *(("127.0.0.1", "127.0.0.1"), ("protector", "protector"), ("", "")),
    ],
)
def test_a_host_may_be_typed_with_and_without_an_ipv6_address_s_brackets(typed: str, bare: str) -> None:
    assert bare_host(typed) == bare


@pytest.mark.parametrize(
    "typed", ["127.0.0.1:5000", "protector:5000", "[::1]:5000", "[::1", "[protector]", "[]", ":", "1:2"]
)
def test_what_is_no_host_alone_is_refused(typed: str) -> None:
    with pytest.raises(AddressError, match="expected a host name or an address, without a port, got "):
        bare_host(typed)


@pytest.mark.parametrize(
    ("host", "address"), [("::1", "[::1]:5"), ("127.0.0.1", "127.0.0.1:5"), ("a.example", "a.example:5")]
)
def test_an_address_that_is_formed_is_read_as_what_it_was_formed_of(host: str, address: str) -> None:
    assert address_of(host, 5) == address
    assert host_and_port(address) == (host, 5)
