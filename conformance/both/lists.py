"""Lists: models, label sets, and the texts in which a service describes itself."""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from conformance.check import NotApplicable, Problems, check
from conformance.refusals import invalid, unknown_name
from conformance.service import Service
from conformance.text_leaks import MAX_TEXT

PAGES = 3  # or more, where the longest page is less than a third of a label set
MAX_PAGE = 10_000  # identities
BAD_PAGES = (
    invalid("page_size -1", "page_size", page_size=-1),
    invalid(f"page_size {MAX_PAGE + 1}", "page_size", page_size=MAX_PAGE + 1),
    invalid("a token of its own making", "page_token", page_token="no token of yours"),  # noqa: S106 - no password
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether a text is a SHA-256 in the schema's form."""
    return _DIGEST.fullmatch(text) is not None


def list_problems(listed: Sequence[Any]) -> Iterator[str]:
    """What is wrong with a list of models or methods, which must be sorted by name, without repetitions."""
    names = [each.name for each in listed]
    if not names or "" in names:
        yield f"expected at least one, all named, got {names}"
    if names != sorted(set(names)):
        yield f"expected distinct names, sorted, got {', '.join(names)}"


def model_problems(models: Sequence[Any]) -> Iterator[str]:
    """What is wrong with a list of models."""
    yield from list_problems(models)
    for model in models:
        if model.identities < 1:
            yield f"{model.name}: expected at least one identity, got {model.identities}"
        if not is_digest(model.label_set_sha256):
            yield f"{model.name}: expected label_set_sha256 in 64 hexadecimal digits, got {model.label_set_sha256!r}"


@check(
    "stated",
    demands="Each text in which a service describes its face extraction, its matching and its methods is one line of at "
    f"most {MAX_TEXT} characters.",
    why="Manifests and reports repeat these texts, so that nothing is assumed about another's detector, matcher or method.",
)
async def stated(service: Service) -> Problems:
    for what, text in service.stated():
        if len(text) > MAX_TEXT:
            yield f"{what}: expected at most {MAX_TEXT} characters, got {len(text)}"
        if len(text.splitlines()) > 1:
            yield f"{what}: expected one line, got {len(text.splitlines())}"


@check(
    "label-sets",
    demands="Each model lists as many identities as it states, each once, and with the digest that it states. An invader "
    "may refuse to list them.",
    why="Subjects are drawn from the people whom all models know, and label sets are compared by their digests. An "
    "identity that a target model cannot answer would count as protected.",
)
async def label_sets(service: Service) -> Problems:
    for model in service.models:
        listed = await service.identities(model.name)
        if len(listed) != model.identities:
            yield f"{model.name}: states {model.identities} identities, lists {len(listed)}"
        if len(set(listed)) != len(listed):
            yield f"{model.name}: lists an identity twice"
        if any(not identity or "\n" in identity for identity in listed):
            yield f"{model.name}: lists an identity that is empty or holds a line feed"
        if sha256("\n".join(listed).encode()).hexdigest() != model.label_set_sha256:
            yield f"{model.name}: the digest that it states is not that of the identities that it lists"


@check(
    "pages",
    demands="No page of identities is longer than requested, and all pages together make up the same list. Invalid page "
    "sizes and tokens are refused.",
    why="A label set of thousands comes in pages; a service that loses an identity excludes a subject.",
)
async def pages(service: Service) -> Problems:
    model, field = service.models[0].name, service.model_field
    whole = await service.identities(model)
    size = max(1, min(MAX_PAGE, -(-len(whole) // PAGES)))
    paged = await service.identities(model, page_size=size)
    if paged != whole:
        yield f"{model}: pages of {size} make up another list, of {len(paged)} identities, than default pages"
    for bad in (*BAD_PAGES, unknown_name("an unknown model", field, **{field: "no model of yours"})):
        request = service.client.message("ListIdentities", **{field: model, **bad.changes})
        for problem in bad.problems(await service.client.refusal("ListIdentities", request)):
            yield problem


@check(
    "models-digest",
    demands="deid-models-digest, where it is sent, is 64 lower-case hexadecimal digits, and the same with every answer to "
    "Craft, Classify, and the lists of models.",
    why="A run notices by it that models were replaced; a digest that changes without a reason ends every run.",
    queries=2,
)
async def models_digest(service: Service) -> Problems:
    for changes in list(service.samples().values())[:2]:
        await service.ask(service.request(**{**changes, **service.cheap}))
    await service.client.ask(service.list_models)
    digests = service.client.models_digests
    sent = sorted(digest for digest in digests if digest is not None)
    if not sent:
        raise NotApplicable("the service does not send deid-models-digest, which is optional")
    for digest in sent:
        if not is_digest(digest):
            yield f"expected 64 lower-case hexadecimal digits, got {digest[:80]!r}"
    if len(sent) > 1:
        yield f"expected the same with every answer, got {len(sent)} different ones"
    if None in digests:
        yield "expected it with every answer, and some came without"
