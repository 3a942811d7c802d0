"""The tables of docs/conformance.md: `python -m tests.support.conformance_tables` writes them."""

import re
from collections.abc import Iterator
from pathlib import Path

from conformance.catalogue import ALL_CHECKS
from tests.support import mutants_invader, mutants_protector
from tests.support.mutants import MUTANTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
REGISTERED = (mutants_protector, mutants_invader)


def with_tables(document: str) -> str:
    """A document with its tables made anew, between the comments that mark them."""
    for name, table in (("checks", _checks()), ("mutants", _mutants())):
        begin, end = f"<!-- {name}: generated -->\n", f"<!-- end of {name} -->"
        content = "".join(f"{line}\n" for line in table)
        document = re.sub(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", lambda _: content, document, flags=re.DOTALL)  # noqa: B023 - used at once
    return document


def _checks() -> Iterator[str]:
    for service in ("protector", "invader"):
        yield f"\n### Of {'a' if service == 'protector' else 'an'} {service}\n"
        yield "| check | demands | why |"
        yield "| --- | --- | --- |"
        for check in ALL_CHECKS:
            if check.id.startswith(f"{service}."):
                yield f"| `{check.id}` | {check.demands} | {check.why} |"
    yield ""


def _mutants() -> Iterator[str]:
    yield f"\n{len(MUTANTS)} services, each wrong in one way:\n"
    yield "| service | what is wrong | caught by |"
    yield "| --- | --- | --- |"
    order = [check.id for check in ALL_CHECKS]
    for each in sorted(MUTANTS, key=lambda mutant: order.index(mutant.caught_by)):
        yield f"| {each.caught_by.partition('.')[0]} | {each.wrong} | `{each.caught_by}` |"
    yield ""


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
