"""The experiment of Ghafourian et al. as data: the grid, its conditions and the cloaks that these need."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import PAPERS, Condition, headline_condition

MODELS = ("facenet", "resnet50", "senet50")
EMBEDDED_MODELS = ("compact-facenet", "compact-resnet", "compact-senet")  # of the same families
METHODS = ("bim", "illc")
EPSILONS = (4, 8, 16, 32, 64, 128)  # levels
KS = (1, 5, 10, 25, 50)
PAPERS_KS = (1, 5, 25)  # of the paper's figures
PAPERS_K = 25  # at which the paper reads BIM against ILLC, and states its numbers
PAPERS_EPSILON = 32  # levels: above it, the paper finds, cloaks protect from other models
CONTROL = "none"
NOISE = "noise"
OF_METHOD = ":"  # in the name of a noise control, before the method with a budget of its own that it is matched to
ELSEWHERE = "elsewhere"  # the source model of cloaks that another tool made
FEATURES = "-features"  # at the end of the name of a matcher, after the classifier whose network it has
ENSEMBLE = "+"  # between the names of its members, which are in ascending order


def headline_k(ks: Iterable[int]) -> int | None:
    """The k that headlines are read at: the paper's, or else the largest there is; None where there is none."""
    possible = frozenset(ks)
    return PAPERS_K if PAPERS_K in possible else max(possible, default=None)


def members(source_model: str) -> tuple[str, ...]:
    """The models that a source model's name stands for: the members of an ensemble, or itself."""
    return tuple(source_model.split(ENSEMBLE))


def network_of(model: str) -> str:
    """The network of a model: a matcher that is named after a classifier has this one's, without its trained layer."""
    return model.removesuffix(FEATURES)


def shares_network(source_model: str, target_model: str) -> bool:
    """Whether the target model has the network of the source model, or that of a member of the ensemble."""
    return network_of(target_model) in map(network_of, members(source_model))


def without_own_network(source_models: Iterable[str], target_models: Collection[str]) -> tuple[str, ...]:
    """The source models whose network none of the target models has."""
    return tuple(name for name in source_models if not any(shares_network(name, target) for target in target_models))


def noise_of(method: str) -> str:
    """The noise control of a method with a budget of its own."""
    return f"{NOISE}{OF_METHOD}{method}"


def is_noise(method: str) -> bool:
    """Whether it is a noise control."""
    return method.partition(OF_METHOD)[0] == NOISE


def is_control(method: str) -> bool:
    """Whether it is the control or a noise control."""
    return method == CONTROL or is_noise(method)


@dataclass(frozen=True, order=True)
class CloakKey:
    """One cloak of one probe."""

    source_model: str
    method: str
    epsilon: int  # levels; 0 for the control, and where a method has a budget of its own

    def read_by(self, target_model: str, condition: Condition) -> "Cell":
        """Such cloaks under a condition, read by a target model."""
        return Cell(self.source_model, self.method, self.epsilon, condition, target_model)


@dataclass(frozen=True, order=True)
class Cell:
    """One cell of the experiment: cloaks of one kind under one condition, read by one target model."""

    source_model: str
    method: str
    epsilon: int  # levels; 0 for the control, and where a method has a budget of its own
    condition: Condition
    target_model: str

    @property
    def cloak(self) -> CloakKey:
        return CloakKey(self.source_model, self.method, self.epsilon)

    @property
    def is_white_box(self) -> bool:
        """Whether the target model has the network that the cloak was crafted with, or that of a member of the ensemble."""
        return shares_network(self.source_model, self.target_model)

    @property
    def control(self) -> "Cell":
        """No cloak, under the same condition, read by the same target model."""
        return replace(self, method=CONTROL, epsilon=0)

    @property
    def noise(self) -> "Cell":
        """Noise of the same size, under the same condition, read by the same target model."""
        has_own = not self.epsilon and not is_control(self.method)
        return replace(self, method=noise_of(self.method) if has_own else self.method if is_noise(self.method) else NOISE)


