"""The invader under test: its lists, its photos, and calls to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from deid.invader.v1 import invader_pb2
from google.protobuf.message import Message

from conformance.both.bad_requests import ENDLESS, UNKNOWN_NAME
from conformance.check import Failed, NotApplicable
from conformance.client import Client
from conformance.images import faceless
from conformance.service import Changes, Service
from conformance.subjects import Subject, subjects
from orchestrator.errors import InputError
from orchestrator.faces.data_set import DataSet
from rpc.roles import INVADER

IMAGES = 3
MAX_K = 50  # of candidates that are asked for
REGIONS = (invader_pb2.REGION_DETECTED, invader_pb2.REGION_FULL)

Answer = invader_pb2.ClassifyResponse


@dataclass
class Invader(Service):
    """An invader under test."""

    role: ClassVar = INVADER.name
    schema: ClassVar = invader_pb2.DESCRIPTOR.services_by_name["InvaderService"]
    list_models: ClassVar = "ListTargetModels"
    models_field: ClassVar = "target_models"
    query: ClassVar = "Classify"
    image_field: ClassVar = "image"
    model_field: ClassVar = "target_model"
    cheap: ClassVar[Changes] = {}
    may_hide_identities: ClassVar = True
    copies: ClassVar = 3
    abandoned_calls: ClassVar = 8

    subjects: Sequence[Subject] = ()

    @classmethod
    async def discover(cls, client: Client, faces: DataSet) -> "Invader":
        listed = await client.ask(cls.list_models)
        service = cls(client, listed, subjects=list(islice(subjects(faces, known=None), IMAGES)))
        if not service.models:
            raise Failed("it lists no target model")
        if service.common_region is None:
            raise Failed("its target models have no region in common, as those of one service must")
        if not service.subjects:
            raise InputError("--faces: expected photos, got none")
        return service

    @property
    def photo(self) -> bytes:
        return self.subjects[0].photo

    @property
    def face_photos(self) -> Sequence[bytes]:
        return [subject.photo for subject in self.subjects]

    @property
    def matcher_subject(self) -> Subject:
        return self.subjects[0]

    @property
    def model_names(self) -> list[str]:
        """Of the target models."""
        return [model.name for model in self.models]

    @property
    def k(self) -> int:
        """Number of candidates that every target model returns."""
        listed: list[int] = [model.max_candidates for model in self.models]
        return max(1, min([MAX_K, *listed]))

    @property
    def common_region(self) -> "invader_pb2.Region.ValueType | None":
        """A region that all target models have, the detected one before the full one; None if there is none.

        Those that list no regions see detected faces.
        """
        have = [set(model.regions or [invader_pb2.REGION_DETECTED]) for model in self.models]
        return next((region for region in REGIONS if all(region in each for each in have)), None)

    @property
    def region(self) -> "invader_pb2.Region.ValueType":
        """The default region, or REGION_FULL where not all target models read detected faces."""
        full = self.common_region == invader_pb2.REGION_FULL
        return invader_pb2.REGION_FULL if full else invader_pb2.REGION_UNSPECIFIED

    def listing(self, *regions: "invader_pb2.Region.ValueType") -> list[str]:
        """Names of the target models that list all of these regions."""
        return [model.name for model in self.models if set(regions) <= set(model.regions)]

    def good_request(self) -> Changes:
        return {"image": self.photo, "target_models": self.model_names, "k": self.k, "region": self.region}

    def samples(self) -> Mapping[str, Changes]:
        """The photos, and an image without a face."""
        photos = {subject.identity: {"image": subject.photo} for subject in self.subjects}
        return {**photos, "an image of one colour": {"image": faceless()}}

    def bad_requests(self) -> Sequence[Changes]:
        return (
            {"k": -1},
            {"k": 2**31 - 1},
            {"target_models": [UNKNOWN_NAME], "k": 1},
            {"target_models": [ENDLESS], "k": 1},
            {"target_models": []},
        )

    def of_matcher(self, photo: bytes, *, identity: str, gallery: str) -> Changes:
        """See `Service.of_matcher`: a query of all matchers for one candidate."""
        names = [model.name for model in self.matchers]
        return {"image": photo, "target_models": names, "k": 1, "gallery": gallery}

    def beside_classifier(self, name: str, photo: bytes, *, identity: str, gallery: str) -> tuple[Changes, str]:
        """See `Service.beside_classifier`: the classifier is asked beside a matcher."""
        names = [self.matchers[0].name, name]
        return {**self.of_matcher(photo, identity=identity, gallery=gallery), "target_models": names}, "target_models[1]"

    def difference(self, expected: Sequence[Answer], got: Sequence[Answer]) -> str | None:
        """See `Service.difference`. What is left of a budget may differ."""
        (one,), (other,) = expected, got
        return None if same(one, other) else "the answer differs"

    async def long_request(self) -> tuple[Message, float]:
        request = self.request()
        for _ in range(2):  # the first may take longer
            await self.ask(request)
        return request, self.client.took[self.query]

    async def answer(self, **changes: Any) -> Answer:
        """The answer to a good request with some changes, from the cache if it was sent before.

        Raises:
            Refused: it was refused.
        """
        answer: Answer
        (answer,) = await self.answers(**changes)
        return answer

    async def answer_again(self, **changes: Any) -> Answer:
        """As `answer`, but always sends the request."""
        answer: Answer
        (answer,) = await self.ask(self.request(**changes))
        return answer

    async def classifications(self) -> list[tuple[str, invader_pb2.Classification]]:
        """Each target model's classification of each subject, named."""
        return [
            (f"{subject.identity}, {each.target_model}", each)
            for subject in self.subjects
            for each in (await self.answer(image=subject.photo)).classifications
        ]

    async def queries_left(self) -> int:
        """What is left of our budget.

        Raises:
            NotApplicable: there is no budget.
        """
        listed = await self.client.ask(self.list_models)
        if not listed.HasField("queries_left"):
            raise NotApplicable("the service has no budget for us")
        return int(listed.queries_left)


def same(one: Answer, other: Answer) -> bool:
    """Whether two answers about an image are the same; what is left of a budget may differ."""
    return one.face_found == other.face_found and one.classifications == other.classifications


def identities_of(answer: invader_pb2.Classification) -> list[str]:
    """The candidates by name."""
    return [candidate.identity for candidate in answer.candidates]
