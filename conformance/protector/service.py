"""The protector under test: its lists, its subjects, and calls to it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from deid.protector.v1 import protector_pb2
from google.protobuf.message import Message

from conformance.both.bad_requests import ENDLESS, UNKNOWN_NAME
from conformance.check import Failed
from conformance.client import Client
from conformance.images import Levels, decoded
from conformance.protector.methods import CONTROL, GRADIENTS_PER_STEP, ILLC
from conformance.refusals import Refused
from conformance.service import Changes, Service
from conformance.subjects import Subject, subjects
from orchestrator.errors import InputError
from orchestrator.faces.data_set import DataSet
from rpc.errors import NO_FACE
from rpc.roles import PROTECTOR

PNG = protector_pb2.Storage(png=protector_pb2.PngStorage())
GALLERY_EPSILON = 4  # levels, of cloaks that are crafted against galleries
EPSILONS = (9, 1, 4)  # levels; not in order, so that a service has to sort them
LARGE_EPSILONS = (255, 128)  # levels; of one row, for faults of large budgets
LARGE_TIMES = 5  # multiple of the deadline that such a row is given
COSTED = (*EPSILONS, *LARGE_EPSILONS, 0)  # levels whose costs are asked for
MAX_COST = 300  # gradients, or forward passes, of a cloak that is requested once; one of higher cost is not requested
MAX_REPEATED_COST = 100  # of the cloaks that are requested again and again
INCREASING_EPSILONS = (16, 64, 255)  # levels
LONG_SECONDS = 1.0
SUBJECTS = 2
SEED = 20

Response = protector_pb2.CraftResponse
Cloaks = dict[tuple[str, int], Response]  # by method and epsilon


@dataclass(frozen=True)
class Cloak:
    """A lossless cloak of the probe's size."""

    name: str
    response: Response
    change: Levels  # from the probe
    probe: Levels

    @property
    def largest_change(self) -> int:
        """In levels, as measured."""
        return int(np.abs(self.change).max())


