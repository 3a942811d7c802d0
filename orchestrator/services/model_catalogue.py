"""What a service offered when a run began, and whether it still is the one that did."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import grpc

from orchestrator.errors import CallError, InputError, ServiceChangedError, UnreachableServiceError
from orchestrator.experiment.differences import differences
from rpc.models_digest import received_models_digest

LIST_SECONDS = 30.0
CHECK_SECONDS = 5.0  # of a service that listed its models before


class Offered(Protocol):
    """A model that a service lists."""

    @property
    def card(self) -> Mapping[str, str | int]:
        """All that the service discloses of it."""
        ...


M = TypeVar("M", bound=Offered)


@dataclass(frozen=True)
class Listing(Generic[M]):
    """What a service answered when it was asked for its models."""

    models: Mapping[str, M]
    digest: str | None  # the digest that came with it (`rpc.models_digest`); None where the service sends none


class ModelCatalogue(Generic[M]):
    """Of one service."""

    def __init__(self, service: str, ask: Callable[[float], Awaitable[Listing[M]]]) -> None:
        """`service` is its kind and address; `ask` has it list its models, within so many seconds."""
        self._service = service
        self._ask = ask
        self._models: Mapping[str, M] = {}
        self._known: dict[str, set[str]] = {}  # by digest, the models that were found to be the same in it

    async def begin(self) -> dict[str, M]:
        """The models by name; what the service answers later is compared with them."""
        listing = await self._ask(LIST_SECONDS)
        self._models = listing.models
        self._known = {} if listing.digest is None else {listing.digest: set(listing.models)}
        return dict(listing.models)

    async def check_unchanged(self, models: Mapping[str, M]) -> None:
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
        """Makes sure that an answer by these models is of what was listed; an answer without an digest is believed.

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
