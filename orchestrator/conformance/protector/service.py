"""The protector that is checked: its lists, its subjects, and calls to it."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deid.protector.v1 import protector_pb2
from google.protobuf.message import Message

from orchestrator.conformance.check import Failed
from orchestrator.conformance.label_sets import all_identities
from orchestrator.conformance.pictures import Levels, seen
from orchestrator.conformance.refusal import Refusal, Refused
from orchestrator.conformance.subjects import Subject, subjects
from orchestrator.conformance.wire import Wire
from orchestrator.errors import InputError
from orchestrator.faces import DataSet
from orchestrator.protocol import CONTROL
from rpc.errors import NO_FACE

SERVICE = protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].full_name
PNG = protector_pb2.Storage(png=protector_pb2.PngStorage())
EPSILONS = (9, 1, 4)  # levels; not in order, so that a service has to bring them into it
LONGER_AND_LONGER = (16, 64, 255)  # levels
LONG_SECONDS = 1.0
SUBJECTS = 2
SEED = 20

Response = protector_pb2.CraftResponse
Cloaks = dict[tuple[str, int], Response]  # by method and epsilon
Changes = dict[str, Any]  # of a good request, by field


@dataclass
class Protector:
    """A protector, and what was learnt of it."""

    wire: Wire
    source_models: Sequence[protector_pb2.SourceModel]
    methods: Sequence[protector_pb2.Method]
    subjects: Mapping[str, Sequence[Subject]] = field(default_factory=dict)  # by source model
    _long_call: tuple[protector_pb2.CraftRequest, float] | None = None
    _rows: dict[tuple[str, str, bytes], list[Response]] = field(default_factory=dict)

    @classmethod
    async def met(cls, wire: Wire, faces: DataSet) -> "Protector":
        """A protector, once it has listed what it has and found faces in photos of people whom it knows.

        Raises:
            Refused: it does not list them, or refuses to craft a control.
            InputError: it knows nobody of the data set, or finds no face in their photos.
        """
        listed = await wire.ask("ListSourceModels", _LIST_MODELS, protector_pb2.ListSourceModelsResponse)
        methods = await wire.ask("ListMethods", _LIST_METHODS, protector_pb2.ListMethodsResponse)
        if not listed.source_models:
            raise Failed("it lists no source model")
        service = cls(wire, listed.source_models, methods.methods)
        service.subjects = {model.name: await service._subjects_of(model.name, faces) for model in listed.source_models}
        return service

    @property
    def model(self) -> str:
        """The first source model's name, for what need not be asked of each."""
        return self.source_models[0].name

    @property
    def subject(self) -> Subject:
        """The first subject of that model."""
        return self.subjects[self.model][0]

    @property
    def method_names(self) -> list[str]:
        """All methods, those of controls too."""
        return [method.name for method in self.methods]

    @property
    def crafting(self) -> list[str]:
        """The methods that are no controls."""
        return [method.name for method in self.methods if not method.control]

    def pairs(self) -> list[tuple[str, Subject]]:
        """What rows are asked for: every source model with a subject, and the first with all its subjects."""
        first = [(self.model, subject) for subject in self.subjects[self.model]]
        return first + [(model.name, self.subjects[model.name][0]) for model in self.source_models[1:]]

    def request(
        self, model: str | None = None, subject: Subject | None = None, **changes: Any
    ) -> protector_pb2.CraftRequest:
        """A good request for a whole row, but for the changes."""
        model = model or self.model
        subject = subject or self.subjects[model][0]
        fields: Changes = {
            "photo": subject.photo,
            "identity": subject.identity,
            "source_model": model,
            "methods": self.method_names,
            "epsilons": EPSILONS,
            "storage": PNG,
            "seed": SEED,
        }
        return protector_pb2.CraftRequest(**(fields | changes))

    async def craft(self, request: Message | bytes) -> list[Response]:
        """All responses to a request, in their order.

        Raises:
            Refused: it was refused.
        """
        return await self.wire.stream("Craft", request, Response)

    async def row(self, model: str, subject: Subject, *, storage: protector_pb2.Storage = PNG) -> list[Response]:
        """The responses to the request for a whole row, which is sent once."""
        key = (model, subject.identity, storage.SerializeToString())
        if key not in self._rows:
            self._rows[key] = await self.craft(self.request(model, subject, storage=storage))
        return self._rows[key]

    async def rows(self) -> AsyncIterator[tuple[str, Cloaks, Levels]]:
        """The lossless cloaks of every row, named, with the row's probe."""
        for model, subject in self.pairs():
            cloaks = {(each.method, each.epsilon): each for each in await self.row(model, subject)}
            if (CONTROL, 0) not in cloaks:
                raise Failed(f"{model}: expected a lossless control, by which cloaks are measured, got none")
            yield f"{model}, {subject.identity}", cloaks, seen(cloaks[CONTROL, 0].cloak, f"{model}: the control").levels

    async def refusal(self, **changes: Any) -> Refusal | None:
        """How a request is refused; None where it is answered."""
        return await self.wire.refusal("Craft", self.request(**changes), Response, streams=True)

    async def long_call(self) -> tuple[protector_pb2.CraftRequest, float]:
        """A request for one cloak that takes long enough to be left, as far as one does, and its seconds; measured once."""
        if self._long_call is None:
            method = (self.crafting or self.method_names)[0]
            for epsilon in LONGER_AND_LONGER:
                request = self.request(methods=[method], epsilons=[epsilon])
                began = time.monotonic()
                await self.craft(request)
                self._long_call = request, time.monotonic() - began
                if self._long_call[1] >= LONG_SECONDS:
                    break
        assert self._long_call is not None
        return self._long_call

    async def _subjects_of(self, model: str, faces: DataSet) -> list[Subject]:
        found = []
        for subject in subjects(faces, known=await self._identities(model)):
            try:
                await self.craft(
                    protector_pb2.CraftRequest(
                        photo=subject.photo, identity=subject.identity, source_model=model, methods=[CONTROL], storage=PNG
                    )
                )
            except Refused as refused:
                if refused.refusal.reason != NO_FACE:
                    raise
                continue
            found.append(subject)
            if len(found) == SUBJECTS:
                return found
        if not found:
            raise InputError(f"--faces: expected a photo in which the protector finds a face for {model}, got none")
        return found * SUBJECTS

    async def _identities(self, model: str) -> frozenset[str] | None:
        """The identities of a source model; None where they are not listed."""
        try:
            return frozenset(await self.identities(model))
        except Failed:
            return None

    async def identities(self, model: str, *, page_size: int = 0) -> list[str]:
        """The identities of a source model, page by page; see `all_identities`."""
        return await all_identities(
            lambda token: self.wire.ask(
                "ListIdentities",
                protector_pb2.ListIdentitiesRequest(source_model=model, page_size=page_size, page_token=token),
                protector_pb2.ListIdentitiesResponse,
            ),
            model=model,
            page_size=page_size,
        )


_LIST_MODELS, _LIST_METHODS = protector_pb2.ListSourceModelsRequest(), protector_pb2.ListMethodsRequest()
