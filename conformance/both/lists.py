"""What is listed: models, label sets, and what a service says of itself."""

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
    """Whether a text is a SHA-256 as the schema writes it."""
    return _DIGEST.fullmatch(text) is not None


def list_problems(listed: Sequence[Any]) -> Iterator[str]:
    """What is wrong with a list of models or methods: it is sorted by name, and none is there twice."""
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
    demands=f"What is said in words of extraction and of methods is one line of at most {MAX_TEXT} characters each.",
    why="Manifests and reports repeat it, so that nothing is assumed of another's method or detector.",
)
async def stated(service: Service) -> Problems:
    for what, text in service.stated():
        if len(text) > MAX_TEXT:
            yield f"{what}: expected at most {MAX_TEXT} characters, got {len(text)}"
        if len(text.splitlines()) > 1:
            yield f"{what}: expected one line, got {len(text.splitlines())}"


@check(
    "label-sets",
    demands="The identities of a model are as many as it states, each once, and have the digest that it states; an invader "
    "need not list them.",
    why="Subjects are drawn from the people whom all models know, and label sets are compared by their digests: an identity "
    "that a target model cannot answer would count as protected.",
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
            yield f"{model.name}: the identities that it lists do not have the digest that it states"


@check(
    "pages",
    demands="Pages of identities are as long as asked for at most, and make up the same list; other sizes and tokens are "
    "refused.",
    why="A label set of thousands comes in pages; a service that loses one excludes subjects.",
)
async def pages(service: Service) -> Problems:
    model, field = service.models[0].name, service.model_field
    whole = await service.identities(model)
    size = max(1, min(MAX_PAGE, -(-len(whole) // PAGES)))
    paged = await service.identities(model, page_size=size)
    if paged != whole:
        yield f"{model}: pages of {size} make up {len(paged)} identities, another list than without"
    for bad in (*BAD_PAGES, unknown_name("an unknown model", field, **{field: "no model of yours"})):
        request = service.client.message("ListIdentities", **{field: model, **bad.changes})
        for problem in bad.problems(await service.client.refusal("ListIdentities", request)):
            yield problem


@check(
    "models-digest",
    demands="deid-models-digest, where it is sent, is 64 hexadecimal digits, and the same with every answer that may have "
    "it: to Craft, Classify, and the lists of models.",
    why="It is what a run notices other models by; one that changes by itself ends every run.",
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
