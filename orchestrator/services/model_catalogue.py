"""The models that a service lists, and whether they are still those that it listed when the run began."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

import grpc
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from orchestrator.errors import (
    CallError,
    InputError,
    ServiceChangedError,
    UnreachableServiceError,
    UnusableServiceError,
)
from orchestrator.experiment.differences import differences
from orchestrator.experiment.model import Model
from orchestrator.services.connection import Connection
from rpc.models_digest import received_models_digest
from rpc.tls import TlsMaterial

LIST_SECONDS = 30.0
CHECK_SECONDS = 5.0  # of a service that listed its models before


@dataclass(frozen=True)
class Listing:
    """The answer of a service that was asked for its models."""

    models: Mapping[str, Model]
    digest: str | None  # the digest that came with it (`rpc.models_digest`); None where the service sends none


class ServiceClient(Connection, ABC):
    """A service at an address, and its models."""

    def __init__(self, kind: str, address: str, tls: TlsMaterial | None, tls_name: str | None = None) -> None:
        super().__init__(kind, address, tls, tls_name)
        self._models: Mapping[str, Model] = {}
        self._known: dict[str, set[str]] = {}  # by digest, the models that were found to be the same in it

    @abstractmethod
    async def _list(self, seconds: float) -> Listing:
        """Asks the service for its models, and waits for so many seconds."""

    async def models(self) -> dict[str, Model]:
        """Lists the models, by name, with which later answers are compared."""
        listing = await self._list(LIST_SECONDS)
        self._models = listing.models
        self._known = {} if listing.digest is None else {listing.digest: set(listing.models)}
        return dict(listing.models)

    def expect(self, models: Mapping[str, Model]) -> None:
        """Has later answers compared with models that another replica listed."""
        self._models = models

    async def check_unchanged(self, models: Mapping[str, Model]) -> None:
        """Lists the models again, and compares the given ones with what they were.

        Raises:
            UnreachableServiceError: the service does not answer.
            ServiceChangedError: a model differs, or another kind of service answers; the message says what differs.
        """
        try:
            listing = await self._list(CHECK_SECONDS)
        except CallError as error:
            raise (UnreachableServiceError if error.transient else ServiceChangedError)(str(error)) from error
        except InputError as error:  # another kind of service is there now
            raise ServiceChangedError(str(error)) from error
        then = {name: dict(model.card) for name, model in models.items()}
        now = {name: dict(model.card) for name, model in listing.models.items() if name in models}
        differing = [f"{what}: {old!r} then, {new!r} now" for what, old, new in differences(then, now)]
        if differing:
            raise ServiceChangedError(
                f"the {self.name} is not what it was when the run began; what differs: {'; '.join(differing)}"
            )
        if listing.digest is not None:
            self._known.setdefault(listing.digest, set()).update(models)

    async def _check_answer(self, call: grpc.aio.Call, models: Collection[str]) -> None:
        """Makes sure that an answer comes from the models that were listed; an answer without a digest is believed.

        Raises:
            OrchestratorError: see `check_unchanged`.
        """
        digest = await received_models_digest(call) if self._known else None
        if digest is None or self._is_known(digest, models):
            return
        await self.check_unchanged({name: self._models[name] for name in models})
        if not self._is_known(digest, models):
            raise ServiceChangedError(
                f"the {self.name}: expected replicas that offer the same models, got an answer by one whose models are "
                f"not those that another lists"
            )

    def _is_known(self, digest: str, models: Collection[str]) -> bool:
        return self._known.get(digest, set()).issuperset(models)


IdentitiesPage = protector_pb2.ListIdentitiesResponse | invader_pb2.ListIdentitiesResponse


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