@dataclass(frozen=True)
class Grid:
    """The cells of a run: every source model by every method, budget, condition and target model, with both controls.

    A method with a budget of its own runs once, and has a noise control of its own, unless it is `without_noise`.
    """

    source_models: tuple[str, ...] = MODELS  # ensembles among them
    target_models: tuple[str, ...] = MODELS
    methods: tuple[str, ...] = METHODS
    epsilons: tuple[int, ...] = EPSILONS
    ks: tuple[int, ...] = KS
    conditions: tuple[Condition, ...] = (PAPERS,)  # sorted
    unbudgeted: tuple[str, ...] = ()  # of the methods, those with a budget of their own
    without_noise: tuple[str, ...] = ()  # of these, those that noise cannot be matched to
    enrolling: tuple[str, ...] = ()  # of the target models, those that conditions are read by in which cloaks are enrolled

    @property
    def noises(self) -> tuple[str, ...]:
        """The noise controls."""
        own = (noise_of(method) for method in self.unbudgeted if method not in self.without_noise)
        return (*((NOISE,) if self.budgeted else ()), *own)

    @property
    def all_methods(self) -> tuple[str, ...]:
        """The methods with the control and the noise controls before them."""
        return (CONTROL, *self.noises, *self.methods)

    @property
    def budgeted(self) -> tuple[str, ...]:
        """The methods that are run at every epsilon."""
        return tuple(method for method in self.methods if method not in self.unbudgeted)

    def with_epsilons(self) -> "Grid":
        """The grid of the methods that are run at every epsilon alone."""
        return replace(self, methods=self.budgeted, unbudgeted=(), without_noise=())

    def budgets(self, method: str) -> tuple[int, ...]:
        """The epsilons in the cells of a method or a control."""
        return self.epsilons if method == NOISE or method in self.budgeted else (0,)

    @cached_property
    def condition(self) -> Condition:
        """The condition that headlines and figures are of."""
        return headline_condition(self.conditions)

    def under(self, *conditions: Condition) -> "Grid":
        """The grid under these conditions alone, with the target models that read any of them."""
        readers = {name for condition in conditions for name in self.readers(condition)}
        return replace(
            self, conditions=conditions, target_models=tuple(name for name in self.target_models if name in readers)
        )

    @property
    def all_budgets(self) -> tuple[int, ...]:
        """Those of all methods: every epsilon, and after them 0 where some methods have budgets of their own."""
        return (*(self.epsilons if self.budgeted else ()), *((0,) if self.unbudgeted else ()))

    def readers(self, condition: Condition) -> tuple[str, ...]:
        """The target models that read the cells of a condition."""
        return self.enrolling if condition.carrier.enrols else self.target_models

    def carried_by(self, *carriers: Carrier) -> tuple[Condition, ...]:
        """The conditions in which one of these carriers wears the cloak."""
        return tuple(condition for condition in self.conditions if condition.carrier in carriers)

    def cell(self, source_model: str, method: str, epsilon: int, target_model: str) -> Cell:
        """The cell under the condition that headlines and figures are of."""
        return Cell(source_model, method, epsilon, self.condition, target_model)

    def cloaks(self, source_model: str) -> Iterator[CloakKey]:
        """The cloaks of one probe that one source model crafts."""
        for method in self.all_methods:
            for epsilon in self.budgets(method):
                yield CloakKey(source_model, method, epsilon)

    def cells(self) -> Iterator[Cell]:
        """All cells, those of the first condition first."""
        for condition in self.conditions:
            for source_model in self.source_models:
                for cloak in self.cloaks(source_model):
                    for target_model in self.readers(condition):
                        yield cloak.read_by(target_model, condition)

    @property
    def cloaks_per_probe(self) -> int:
        return sum(1 for source_model in self.source_models for _ in self.cloaks(source_model))

    @property
    def queries_per_probe(self) -> int:
        return self.cloaks_per_probe * len(self.conditions)

    @property
    def observations_per_probe(self) -> int:
        return self.cloaks_per_probe * sum(len(self.readers(condition)) for condition in self.conditions)

    def stated(self) -> dict[str, Any]:
        """As a manifest states it; `Grid.from_stated` reads it."""
        return asdict(self) | {"conditions": [str(condition) for condition in self.conditions]}

    @classmethod
    def from_stated(cls, stated: Any) -> "Grid":
        """The grid that a manifest states.

        Raises:
            AttributeError, KeyError, TypeError, InputError: it is none.
        """
        fields = {name: tuple(values) for name, values in stated.items()}
        return cls(**fields | {"conditions": tuple(Condition.parse(text) for text in fields["conditions"])})
