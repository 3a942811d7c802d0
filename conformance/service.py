"""The service that is checked, whichever it is: what it lists, good requests, and calls to it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from conformance.check import Failed, NotApplicable
from conformance.client import Client
from conformance.refusals import Refusal, Refused
from orchestrator.faces.data_set import DataSet

MAX_IDENTITIES = 1_000_000  # of any label set

Changes = Mapping[str, Any]  # of a good request, by field


@dataclass
class Service(ABC):
    """A service, and what was learnt of it."""

    role: ClassVar[str]  # "protector" or "invader"
    schema: ClassVar[ServiceDescriptor]
    list_models: ClassVar[str]  # the method that lists models
    query: ClassVar[str]  # the method that images are sent to
    image_field: ClassVar[str]  # of such a request
    model_field: ClassVar[str]  # of a request for identities
    cheap: ClassVar[Changes]  # what makes a good request cost little
    may_keep_identities: ClassVar[bool]  # whether it may refuse to list them
    copies: ClassVar[int]  # of every sample, at the same time
    calls_left: ClassVar[int]  # at a time, which nobody waits for

    client: Client
    listed: Any  # the answer of `list_models`, as it came first
    may_spend: bool = False  # our query budget, to its last query
    _answers: dict[bytes, list[Any]] = field(default_factory=dict)

    @classmethod
    @abstractmethod
    async def met(cls, client: Client, faces: DataSet) -> "Service":
        """A service, once it has listed what it has.

        Raises:
            Refused: it does not list it.
            InputError: there are no photos to show it.
        """

    @property
    @abstractmethod
    def models(self) -> Sequence[Any]:
        """Source or target models, as they were listed."""

    @property
    @abstractmethod
    def photo(self) -> bytes:
        """The first subject's."""

    @abstractmethod
    def good_request(self) -> Changes:
        """The fields of a good request."""

    @abstractmethod
    def samples(self) -> Mapping[str, Changes]:
        """What makes good requests of a good request, each another, named."""

    @abstractmethod
    def bad_requests(self) -> Sequence[Changes]:
        """What makes a good request one that is refused, in some ways."""

    @abstractmethod
    def difference(self, expected: Sequence[Any], got: Sequence[Any]) -> str | None:
        """How the answers to two calls differ; None where they do not."""

    @abstractmethod
    async def long_request(self) -> tuple[Message, float]:
        """A request that takes long enough to be left, as far as one does, and its seconds."""

    def names(self) -> list[str]:
        """All that the service lists by name but identities, and what it may repeat in an error."""
        return [model.name for model in self.models]

    def stated(self) -> Iterator[tuple[str, str]]:
        """What the service says of itself in words: of what, and the text."""
        for model in self.models:
            yield f"{model.name}: extraction", model.extraction

    def request(self, **changes: Any) -> Any:
        """A good request but for the changes."""
        return self.client.message(self.query, **{**self.good_request(), **changes})

    async def ask(self, request: Message | bytes, *, times: int = 1) -> list[Any]:
        """All answers to a request, whether or not it was sent before; it is given so many calls' time.

        Raises:
            Refused: it was refused.
        """
        return await self.client.answers_to(self.query, request, times=times)

    async def answers(self, *, times: int = 1, **changes: Any) -> list[Any]:
        """All answers to a request that is good but for the changes, which is sent once; see `ask`."""
        request = self.request(**changes)
        key = request.SerializeToString()
        if key not in self._answers:
            self._answers[key] = await self.ask(request, times=times)
        return self._answers[key]

    async def refusal(self, **changes: Any) -> Refusal | None:
        """How a request is refused that is good but for the changes; None where it is answered."""
        return await self.client.refusal(self.query, self.request(**changes))

    async def identities(self, model: str, *, page_size: int = 0) -> list[str]:
        """The identities of a model, page by page.

        Raises:
            NotApplicable: the service does not list them, and may do so.
            Failed: a page is too long, or there is no end to them.
        """
        identities: list[str] = []
        token = ""
        while True:
            try:
                page = await self.client.ask(
                    "ListIdentities", **{self.model_field: model}, page_size=page_size, page_token=token
                )
            except Refused as refused:
                code = refused.refusal.code.name
                if self.may_keep_identities and code in ("PERMISSION_DENIED", "UNIMPLEMENTED"):
                    raise NotApplicable(f"the service does not list its identities ({code})") from refused
                raise
            if page_size and len(page.identities) > page_size:
                raise Failed(f"{model}: expected at most {page_size} identities a page, got {len(page.identities)}")
            identities += page.identities
            token = page.next_page_token
            if not token:
                return identities
            if not page.identities or len(identities) > MAX_IDENTITIES:
                raise Failed(f"{model}: pages do not come to an end, after {len(identities)} identities")
