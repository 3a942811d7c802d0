"""The protector that is checked: its lists, its subjects, and calls to it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deid.protector.v1 import protector_pb2
from google.protobuf.message import Message

from conformance.check import Failed
from conformance.label_sets import all_identities
from conformance.pictures import Levels, seen
from conformance.refusal import Refusal, Refused
from conformance.subjects import Subject, subjects
from conformance.wire import Wire
from orchestrator.errors import InputError
from orchestrator.experiment.grid import CONTROL
from orchestrator.faces.data_set import DataSet
from rpc.errors import NO_FACE

SERVICE = protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"].full_name
PNG = protector_pb2.Storage(png=protector_pb2.PngStorage())
EPSILONS = (9, 1, 4)  # levels; not in order, so that a service has to bring them into it
LARGE_EPSILONS = (255, 128)  # levels; of one row, for what shows in large budgets only
LARGE_TIMES = 5  # so many calls' time such a row may take
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
    _rows: dict[tuple[str, str, bytes, tuple[int, ...]], list[Response]] = field(default_factory=dict)

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

    async def craft(self, request: Message | bytes, *, times: int = 1) -> list[Response]:
        """All responses to a request, in their order; it is given so many calls' time.

        Raises:
            Refused: it was refused.
        """
        return await self.wire.stream("Craft", request, Response, seconds=times * self.wire.seconds)

    async def row(
        self,
        model: str,
        subject: Subject,
        *,
        storage: protector_pb2.Storage = PNG,
        epsilons: tuple[int, ...] = EPSILONS,
    ) -> list[Response]:
        """The responses to the request for a whole row, which is sent once."""
        key = (model, subject.identity, storage.SerializeToString(), epsilons)
        if key not in self._rows:
            request = self.request(model, subject, storage=storage, epsilons=epsilons)
            self._rows[key] = await self.craft(request, times=1 if epsilons == EPSILONS else LARGE_TIMES)
        return self._rows[key]

    async def rows(self) -> AsyncIterator[tuple[str, Cloaks, Levels]]:
        """The lossless cloaks of every row, and of one of large budgets, named, with the row's probe.

        Raises:
            Failed: a row has no control.
        """
        asked = [(model, subject, EPSILONS) for model, subject in self.pairs()]
        for model, subject, epsilons in (*asked, (self.model, self.subject, LARGE_EPSILONS)):
            row = await self.row(model, subject, epsilons=epsilons)
            yield f"{model}, {subject.identity}", by_budget(row), probe_of(row, model)

    async def control(self, **changes: Any) -> Response:
        """The control alone, of the first subject but for the changes.

        Raises:
            Refused: it was refused.
            Failed: another answer came, or none.
        """
        responses = await self.craft(self.request(**({"methods": [CONTROL], "epsilons": []} | changes)))
        if [(each.method, each.epsilon) for each in responses] != [(CONTROL, 0)]:
            came = ", ".join(f"{each.method}, epsilon {each.epsilon}" for each in responses) or "nothing"
            raise Failed(f"expected the control alone, got {came}")
        return responses[0]

    async def probe(self, photo: bytes) -> Levels | None:
        """The probe of a photo; None where no face is found in it."""
        try:
            response = await self.control(subject=Subject(self.subject.identity, photo))
        except Refused as refused:
            if refused.refusal.reason == NO_FACE:
                return None
            raise
        return seen(response.cloak, "the control").levels

    async def refusal(self, **changes: Any) -> Refusal | None:
        """How a request is refused; None where it is answered."""
        return await self.wire.refusal("Craft", self.request(**changes), Response, streams=True)

    async def refusal_of_image(self, image: bytes) -> Refusal | None:
        """How a photo is refused, but as one without a face; None where it is not."""
        got = await self.refusal(subject=Subject(self.subject.identity, image), methods=[CONTROL], epsilons=[])
        return None if got is not None and got.reason == NO_FACE else got

    async def refusal_of_a_good_request(self) -> Refusal | None:
        """How the control is refused."""
        return await self.refusal(methods=[CONTROL], epsilons=[])

    async def long_call(self) -> tuple[protector_pb2.CraftRequest, float]:
        """A request for one cloak that takes long enough to be left, as far as one does, and its seconds; measured once."""
        if self._long_call is None:
            method = (self.crafting or self.method_names)[0]
            for epsilon in LONGER_AND_LONGER:
                request = self.request(methods=[method], epsilons=[epsilon])
                for _ in range(2):  # the first may take longer
                    await self.craft(request, times=LARGE_TIMES)
                    if self.wire.took["Craft"] >= 2 * LONG_SECONDS:
                        break
                self._long_call = request, self.wire.took["Craft"]
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


def by_budget(row: Sequence[Response]) -> Cloaks:
    """The responses of a row by method and epsilon."""
    return {(each.method, each.epsilon): each for each in row}


def probe_of(row: Sequence[Response], what: str) -> Levels:
    """The probe of a row of lossless cloaks.

    Raises:
        Failed: its control is missing.
    """
    control = by_budget(row).get((CONTROL, 0))
    if control is None:
        raise Failed(f"{what}: expected a lossless control, by which cloaks are measured, got none")
    return seen(control.cloak, f"{what}: the control").levels


_LIST_MODELS, _LIST_METHODS = protector_pb2.ListSourceModelsRequest(), protector_pb2.ListMethodsRequest()
