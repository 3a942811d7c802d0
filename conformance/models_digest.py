"""What a service says in `deid-models-digest`, whichever it is."""

from collections.abc import Iterator

from conformance.check import NotApplicable
from conformance.label_sets import is_digest


def models_digest_faults(digests: set[str | None]) -> Iterator[str]:
    """What is wrong with what came in `deid-models-digest` with all answers that may have it; None stands for one without.

    Raises:
        NotApplicable: it came with none, as it may.
    """
    sent = sorted(digest for digest in digests if digest is not None)
    if not sent:
        raise NotApplicable("the service does not send deid-models-digest, which is optional")
    yield from (
        f"expected 64 lower-case hexadecimal digits, got {digest[:80]!r}" for digest in sent if not is_digest(digest)
    )
    if len(sent) > 1:
        yield f"expected the same with every answer, got {len(sent)} different ones"
    if None in digests:
        yield "expected it with every answer, and some came without"