@dataclass
class Protector(Service):
    """A protector under test."""

    role: ClassVar = PROTECTOR.name
    schema: ClassVar = protector_pb2.DESCRIPTOR.services_by_name["ProtectorService"]
    list_models: ClassVar = "ListSourceModels"
    models_field: ClassVar = "source_models"
    query: ClassVar = "Craft"
    image_field: ClassVar = "photo"
    model_field: ClassVar = "source_model"
    cheap: ClassVar[Changes] = {"methods": [CONTROL], "epsilons": []}
    may_hide_identities: ClassVar = False
    copies: ClassVar = 2
    abandoned_calls: ClassVar = 4

    methods: Sequence[protector_pb2.Method] = ()
    subjects: Mapping[str, Sequence[Subject]] = field(default_factory=dict)  # by source model
    _long_request: tuple[Message, float] | None = None
    _cloaks: list[Cloak] | None = None

    @classmethod
    async def discover(cls, client: Client, faces: DataSet) -> "Protector":
        """See `Service.discover`. The protector must find faces in photos of people whom it knows."""
        listed = await client.ask(cls.list_models)
        service = cls(client, listed, methods=(await client.ask("ListMethods", epsilons=COSTED)).methods)
        if not service.models:
            raise Failed("it lists no source model")
        service.subjects = {model.name: await service._subjects_of(model.name, faces) for model in service.models}
        return service

    @property
    def subject(self) -> Subject:
        """The first subject of the first model."""
        return self.subjects[self.models[0].name][0]

    @property
    def photo(self) -> bytes:
        return self.subject.photo

    @cached_property
    def own_budgets(self) -> Mapping[str, protector_pb2.OwnBudget]:
        """The budgets of the methods that have their own."""
        return {method.name: method.own_budget for method in self.methods if method.HasField("own_budget")}

    def budgets(self, name: str, epsilons: Sequence[int]) -> Sequence[int]:
        """The epsilons of a method's cloaks when these are requested."""
        return (0,) if name == CONTROL or name in self.own_budgets else epsilons

    def bound(self, response: Response) -> int:
        """The levels that no channel of a cloak may differ from the probe by more than."""
        own = self.own_budgets.get(response.method)
        return response.epsilon if own is None else own.largest_change

    @property
    def face_photos(self) -> Sequence[bytes]:
        return [subject.photo for found in self.subjects.values() for subject in found]

    @property
    def matcher(self) -> str:
        """The first of the matchers, by name."""
        return str(self.matchers[0].name)

    @property
    def matcher_subject(self) -> Subject:
        return self.subjects[self.matcher][0]

    @property
    def following_gradients(self) -> list[str]:
        """Those of the valid request's methods that follow the gradient for the identity, by their reserved names."""
        return [name for name in self.needing_label_set if name in GRADIENTS_PER_STEP and name != ILLC]

    @property
    def method_names(self) -> list[str]:
        """The methods of the valid request: the controls and those of low cost, or else the one of the lowest.

        Those with budgets of their own are requested once, as costly ones are.
        """
        names = self.affordable(*EPSILONS, at_most=MAX_REPEATED_COST)
        crafting = [method.name for method in self.methods if not method.control]
        if crafting and not set(crafting) & set(names):
            names.append(min(crafting, key=lambda name: self.cost(name, *EPSILONS)))
        return names

    @property
    def crafting(self) -> list[str]:
        """Those except the controls."""
        return [name for name in self.method_names if name not in self.controls]

    @property
    def needing_label_set(self) -> list[str]:
        """Those that need one."""
        needing = {method.name for method in self.methods if method.needs_label_set}
        return [name for name in self.method_names if name in needing]

    @property
    def controls(self) -> list[str]:
        """All that are marked as such."""
        return [method.name for method in self.methods if method.control]

    @property
    def costly(self) -> Mapping[str, Sequence[int]]:
        """The other methods, and those of the valid request's budgets whose cloaks are requested once."""
        others = [method.name for method in self.methods if method.name not in self.method_names]
        return {
            name: [epsilon for epsilon in self.budgets(name, EPSILONS) if self.cost(name, epsilon) <= MAX_COST]
            for name in others
        }

    def affordable(self, *epsilons: int, at_most: int = MAX_COST) -> list[str]:
        """The controls, and the methods of which no cloak of these budgets is stated to cost more."""
        keeping = [method for method in self.methods if method.name not in self.own_budgets]
        return [method.name for method in keeping if method.control or self.cost(method.name, *epsilons) <= at_most]

    def cost(self, name: str, *epsilons: int) -> int:
        """The gradients or the forward passes, whichever are more, that a cloak of these budgets takes; 0 if not stated.

        A method with a budget of its own costs the same whatever they are.
        """
        stated = [cost for epsilon in self.budgets(name, epsilons) if (cost := self.costs.get((name, epsilon)))]
        return max((max(cost.gradients, cost.forward_passes) for cost in stated), default=0)

    @cached_property
    def costs(self) -> Mapping[tuple[str, int], protector_pb2.BudgetCost]:
        """What methods state of the budgets `COSTED`, or of their own, by method and epsilon."""
        return {(method.name, cost.epsilon): cost for method in self.methods for cost in method.costs}

    def good_request(self) -> Changes:
        return {
            **_of(self.models[0].name, self.subject),
            "methods": self.method_names,
            "epsilons": EPSILONS,
            "storage": PNG,
            "seed": SEED,
        }

    def samples(self) -> Mapping[str, Changes]:
        """See `Service.samples`: rows of every source model with one subject, and of the first with all its subjects."""
        first = self.models[0].name
        pairs = [(first, subject) for subject in self.subjects[first]]
        pairs += [(model.name, self.subjects[model.name][0]) for model in self.models[1:]]
        return {f"{model}, {subject.identity}": _of(model, subject) for model, subject in pairs}

    def bad_requests(self) -> Sequence[Changes]:
        return (
            {"source_model": UNKNOWN_NAME},
            {"source_model": ENDLESS},
            {"methods": [UNKNOWN_NAME]},
            {"epsilons": [2**31 - 1]},
            {"storage": None},
        )

    def of_matcher(self, photo: bytes, *, identity: str, gallery: str) -> Changes:
        """See `Service.of_matcher`: one cloak of the first matcher, or its control if no method follows gradients."""
        crafting = {"methods": self.following_gradients[:1], "epsilons": [GALLERY_EPSILON]}
        asked = crafting if self.following_gradients else self.cheap
        return {**_of(self.matcher, Subject(identity, photo)), **asked, "gallery": gallery}

    def beside_classifier(self, name: str, photo: bytes, *, identity: str, gallery: str) -> tuple[Changes, str]:
        return {**self.of_matcher(photo, identity=identity, gallery=gallery), "source_model": name}, "source_model"

    def difference(self, expected: Sequence[Response], got: Sequence[Response]) -> str | None:
        """See `Service.difference`. The order of methods may differ."""
        before, after = ({key: each.cloak for key, each in by_budget(row).items()} for row in (expected, got))
        if before.keys() != after.keys():
            return "the methods and epsilons differ"
        changed = [key for key, cloak in before.items() if after[key] != cloak]
        if not changed:
            return None
        method, epsilon = changed[0]
        return f"{len(changed)} of {len(before)} cloaks differ, such as {method}, epsilon {epsilon}"

    async def long_request(self) -> tuple[Message, float]:
        """See `Service.long_request`: one for a single cloak, measured once."""
        if self._long_request is None:
            for epsilon in INCREASING_EPSILONS:
                request = self.request(methods=[(self.crafting or self.method_names)[0]], epsilons=[epsilon])
                for _ in range(2):  # the first may take longer
                    await self.ask(request, times=LARGE_TIMES)
                    seconds = self.client.took[self.query]
                    if seconds >= 2 * LONG_SECONDS:
                        break
                if seconds >= LONG_SECONDS:
                    break
            self._long_request = request, seconds
        return self._long_request

    def names(self) -> list[str]:
        return [*super().names(), *(method.name for method in self.methods), self.subject.identity]

    def stated(self) -> Iterator[tuple[str, str]]:
        yield from super().stated()
        for method in self.methods:
            if method.name in self.own_budgets:
                yield f"{method.name}: the budget", method.own_budget.in_words
            for name, words in method.parameters.items():
                yield f"{method.name}: the name of a parameter", name
                yield f"{method.name}: {name}", words

    async def cloaks(self) -> list[Cloak]:
        """Every lossless cloak of every row, of one of large budgets, and of those of costly methods that are affordable.

        Except those of another size than the probe, which geometry reports.

        Raises:
            Failed: a row has no control.
        """
        if self._cloaks is None:
            rows = [(name, await self.answers(**changes)) for name, changes in self.samples().items()]
            first, large = rows[0][0], self.affordable(*LARGE_EPSILONS)
            rows.append((first, await self.answers(times=LARGE_TIMES, methods=large, epsilons=LARGE_EPSILONS)))
            for method, epsilons in self.costly.items():
                if epsilons:
                    rows.append((first, await self.answers(methods=[CONTROL, method], epsilons=epsilons)))
            cloaks = []
            for row, responses in rows:
                probe = probe_of(responses, row)
                for (method, epsilon), response in by_budget(responses).items():
                    name = f"{row}: {method}, epsilon {epsilon}"
                    levels = decoded(response.cloak, name).levels
                    if levels.shape == probe.shape:
                        cloaks.append(Cloak(name, response, levels - probe, probe))
            self._cloaks = cloaks
        return self._cloaks

    async def control(self, **changes: Any) -> Response:
        """The control alone, in the answer to a valid request with some changes.

        Raises:
            Refused: it was refused.
            Failed: another answer came, or none.
        """
        responses = await self.answers(**{**self.cheap, **changes})
        if [(each.method, each.epsilon) for each in responses] != [(CONTROL, 0)]:
            came = ", ".join(f"{each.method}, epsilon {each.epsilon}" for each in responses) or "nothing"
            raise Failed(f"expected the control alone, got {came}")
        control: Response = responses[0]
        return control

    async def probe(self, photo: bytes) -> Levels | None:
        """The probe of a photo; None if no face is found in it.

        Raises:
            Refused: it is refused for anything else.
        """
        try:
            response = await self.control(photo=photo)
        except Refused as refused:
            if refused.refusal.reason == NO_FACE:
                return None
            raise
        return decoded(response.cloak, "the control").levels

    async def _subjects_of(self, model: str, faces: DataSet) -> list[Subject]:
        known: frozenset[str] | None = None
        with suppress(Failed):  # anybody is asked for then; the check of label sets reports it
            known = frozenset(await self.identities(model))
        found: list[Subject] = []
        for subject in subjects(faces, known=known):
            request = self.client.message(self.query, **_of(model, subject), **self.cheap, storage=PNG)
            refusal = await self.client.refusal(self.query, request)
            if refusal is None:
                found.append(subject)
            elif refusal.reason != NO_FACE:
                raise Refused(refusal)
            if len(found) == SUBJECTS:
                return found
        if not found:
            raise InputError(f"--faces: expected a photo in which the protector finds a face for {model}, got none")
        return found * SUBJECTS


def _of(model: str, subject: Subject) -> Changes:
    return {"source_model": model, "identity": subject.identity, "photo": subject.photo}


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
        raise Failed(f"{what}: expected a lossless control, which cloaks are measured against, got none")
    return decoded(control.cloak, f"{what}: the control").levels
