"""The invader that is checked: its lists, its images, and calls to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deid.invader.v1 import invader_pb2
from google.protobuf.message import Message

from conformance.check import Failed, NotApplicable
from conformance.label_sets import all_identities, raise_if_not_listed
from conformance.refusal import Refusal, Refused
from conformance.subjects import Subject, subjects
from conformance.wire import Wire
from orchestrator.errors import InputError
from orchestrator.faces.data_set import DataSet

SERVICE = invader_pb2.DESCRIPTOR.services_by_name["InvaderService"].full_name
IMAGES = 3
MAX_K = 50  # of candidates that are asked for

Answer = invader_pb2.ClassifyResponse


Changes = dict[str, Any]  # of a good request, by field


@dataclass
class Invader:
    """An invader, and what was learnt of it."""

    wire: Wire
    listed: invader_pb2.ListTargetModelsResponse  # as it was told first
    subjects: Sequence[Subject]
    may_spend: bool = False  # whether its budget may be spent to the last query
    _answers: dict[bytes, Answer] = field(default_factory=dict)
    _label_sets: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    async def met(cls, wire: Wire, faces: DataSet, *, may_spend: bool = False) -> "Invader":
        """An invader, once it has listed what it has.

        Raises:
            Refused: it does not list it.
            InputError: there are no photos to show it.
        """
        listed = await wire.ask("ListTargetModels", LIST_MODELS, invader_pb2.ListTargetModelsResponse)
        if not listed.target_models:
            raise Failed("it lists no target model")
        shown = [subject for subject, _ in zip(subjects(faces, known=None), range(IMAGES), strict=False)]
        if not shown:
            raise InputError("--faces: expected photos, got none")
        return cls(wire, listed, shown, may_spend)

    @property
    def target_models(self) -> Sequence[invader_pb2.TargetModel]:
        """As they were listed."""
        return self.listed.target_models

    @property
    def names(self) -> list[str]:
        """Of the target models."""
        return [model.name for model in self.target_models]

    def model(self, name: str) -> invader_pb2.TargetModel:
        """A target model as it was listed.

        Raises:
            Failed: an answer named it, and the list does not.
        """
        for model in self.target_models:
            if model.name == name:
                return model
        raise Failed(f"an answer is of the target model {name!r}, which is not listed")

    @property
    def k(self) -> int:
        """Candidates that all target models return."""
        return max(1, min([MAX_K, *(model.max_candidates for model in self.target_models)]))

    @property
    def region(self) -> "invader_pb2.Region.ValueType":
        """None is asked for but of a service that reads whole images only."""
        only_whole = list(self.listed.regions) == [invader_pb2.REGION_FULL]
        return invader_pb2.REGION_FULL if only_whole else invader_pb2.REGION_UNSPECIFIED

    def request(self, image: bytes | None = None, **changes: Any) -> invader_pb2.ClassifyRequest:
        """A good request but for the changes."""
        fields: Changes = {
            "image": self.subjects[0].photo if image is None else image,
            "target_models": self.names,
            "k": self.k,
            "region": self.region,
        }
        return invader_pb2.ClassifyRequest(**(fields | changes))

    async def classify(self, request: Message | bytes, *, times: int = 1) -> Answer:
        """The answer to a request, which is sent whether or not it was before; it is given so many calls' time.

        Raises:
            Refused: it was refused.
        """
        return await self.wire.ask("Classify", request, Answer, seconds=times * self.wire.seconds)

    async def answer(self, image: bytes) -> Answer:
        """The answer about an image by all target models, which is asked for once.

        Raises:
            Refused: it was refused.
        """
        if image not in self._answers:
            self._answers[image] = await self.classify(self.request(image))
        return self._answers[image]

    async def answers(self) -> list[tuple[str, invader_pb2.Classification]]:
        """What each target model says of each subject, named."""
        return [
            (f"{subject.identity}, {each.target_model}", each)
            for subject in self.subjects
            for each in (await self.answer(subject.photo)).classifications
        ]

    async def refusal(self, **changes: Any) -> Refusal | None:
        """How a request is refused; None where it is answered."""
        return await self.wire.refusal("Classify", self.request(**changes), Answer)

    async def refusal_of_image(self, image: bytes) -> Refusal | None:
        """How an image is refused; None where it is answered."""
        return await self.refusal(image=image)

    async def refusal_of_a_good_request(self) -> Refusal | None:
        """How a good request is refused: one query."""
        return await self.refusal()

    async def queries_left(self) -> int:
        """What is left of our budget.

        Raises:
            NotApplicable: it sets none.
        """
        listed = await self.wire.ask("ListTargetModels", LIST_MODELS, invader_pb2.ListTargetModelsResponse)
        if not listed.HasField("queries_left"):
            raise NotApplicable("the service sets us no budget")
        return listed.queries_left

    async def label_set(self, model: str) -> list[str]:
        """The identities of a target model, which are fetched once.

        Raises:
            NotApplicable: the service does not list them.
        """
        if model not in self._label_sets:
            try:
                self._label_sets[model] = await self.identities(model)
            except Refused as refused:
                raise_if_not_listed(refused.refusal)
                raise
        return self._label_sets[model]

    async def identities(self, model: str, *, page_size: int = 0) -> list[str]:
        """The identities of a target model, page by page."""
        return await all_identities(
            lambda token: self.wire.ask(
                "ListIdentities",
                invader_pb2.ListIdentitiesRequest(target_model=model, page_size=page_size, page_token=token),
                invader_pb2.ListIdentitiesResponse,
            ),
            model=model,
            page_size=page_size,
        )


LIST_MODELS = invader_pb2.ListTargetModelsRequest()
