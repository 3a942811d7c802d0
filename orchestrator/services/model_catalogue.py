"""What a service lists, and whether it still is the one that listed it when the run began."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import grpc
from deid.invader.v1.invader_pb2 import TargetModel
from deid.protector.v1.protector_pb2 import SourceModel

from orchestrator.errors import (
    CallError,
    InputError,
    ServiceChangedError,
    UnreachableServiceError,
    UnusableServiceError,
)
from orchestrator.experiment.differences import differences
from orchestrator.experiment.grid import NOT_STATED
from orchestrator.experiment.model import Model
from rpc.errors import shorten
from rpc.models_digest import received_models_digest

LIST_SECONDS = 30.0
CHECK_SECONDS = 5.0  # of a service that listed its models before
MAX_STATED = 500  # characters of what a service says in words


@dataclass(frozen=True)
class Listing:
    """What a service answered when it was asked for its models."""

    models: Mapping[str, Model]
    digest: str | None  # the digest that came with it (`rpc.models_digest`); None where the service sends none


class ModelCatalogue:
    """The models of one service."""

    def __init__(self, service: str, ask: Callable[[float], Awaitable[Listing]]) -> None:
        """`service` is its kind and address; `ask` has it list its models, within so many seconds."""
        self._service = service
        self._ask = ask
        self._models: Mapping[str, Model] = {}
        self._known: dict[str, set[str]] = {}  # by digest, the models that were found to be the same in it

    async def begin(self) -> dict[str, Model]:
        """The models by name; what the service answers later is compared with them."""
        listing = await self._ask(LIST_SECONDS)
        self._models = listing.models
        self._known = {} if listing.digest is None else {listing.digest: set(listing.models)}
        return dict(listing.models)

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """Lists the models again, and compares those given with what they were.

        Raises:
            UnreachableServiceError: the service does not answer.
            ServiceChangedError: it answers, but not as the one that it was; the message names what differs.
        """
        try:
            listing = await self._ask(CHECK_SECONDS)
        except CallError as error:
            raise (UnreachableServiceError if error.transient else ServiceChangedError)(str(error)) from error
        except InputError as error:  # another kind of service is there now
            raise ServiceChangedError(str(error)) from error
        then = {name: dict(model.card) for name, model in models.items()}
        now = {name: dict(model.card) for name, model in listing.models.items() if name in models}
        differing = [f"{what}: {old!r} then, {new!r} now" for what, old, new in differences(then, now)]
        if differing:
            raise ServiceChangedError(
                f"the {self._service} is not what it was when the run began; what differs: {'; '.join(differing)}"
            )
        if listing.digest is not None:
            self._known.setdefault(listing.digest, set()).update(models)

    async def check_answer(self, call: grpc.aio.Call, models: Collection[str]) -> None:
        """Makes sure that an answer by these models is of what was listed; an answer without a digest is believed.

        Raises:
            OrchestratorError: see `check_unchanged`.
        """
        digest = await received_models_digest(call) if self._known else None
        if digest is None or self._is_known(digest, models):
            return
        await self.check_unchanged({name: self._models[name] for name in models})
        if not self._is_known(digest, models):
            raise ServiceChangedError(
                f"the {self._service}: expected replicas that offer the same models, got an answer by one whose models are "
                f"not those that another lists"
            )

    def _is_known(self, digest: str, models: Collection[str]) -> bool:
        return self._known.get(digest, set()).issuperset(models)


class IdentitiesPage(Protocol):
    """The answer to ListIdentities, of either service."""

    @property
    def identities(self) -> Iterable[str]: ...

    @property
    def next_page_token(self) -> str: ...


async def all_identities(service: str, model: Model, page: Callable[[str], Awaitable[IdentitiesPage]]) -> tuple[str, ...]:
    """The label set of a model, page by page, in class order.

    Raises:
        UnusableServiceError: the service lists more than it stated, or without end.
        grpc.aio.AioRpcError: a call failed.
    """
    identities: list[str] = []
    token = ""
    while True:
        answer = await page(token)
        known = len(identities)
        identities += answer.identities
        token = answer.next_page_token
        if len(identities) > model.identities or (token and len(identities) == known):
            raise UnusableServiceError(
                f"{service}: lists identities of {model.name} without end; it states {model.identities}"
            )
        if not token:
            return tuple(identities)


def as_listed(model: SourceModel | TargetModel, *disclosed: str) -> Model:
    """A model as its service lists it; `disclosed` are the fields that its card has beside those of all models."""
    facts = {field: getattr(model, field) for field in ("identities", "label_set_sha256", *disclosed)}
    card = facts | {"extraction": stated(model.extraction) or NOT_STATED}
    return Model(model.name, model.identities, model.label_set_sha256, facts.get("max_candidates"), card)


def stated(text: str) -> str:
    """What a service says in words, as one line of a length that a page can hold."""
    return shorten(" ".join(text.split()), most=MAX_STATED)
