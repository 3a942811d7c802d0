"""What stands for the replicas of a service."""

from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.services.addresses import has_replicas, name_of_replicas, replica_addresses


@pytest.mark.parametrize(
    ("text", "several"),
    [("a:1", False), ("[::1]:1", False), ("a:1,b:2", True), ("@file", True), ("dns:///a:1", True), ("a:1,", True)],
)
def test_what_can_stand_for_several_is_told_by_its_form(text: str, several: bool) -> None:
    assert has_replicas(text) is several


async def test_a_list_is_its_addresses_in_order_each_once() -> None:
    assert await replica_addresses("invader", " b:2, a:1 ,b:2,[::1]:3")() == ("b:2", "a:1", "[::1]:3")


async def test_a_file_has_an_address_a_line_and_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# written by hand\na:1\n\n  b:2  \n")
    addresses = replica_addresses("invader", f"@{path}")
    assert await addresses() == ("a:1", "b:2")
    path.write_text("c:3")
    assert await addresses() == ("c:3",)


async def test_a_name_is_all_that_it_stands_for() -> None:
    assert "127.0.0.1:7" in await replica_addresses("invader", "dns:///localhost:7")()
    assert name_of_replicas("dns:///localhost:7") == "localhost"
    assert name_of_replicas("a:1,b:2") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",", r"^--invader: ,: expected at least one address, host:port, got none$"),
        ("a:1,b", r"^--invader: a:1,b: expected host:port, .+, got 'b'$"),
        ("a:1,dns:///b:2", r"expected host:port in a list, got dns:///b:2$"),
        ("@/nowhere/at/all", r"^--invader: /nowhere/at/all: expected a file with an address a line: No such file"),
        ("dns:///a..b:1", r"^--invader: the name in dns:///a\.\.b:1 is not known here: "),
        ("dns:///a", r"^--invader: expected host:port, "),
    ],
)
async def test_what_is_no_list_is_refused_by_its_option(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        await replica_addresses("invader", text)()
