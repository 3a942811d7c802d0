"""The service under test, whichever it is: what it lists, valid requests, and calls to it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from deid.invader.v1 import invader_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message

from conformance.check import Failed, NotApplicable
from conformance.client import Client
from conformance.refusals import Refusal, Refused
from conformance.subjects import Subject
from orchestrator.faces.data_set import DataSet

MAX_IDENTITIES = 1_000_000  # of any label set
# Kinds of models, which have the same numbers in both schemas.
CLASSIFIERS = (invader_pb2.MODEL_KIND_UNSPECIFIED, invader_pb2.MODEL_KIND_CLASSIFIER)
MATCHER = invader_pb2.MODEL_KIND_MATCHER

Changes = Mapping[str, Any]  # to a valid request, by field


@dataclass
class Service(ABC):
    """A service under test."""

    role: ClassVar[str]  # "protector" or "invader"
    schema: ClassVar[ServiceDescriptor]
    list_models: ClassVar[str]  # the method that lists models
    models_field: ClassVar[str]  # of its answer
    query: ClassVar[str]  # the method that takes images
    image_field: ClassVar[str]  # of its request
    model_field: ClassVar[str]  # of a request for identities
    cheap: ClassVar[Changes]  # makes a valid request cheap
    may_hide_identities: ClassVar[bool]  # whether it may refuse to list them
    copies: ClassVar[int]  # of every sample that are sent at the same time
    abandoned_calls: ClassVar[int]  # at the same time

    client: Client
    listed: Any  # the first answer of `list_models`
    may_spend: bool = False  # whether our query budget may be spent to the last query
    opened_galleries: list[str] = field(default_factory=list)  # that checks created, by name
    _answers: dict[bytes, list[Any]] = field(default_factory=dict)

    @classmethod
    @abstractmethod
    async def discover(cls, client: Client, faces: DataSet) -> "Service":
        """Asks a service what it has.

        Raises:
            Refused: it does not say.
            InputError: there are no photos to show it.
        """

    @property
    def models(self) -> Sequence[Any]:
        """Source or target models, as they were listed."""
        models: Sequence[Any] = getattr(self.listed, self.models_field)
        return models

    @property
    def matchers(self) -> Sequence[Any]:
        """Those of the models that compare with a gallery."""
        return [model for model in self.models if model.kind == MATCHER]

    @property
    @abstractmethod
    def photo(self) -> bytes:
        """The first subject's photo."""

    @property
    @abstractmethod
    def face_photos(self) -> Sequence[bytes]:
        """Of all subjects."""

    @property
    @abstractmethod
    def matcher_subject(self) -> Subject:
        """One whom the matchers know, if it matters to requests."""

    @abstractmethod
    def good_request(self) -> Changes:
        """The fields of a valid request."""

    @abstractmethod
    def samples(self) -> Mapping[str, Changes]:
        """Changes to the valid request that make other valid ones, by name."""

    @abstractmethod
    def bad_requests(self) -> Sequence[Changes]:
        """Changes to the valid request that the service must refuse."""

    @abstractmethod
    def of_matcher(self, photo: bytes, *, identity: str, gallery: str) -> Changes:
        """Changes that make a request of little cost whose answer depends on the gallery of a matcher.

        Args:
            photo: the image.
            identity: whose photo it is, where requests say so.
            gallery: of the client's own; empty: the service's own.
        """

    @abstractmethod
    def beside_classifier(self, name: str, photo: bytes, *, identity: str, gallery: str) -> tuple[Changes, str]:
        """Changes that make a bad request with a gallery for a classifier, and the field at fault; see `of_matcher`."""

    @abstractmethod
    def difference(self, expected: Sequence[Any], got: Sequence[Any]) -> str | None:
        """How the answers to two calls differ; None if they do not."""

    @abstractmethod
    async def long_request(self) -> tuple[Message, float]:
        """A request that takes long, and how many seconds it takes."""

    def names(self) -> list[str]:
        """Names that the service may repeat in an error: of all that it lists except identities, and of galleries."""
        return [*(model.name for model in self.models), *self.opened_galleries]

    def stated(self) -> Iterator[tuple[str, str]]:
        """Texts in which the service describes itself: the subject, and the text."""
        for model in self.models:
            yield f"{model.name}: extraction", model.extraction
            yield f"{model.name}: matching", model.matching

    def request(self, **changes: Any) -> Any:
        """A valid request with some changes."""
        return self.client.message(self.query, **{**self.good_request(), **changes})

    async def ask(self, request: Message | bytes, *, times: int = 1) -> list[Any]:
        """All answers to a request, which is given a multiple of the deadline.

        Raises:
            Refused: it was refused.
        """
        return await self.client.answers_to(self.query, request, times=times)

    async def answers(self, *, times: int = 1, **changes: Any) -> list[Any]:
        """All answers to a valid request with some changes, from the cache if it was sent before; see `ask`."""
        request = self.request(**changes)
        key = request.SerializeToString()
        if key not in self._answers:
            self._answers[key] = await self.ask(request, times=times)
        return self._answers[key]

    async def refusal(self, **changes: Any) -> Refusal | None:
        """How a valid request with some changes is refused; None if it is answered."""
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
                if self.may_hide_identities and code in ("PERMISSION_DENIED", "UNIMPLEMENTED"):
                    raise NotApplicable(f"the service does not list its identities ({code})") from refused
                raise
            if page_size and len(page.identities) > page_size:
                raise Failed(f"{model}: expected at most {page_size} identities a page, got {len(page.identities)}")
            identities += page.identities
            token = page.next_page_token
            if not token:
                return identities
            if not page.identities or len(identities) > MAX_IDENTITIES:
                raise Failed(f"{model}: there is no last page after {len(identities)} identities")
