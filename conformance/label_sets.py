"""Lists of models and of identities, whichever service has them."""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Protocol

from conformance.check import Failed, NotApplicable
from conformance.refusal import Refusal, Refused

PAGES = 3  # or more, where the longest page is less than a third of a label set
MAX_PAGE = 10_000  # identities
MAX_IDENTITIES = 1_000_000  # of any label set
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Model(Protocol):
    """A source or a target model as it is listed."""

    @property
    def name(self) -> str: ...

    @property
    def identities(self) -> int: ...

    @property
    def label_set_sha256(self) -> str: ...


class Page(Protocol):
    """Some identities of a label set."""

    @property
    def identities(self) -> Iterable[str]: ...

    @property
    def next_page_token(self) -> str: ...


Identities = Callable[..., Awaitable[list[str]]]  # of a model by its name, in pages of `page_size`


async def all_identities(page: Callable[[str], Awaitable[Page]], *, model: str, page_size: int) -> list[str]:
    """The identities of a model, page by page; `page` asks for one by its token.

    Raises:
        Failed: a page is too long, or there is no end to them.
    """
    identities: list[str] = []
    token = ""
    while True:
        answer = await page(token)
        came = list(answer.identities)
        if page_size and len(came) > page_size:
            raise Failed(f"{model}: expected at most {page_size} identities a page, got {len(came)}")
        identities += came
        token = answer.next_page_token
        if not token:
            return identities
        if not came or len(identities) > MAX_IDENTITIES:
            raise Failed(f"{model}: pages do not come to an end, after {len(identities)} identities")


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 as the schema writes it."""
    return _DIGEST.fullmatch(text) is not None


def list_faults(models: Sequence[Any]) -> Iterator[str]:
    """What is wrong with a list of models or methods: it is sorted by name, and none is there twice."""
    names = [model.name for model in models]
    if not names or "" in names:
        yield f"expected at least one, all named, got {names}"
    if names != sorted(set(names)):
        yield f"expected distinct names, sorted, got {', '.join(names)}"


def model_faults(models: Sequence[Model]) -> Iterator[str]:
    """What is wrong with a list of models."""
    yield from list_faults(models)
    for model in models:
        if model.identities < 1:
            yield f"{model.name}: expected at least one identity, got {model.identities}"
        if not is_digest(model.label_set_sha256):
            yield f"{model.name}: expected label_set_sha256 in 64 hexadecimal digits, got {model.label_set_sha256!r}"


async def label_set_faults(models: Sequence[Model], identities: Identities, *, may_refuse: bool) -> list[str]:
    """What is wrong with the label sets that models state.

    Raises:
        NotApplicable: the service does not list them, and may do so.
    """
    faults = []
    for model in models:
        listed = await _listed(model.name, identities, may_refuse=may_refuse)
        if len(listed) != model.identities:
            faults.append(f"{model.name}: states {model.identities} identities, lists {len(listed)}")
        if len(set(listed)) != len(listed):
            faults.append(f"{model.name}: lists an identity twice")
        if any(not identity or "\n" in identity for identity in listed):
            faults.append(f"{model.name}: lists an identity that is empty or holds a line feed")
        if sha256("\n".join(listed).encode()).hexdigest() != model.label_set_sha256:
            faults.append(f"{model.name}: the identities that it lists do not have the digest that it states")
    return faults


async def page_faults(models: Sequence[Model], identities: Identities, *, may_refuse: bool) -> list[str]:
    """What is wrong with pages of a label set: whatever their size, they make up the same list.

    Raises:
        NotApplicable: the service does not list them, and may do so.
    """
    model = models[0]
    whole = await _listed(model.name, identities, may_refuse=may_refuse)
    size = max(1, min(MAX_PAGE, -(-len(whole) // PAGES)))
    paged = await identities(model.name, page_size=size)
    return (
        []
        if paged == whole
        else [f"{model.name}: pages of {size} make up {len(paged)} identities, another list than without"]
    )


async def _listed(model: str, identities: Identities, *, may_refuse: bool) -> list[str]:
    try:
        return await identities(model)
    except Refused as refused:
        if may_refuse:
            raise_if_not_listed(refused.refusal)
        raise


def raise_if_not_listed(refusal: Refusal) -> None:
    """Ends a check at a service that does not list its identities.

    Raises:
        NotApplicable: that is what the refusal says.
    """
    if refusal.code.name in ("PERMISSION_DENIED", "UNIMPLEMENTED"):
        raise NotApplicable(f"the service does not list its identities ({refusal.code.name})")
