"""What a service says in `deid-offer`, whichever it is."""

from collections.abc import Iterator

from conformance.check import NotApplicable
from conformance.label_sets import is_digest


def offer_faults(offers: set[str | None]) -> Iterator[str]:
    """What is wrong with what came in `deid-offer` with all answers that may have it; None stands for one without.

    Raises:
        NotApplicable: it came with none, as it may.
    """
    sent = sorted(offer for offer in offers if offer is not None)
    if not sent:
        raise NotApplicable("the service does not send deid-offer, which is optional")
    yield from (f"expected 64 lower-case hexadecimal digits, got {offer[:80]!r}" for offer in sent if not is_digest(offer))
    if len(sent) > 1:
        yield f"expected the same with every answer, got {len(sent)} different ones"
    if None in offers:
        yield "expected it with every answer, and some came without"
