"""The tables of docs/conformance.md: `python -m tests.support.conformance_tables` writes them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.catalogue import ALL_CHECKS, CHECKS
from conformance.check import Check
from conformance.invader.service import Invader
from conformance.protector.service import Protector
from tests.support import mutants_galleries, mutants_invader, mutants_protector
from tests.support.mutants import MUTANTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
REGISTERED = (mutants_protector, mutants_invader, mutants_galleries)


def with_tables(document: str) -> str:
    """A document with its tables made anew, between the comments that mark them."""
    for name, table in (("checks", _checks()), ("mutants", _mutants())):
        begin, end = f"<!-- {name}: generated -->\n", f"<!-- end of {name} -->"
        content = "".join(f"{line}\n" for line in table)
        document = re.sub(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _: content, document, flags=re.DOTALL)  # noqa: B023 - used at once
    return document


def _checks() -> Iterator[str]:
    of_both = {_name(each): each for each in CHECKS[Protector]}
    of_both = {_name(each): each for each in CHECKS[Invader] if each.why == getattr(of_both.get(_name(each)), "why", None)}
    yield from _table("Of both", {f"*.{name}": each for name, each in of_both.items()})
    for heading, kind in (("Of a protector", Protector), ("Of an invader", Invader)):
        yield from _table(heading, {each.id: each for each in CHECKS[kind] if _name(each) not in of_both})
    yield ""


def _table(heading: str, checks: Mapping[str, Check[Any]]) -> Iterator[str]:
    yield f"\n### {heading}\n"
    yield "| check | demands | why |"
    yield "| --- | --- | --- |"
    for name, each in checks.items():
        yield f"| `{name}` | {each.demands} | {each.why} |"


def _name(check: Check[Any]) -> str:
    return check.id.partition(".")[2]


def _mutants() -> Iterator[str]:
    yield f"\n{len(MUTANTS)} services, each wrong in one way:\n"
    yield "| service | what is wrong | caught by |"
    yield "| --- | --- | --- |"
    order = [check.id for check in ALL_CHECKS]
    for each in sorted(MUTANTS, key=lambda mutant: (order.index(mutant.caught_by), mutant.wrong)):
        yield f"| {each.caught_by.partition('.')[0]} | {each.wrong} | `{each.caught_by}` |"
    yield ""


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
