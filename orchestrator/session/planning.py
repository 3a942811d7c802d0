"""Makes a plan of what was asked for and what the services offer."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.cloaks.kept import KeptCloaks
from orchestrator.cloaks.source import CloakSource
from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import NAMED_SETS, PAPERS, TARGET, Condition
from orchestrator.experiment.grid import (
    ELSEWHERE,
    EMBEDDED_MODELS,
    KS,
    MODELS,
    Grid,
    members,
    network_of,
    shares_network,
    without_own_network,
)
from orchestrator.experiment.method import Method
from orchestrator.experiment.model import Model, ModelKind
from orchestrator.experiment.placement import Placement
from orchestrator.experiment.plan import SUBJECTS, Plan
from orchestrator.experiment.region import Region
from orchestrator.experiment.verification import PairsPlan
from orchestrator.faces.data_set import DataSet, canonical, named, printable
from orchestrator.faces.labels import Matched, match, nearest, whom_models_know
from orchestrator.faces.pairs import PairedProbes, PairList
from orchestrator.faces.split import OVERLAP, Split
from orchestrator.pictures.conditions import check_possible
from orchestrator.run_folder.folder import MAX_BOX_BYTES, MAX_PNG_BYTES
from orchestrator.services.invader import Invader
from orchestrator.services.label_sets import LabelSets, fetch_label_sets

# Of a whole photo, PNG may be larger than an invader takes.
DEFAULT_CONDITIONS = {Placement.CROP: NAMED_SETS["paper"], Placement.PHOTO: (PAPERS,)}
MAX_CLOAK_BYTES = {Placement.CROP: MAX_PNG_BYTES, Placement.PHOTO: MAX_BOX_BYTES}
MAX_HALFWIDTH = 50  # points; an interval that is wider says nothing
PAIRS_KS = (1,)  # a gallery of one identity has one candidate


@dataclass(frozen=True)
class GalleryRequest:
    """Who is to be enrolled, and what started services do with it beyond that."""

    split: Split
    is_default: bool = False  # nobody asked for it: without a matcher it is dropped
    matchers: tuple[str, ...] = ()  # classifiers whose features a started invader compares, too
    thresholds: tuple[str, ...] = ()  # that a started invader calibrates
    given_thresholds: tuple[str, ...] = ()  # that a started invader is given, as its option spells them


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for.

    None for models means the paper's models, or else the embedded ones, or else all that a service has, and beside them all
    matchers of an invader; several names joined by "+", in ascending order, are an ensemble of source models. None for ks
    means the usual ones, as far as the target models disclose so many candidates; None for conditions means the paper's, as
    far as all target models have their regions; None for subjects means the default number, or all subjects where they are
    drawn until the intervals are narrow, or have their cloaks.

    Raises:
        InputError: `until_halfwidth` is not a possible half-width, or a condition is not possible.
    """

    faces: DataSet
    source_models: tuple[str, ...] | None
    target_models: tuple[str, ...] | None
    methods: tuple[str, ...]
    epsilons: tuple[int, ...]
    ks: tuple[int, ...] | None
    subjects: int | None
    seed: int
    conditions: tuple[Condition, ...] | None = None  # sorted
    until_halfwidth: float | None = None  # points
    replay_of: str | None = None  # the digest of the run whose kept cloaks are shown
    usual_ks: tuple[int, ...] = KS  # where ks is None
    unbudgeted: tuple[str, ...] = ()  # of the methods, those with a budget of their own
    without_noise: tuple[str, ...] = ()  # of these, those that noise cannot be matched to
    missing: tuple[str, ...] = ()  # sentences on what its cloaks lack
    max_cloak_bytes: int = MAX_PNG_BYTES
    gallery: GalleryRequest | None = None
    placement: Placement = Placement.CROP
    pairs: PairList | None = None  # whose probes are cloaked, each compared with one identity; `gallery` has the references

    def __post_init__(self) -> None:
        check_possible(self.conditions or ())
        for condition in self.conditions or ():
            if condition.storage.as_is and self.source_models != (ELSEWHERE,):
                raise InputError(
                    f"--conditions: {condition}: expected jpeg:QUALITY or png first: only the finished pictures of --cloaks "
                    f"can be left as they are"
                )
        if self.until_halfwidth is not None and not 0 < self.until_halfwidth <= MAX_HALFWIDTH:
            raise InputError(
                f"--until-halfwidth: expected more than 0 and at most {MAX_HALFWIDTH} points, got {self.until_halfwidth:g}"
            )
        self._check_carriers()
        self._check_pairs()
        for condition in self.conditions or ():
            if self.placement is Placement.PHOTO and condition.region is Region.FULL:
                raise InputError(
                    f"--conditions: {condition}: expected no @full beside --placement photo: in a whole photo the face is "
                    f"to be found first"
                )

    def _check_carriers(self) -> None:
        for condition in self.enrolling_conditions:
            if self.gallery is None:
                how = (
                    "--gallery-photos says how many photos of each are"
                    if self.replay_of is None
                    else "the gallery of RUN is made again of its data set, which --faces names"
                )
                raise InputError(f"--conditions: {condition}: expected people of --faces who are enrolled, got none: {how}")
            if condition.carrier is Carrier.ADAPTIVE and self.until_halfwidth is not None:
                raise InputError(
                    f"--conditions: {condition}: expected no --until-halfwidth beside it: an adaptive invader enrols cloaks "
                    f"of all subjects, so that their number has to be known"
                )
        if self.gallery is not None and self.gallery.split.sizes.clean and not self.enrolling_conditions:
            raise InputError("--clean-gallery-photos: expected a condition in which cloaks are enrolled, got none")

    def _check_pairs(self) -> None:
        for condition in self.conditions or ():
            if condition.claims_target:
                raise InputError(
                    f"--conditions: {condition}: expected one without /{TARGET}: the targets of --pairs are compared with "
                    f"under every condition"
                )
            if self.pairs is not None and condition.carrier.enrols:
                raise InputError(
                    f"--conditions: {condition}: expected no cloak that is enrolled beside --pairs: a probe is compared "
                    f"with a reference as it is"
                )
        if self.pairs is None:
            return
        if self.ks not in (None, PAIRS_KS):
            raise InputError("--k: expected none beside --pairs: who is alone in a gallery always comes first")
        if self.until_halfwidth is not None:
            raise InputError("--until-halfwidth: expected none beside --pairs: the list says how many there are")

    @property
    def enrolling_conditions(self) -> tuple[Condition, ...]:
        """Those in which cloaks are enrolled."""
        return tuple(condition for condition in self.conditions or () if condition.carrier.enrols)


def replay_request(
    kept: KeptCloaks,
    conditions: tuple[Condition, ...] | None,
    target_models: tuple[str, ...] | None,
    gallery: GalleryRequest | None = None,
    pairs: PairList | None = None,
) -> RunRequest:
    """Asks for all subjects of a run whom the target models know, under these conditions, or else the run's.

    Raises:
        InputError: cloaks are to be enrolled, and the run kept none of enrolled photos, or there is no gallery.
    """
    grid = kept.grid
    conditions = conditions or tuple(each for each in grid.conditions if not each.claims_target)
    enrolling = [condition for condition in conditions if condition.carrier.enrols]
    if enrolling and not grid.enrolling:
        raise InputError(
            f"--conditions: {enrolling[0]}: expected a RUN in which cloaks were enrolled, got one that kept those of probes "
            f"alone"
        )
    if gallery is not None and pairs is None and not enrolling:  # where none is cloaked, none stays clean
        gallery = replace(gallery, split=replace(gallery.split, sizes=replace(gallery.split.sizes, clean=0)))
    return RunRequest(
        faces=kept.faces if pairs is None else PairedProbes(kept.faces, pairs),
        source_models=grid.source_models,
        target_models=target_models,
        methods=grid.methods,
        epsilons=grid.epsilons,
        ks=None,
        subjects=None,
        seed=kept.seed,
        conditions=conditions,
        replay_of=kept.digest,
        usual_ks=grid.ks if pairs is None else PAIRS_KS,
        unbudgeted=grid.unbudgeted,
        without_noise=grid.without_noise,
        gallery=gallery,
        max_cloak_bytes=MAX_CLOAK_BYTES[kept.placement],
        placement=kept.placement,
        pairs=pairs,
    )


@dataclass(frozen=True)
class ResolvedPlan:
    """A plan, and what it leaves out."""

    plan: Plan
    eligible: frozenset[str]  # identities that every model knows
    excluded: tuple[str, ...]  # identities of the data set that are unknown to some model
    missing: tuple[str, ...]  # a sentence for each model of the paper, PSR@k or name that is not available
    label_sets: Mapping[str, frozenset[str]]  # by target model
    split: Split | None = None  # None: nobody of the data set was enrolled for the run
    non_mated: tuple[str, ...] = ()  # identities that are searched and not enrolled, in the order of the draw

    @property
    def searching_models(self) -> tuple[str, ...]:
        """The target models that people who are not enrolled are shown to: those with thresholds."""
        return tuple(name for name, model in self.plan.target_models.items() if model.thresholds)

    @property
    def searching_conditions(self) -> tuple[Condition, ...]:
        """The conditions that their photos go through: a region of a crop is nothing of a photo; none is enrolled."""
        conditions = self.plan.grid.carried_by(Carrier.PROBE)
        return tuple(each for each in conditions if each.region is Region.DETECTED)

    @property
    def non_mated_searches(self) -> int:
        """Of people who are not enrolled, each at all thresholds of one target model."""
        return len(self.non_mated) * len(self.searching_conditions) * len(self.searching_models)

    @property
    def queries(self) -> int:
        """The pictures that the invader is shown in all."""
        plan = self.plan
        return plan.subjects * plan.grid.queries_per_probe + len(self.non_mated) * len(self.searching_conditions)


async def make_plan(request: RunRequest, source: CloakSource, invader: Invader, *, has_split: bool = False) -> ResolvedPlan:
    """Fits the request to the services; `has_split` is whether the invader was started with the request's gallery.

    Raises:
        InputError: the services or the data set lack something; the message names the option.
    """
    sources, methods = await asked_of_source(request, source)
    source_models = request.source_models or tuple(sources)
    targets = await asked_of_invader(request, invader, source_models=source_models)
    ks = request.usual_ks if request.ks is None else request.ks
    disclosed = _disclosed_ks(ks, targets)
    enrolling = _enrolling(request, targets, invader)
    missing = [
        *request.missing,
        *_no_white_box(source_models, enrolling),
        *(_models_missing("source", sources, source.name) if request.source_models is None else ()),
        *(_models_missing("target", targets, invader.name) if request.target_models is None else ()),
    ]
    usual = DEFAULT_CONDITIONS[request.placement]
    lacking = {} if request.conditions else _lacking(usual, targets)
    conditions = request.conditions or tuple(each for each in usual if each not in lacking)
    if not conditions:
        raise InputError(f"--conditions: expected a region that all of {', '.join(targets)} have, got none")
    missing += [
        f"condition {each}: {name} of the {invader.name} does not have the region {each.region}"
        for each, name in lacking.items()
    ]
    missing += [f"PSR@{k}: the {invader.name} discloses fewer candidates" for k in ks if k not in disclosed]
    split = _split_in_use(request, [*sources.values(), *targets.values()])
    faces = request.faces if split is None else split.probes(request.faces)
    too_few = () if split is None else request.faces.identities.intersection(split.too_few)
    pairs, of_pairs = _pairs(request, source, sources, source_models)
    missing += of_pairs
    if pairs is not None and pairs.pairs.has_targets:
        conditions = tuple(sorted((*conditions, *(each.towards_target for each in conditions))))
    # A probe is compared with one identity of this client's: whom a matcher has enrolled itself plays no part.
    of_sources, of_targets = await fetch_label_sets(source, sources, invader, targets if pairs is None else {})
    if pairs is not None:
        of_targets = dict.fromkeys(targets, tuple(pairs.pairs.people))
    matched = match(faces, [*of_sources.values(), *of_targets.values()])
    if not matched.known:
        of_models = {f"source model {name}": labels for name, labels in of_sources.items()}
        of_models |= {f"target model {name}": labels for name, labels in of_targets.items()}
        advice = EMBEDDED_KNOW if not {*sources, *targets}.isdisjoint(EMBEDDED_MODELS) else ""
        raise InputError(_nobody_known(matched, of_models, "RUN" if request.replay_of else "--faces") + advice)
    if faces.synthetic and request.replay_of is None:  # their number was asked for
        _check_population(matched, [*_of_classifiers(of_sources, sources), *_of_classifiers(of_targets, targets)])
    if matched.differing:
        missing.append(f"{len(matched.differing)} identities: {DIFFERING}: {named(matched.differing, at_most=1)}")
    subjects = _subjects(request, matched.known)
    unbudgeted = request.unbudgeted or tuple(name for name in request.methods if methods[name].own_budget is not None)
    grid = Grid(
        source_models=source_models,
        target_models=tuple(targets),
        methods=request.methods,
        epsilons=() if set(unbudgeted) == set(request.methods) else request.epsilons,
        ks=disclosed,
        conditions=conditions,
        unbudgeted=unbudgeted,
        without_noise=request.without_noise,
        enrolling=enrolling,
    )
    label_sets = {name: frozenset(labels) for name, labels in of_targets.items()}
    non_mated, without = _non_mated(split, targets, label_sets)
    overlap = () if has_split or pairs is not None else await _overlap(split, targets)
    return ResolvedPlan(
        plan=Plan(
            grid,
            subjects,
            request.seed,
            matched.faces,
            sources,
            targets,
            request.until_halfwidth,
            {method: methods[method] for method in grid.methods},
            request.replay_of,
            None if split is None else split.sizes,
            request.placement,
            pairs,
        ),
        eligible=matched.known,
        excluded=tuple(sorted(map(printable, (*matched.unknown, *matched.differing, *too_few)))),
        missing=(*missing, *without, *overlap),
        label_sets=label_sets,
        split=split,
        non_mated=non_mated,
    )


async def asked_of_source(request: RunRequest, source: CloakSource) -> tuple[dict[str, Model], Mapping[str, Method]]:
    """The requested source models, of ensembles their members, and what the protector states of its methods.

    Raises:
        InputError: the protector lacks a model or a method, or an ensemble lacks the label set that a method needs.
    """
    names = request.source_models
    wanted = None if names is None else [member for name in names for member in members(name)]
    chosen = _chosen("--source-models", wanted, await source.models(), source.name)
    if request.placement not in source.placements:
        raise InputError(
            f"--placement: expected what the {source.name} offers ({', '.join(sorted(source.placements))}), got "
            f"{request.placement}"
        )
    methods = await source.methods(request.epsilons)
    _check_offered("--methods", request.methods, sorted(methods), source.name)
    needing = [method for method in request.methods if methods[method].needs_label_set]
    for name in names or ():
        _check_label_sets([chosen[member] for member in members(name)], needing)
    return chosen, methods


def _check_label_sets(ensemble: Sequence[Model], needing: Sequence[str]) -> None:
    if needing and len({model.label_set_sha256 for model in ensemble}) > 1:
        label_sets = ", ".join(
            f"{model.name} with {model.identities} identities (SHA-256 {model.label_set_sha256[:8]}…)" for model in ensemble
        )
        raise InputError(
            f"--source-models: expected an ensemble of models with the same label set, as {', '.join(needing)} "
            f"need{'s' if len(needing) == 1 else ''} one, got {label_sets}"
        )


def check_kept(request: RunRequest, *, keep_cloaks: bool) -> None:
    """Makes sure that cloaks are kept where they are needed again.

    Raises:
        InputError: they are not.
    """
    adaptive = [each for each in request.enrolling_conditions if each.carrier is Carrier.ADAPTIVE]
    if adaptive and not keep_cloaks:
        raise InputError(
            f"--discard-cloaks: expected cloaks that are kept until those of all subjects are there, as {adaptive[0]} needs"
            f" them"
        )


async def asked_of_invader(
    request: RunRequest, invader: Invader, *, source_models: Iterable[str] | None = None
) -> dict[str, Model]:
    """The requested target models, and with cloaks that are enrolled the matchers with the source models' own networks.

    `source_models` are those of the run; None: those that the request names, if it does.

    Raises:
        InputError: the invader lacks a model or the region, or returns fewer candidates.
    """
    offered = await invader.models()
    chosen = _chosen("--target-models", request.target_models, offered, invader.name)
    if request.target_models is None:
        chosen |= {name: model for name, model in offered.items() if model.kind is ModelKind.MATCHER}
    if request.pairs is not None:
        chosen = _verifying(request, chosen, invader)
    conditions = request.conditions or ()
    for condition, name in _lacking(conditions, chosen).items():
        regions = ", ".join(sorted(chosen[name].regions))
        raise InputError(
            f"--conditions: {condition}: expected a region that {name} of the {invader.name} has ({regions}), got "
            f"{condition.region}"
        )
    if enrolling := _enrolling(request, chosen, invader):
        white_boxes = _white_boxes(source_models or request.source_models or (), enrolling, offered)
        chosen |= {name: model for name, model in white_boxes.items() if not _lacking(conditions, {name: model})}
        if all(condition.carrier.enrols for condition in conditions):
            chosen = {name: model for name, model in chosen.items() if model.kind is ModelKind.MATCHER}
    ks = request.usual_ks if request.ks is None else request.ks
    if request.ks is not None or not _disclosed_ks(ks, chosen):
        _check_ks(ks, chosen)
    return chosen


def _chosen(option: str, wanted: Sequence[str] | None, offered: Mapping[str, Model], service: str) -> dict[str, Model]:
    _check_offered(option, wanted or (), offered, service)
    if not offered:
        raise UnusableServiceError(f"the {service} lists no models, where it must at least one")
    return {name: offered[name] for name in wanted or _default_models(offered) if name in offered}


def _check_offered(option: str, wanted: Iterable[str], offered: Collection[str], service: str) -> None:
    for name in wanted:
        if name not in offered:
            raise InputError(
                f"{option}: expected one that the {service} has ({', '.join(offered)}), got {name}{nearest(name, offered)}"
            )


def _default_models(offered: Collection[str]) -> tuple[str, ...]:
    """The paper's models, or else the embedded ones, or else all."""
    for usual in (MODELS, EMBEDDED_MODELS):
        if not set(usual).isdisjoint(offered):
            return usual
    return tuple(offered)


def _models_missing(kind: str, chosen: Collection[str], service: str) -> list[str]:
    """Sentences about the usual models that a service lacks, where the request names none."""
    usual = _default_models(chosen)
    if usual not in (MODELS, EMBEDDED_MODELS):
        return [f"{kind} models of the paper: the {service} has none of them, so that all of its own are used"]
    return [f"{kind} model {name}: the {service} does not have it" for name in usual if name not in chosen]


def _subjects(request: RunRequest, eligible: frozenset[str]) -> int:
    subjects = request.subjects
    if subjects is None:
        has_cloaks = request.replay_of is not None or request.source_models == (ELSEWHERE,)
        is_drawn = request.until_halfwidth is None and not has_cloaks and request.pairs is None
        subjects = SUBJECTS if is_drawn else len(eligible)
    if subjects > len(eligible):
        raise InputError(
            f"--subjects: expected at most {len(eligible)} (identities of --faces that every model knows, "
            f"of {len(request.faces.identities)} there), got {subjects}"
        )
    return subjects


EMBEDDED_KNOW = (
    ". The embedded recognizers know the people of synthetic: only; your own come with --protector-checkpoints and "
    "--invader-checkpoints"
)
DIFFERING = "models spell them in different Unicode normal forms, so that there is no one name to ask by"


def _nobody_known(matched: Matched, label_sets: Mapping[str, Collection[str]], whence: str) -> str:
    if matched.differing and not matched.unknown:
        return f"{whence}: {DIFFERING}: {named(matched.differing, at_most=1)}"
    unknown = f"{len(matched.unknown)} ({named(matched.unknown, at_most=1)})"
    return (
        f"{whence}: expected identities that every model knows, got {unknown} that some model does not know: "
        f"{whom_models_know(matched.faces, label_sets)}"
    )


def _lacking(conditions: Iterable[Condition], targets: Mapping[str, Model]) -> dict[Condition, str]:
    """The conditions whose region some target model does not have, and the first such model."""
    lacking = ((each, name) for each in conditions for name, model in targets.items() if each.region not in model.regions)
    first: dict[Condition, str] = {}
    for condition, name in lacking:
        first.setdefault(condition, name)
    return first


def _split_in_use(request: RunRequest, models: Collection[Model]) -> Split | None:
    """How the data set is divided; not at all where no model has a gallery and nobody asked for one."""
    asked = request.gallery
    if asked is None or request.pairs is not None or any(model.kind is ModelKind.MATCHER for model in models):
        return None if asked is None else asked.split
    if asked.is_default:
        return None
    raise InputError(
        f"--gallery-photos: expected a model with a gallery, got classifiers alone: "
        f"{', '.join(dict.fromkeys(model.name for model in models))}; an embedding network beside them is one, and so are "
        f"the features of a classifier that --matchers names"
    )


def _non_mated(
    split: Split | None, targets: Mapping[str, Model], label_sets: Mapping[str, Collection[str]]
) -> tuple[tuple[str, ...], list[str]]:
    """The people who are searched and not enrolled, and a sentence on those who cannot be."""
    if split is None or not split.non_mated:
        return (), []
    searching = [name for name, model in targets.items() if model.thresholds]
    if not searching:
        return (), ["FPIR: no target model has a threshold"]
    enrolled = {canonical(label) for name in searching for label in label_sets[name]}
    known = [identity for identity in split.non_mated if identity in enrolled]
    why = f"FPIR: {len(known)} of {len(split.non_mated)} people are enrolled after all: {named(known, at_most=1)}"
    return tuple(each for each in split.non_mated if each not in enrolled), [why] if known else []


async def _overlap(split: Split | None, targets: Mapping[str, Model]) -> list[str]:
    """A sentence on the galleries that may hold probes: those of a running invader that are not the split's."""
    matchers = [model for model in targets.values() if model.kind is ModelKind.MATCHER]
    if not matchers:
        return []
    try:
        own = None if split is None else await asyncio.to_thread(split.gallery_sha256)
    except OSError as error:
        raise InputError(f"--faces: {error.filename}: cannot be read: {error.strerror or error}") from error
    others = [model.name for model in matchers if model.gallery_sha256 != own]
    if not others:
        return []
    why = "this run divides no data set" if split is None else "it is not the one that this run divides --faces into"
    return [f"gallery of {', '.join(others)}: {why}: {OVERLAP}"]


def _of_classifiers(label_sets: LabelSets, models: Mapping[str, Model]) -> list[Collection[str]]:
    return [labels for name, labels in label_sets.items() if models[name].kind is ModelKind.CLASSIFIER]


def _check_population(matched: Matched, label_sets: Sequence[Collection[str]]) -> None:
    """Makes sure that classifiers know all synthetic people; whom a matcher does not know shows it no face."""
    if match(matched.faces, label_sets).unknown:
        raise InputError(
            f"--faces: expected at most {len(matched.known)} synthetic identities, as many as every model knows, "
            f"got {len(matched.faces.identities)}"
        )


def _enrolling(request: RunRequest, targets: Mapping[str, Model], invader: Invader) -> tuple[str, ...]:
    """The target models that read the conditions in which cloaks are enrolled; none where there is no such condition.

    Raises:
        InputError: there are such conditions, and nothing can be enrolled for them.
    """
    asked = request.enrolling_conditions
    if not asked:
        return ()
    matchers = tuple(name for name, model in targets.items() if model.kind is ModelKind.MATCHER)
    if not matchers:
        raise InputError(
            f"--conditions: {asked[0]}: expected a target model that compares with a gallery, got classifiers alone: "
            f"{', '.join(targets)}; an embedding network is one, such as dlib, and so are the features of a classifier that "
            f"--matchers names"
        )
    if not invader.enrols:
        raise InputError(
            f"--conditions: {asked[0]}: expected an invader that enrols pictures of clients, got the {invader.name}, which "
            f"does not: with it only probes can wear a cloak"
        )
    return matchers


def _verifying(request: RunRequest, chosen: Mapping[str, Model], invader: Invader) -> dict[str, Model]:
    """Of the target models those that can compare a probe with one identity, and say whether they accept it.

    Raises:
        InputError: one that was asked for cannot, or none can.
    """
    if not invader.enrols:
        raise InputError(
            f"--pairs: expected an invader that enrols pictures of clients, got the {invader.name}, which does not: there "
            f"is nothing to compare probes with"
        )
    matchers = {name: model for name, model in chosen.items() if model.kind is ModelKind.MATCHER}
    others = [name for name in request.target_models or () if name not in matchers]
    if others or not matchers:
        raise InputError(
            f"--target-models: expected models that compare with a gallery beside --pairs, such as dlib, or the features "
            f"of a classifier that --matchers names, got {', '.join(others or chosen)}"
        )
    for name, model in matchers.items():
        if not model.thresholds:
            raise InputError(
                f"--pairs: expected a threshold of {name}, at which it accepts a probe, got none: --thresholds fmr:0.01 "
                f"calibrates one on the impostors of the list, and --given-thresholds {name}:NUMBER gives one"
            )
    return matchers


def _pairs(
    request: RunRequest, source: CloakSource, sources: Mapping[str, Model], source_models: Iterable[str]
) -> tuple[PairsPlan | None, list[str]]:
    """The pairs as the plan states them, and sentences on what is left out of them or cannot be done."""
    pairs = request.pairs
    if pairs is None:
        return None, []
    given = () if request.gallery is None else request.gallery.given_thresholds
    is_aimed = pairs.has_targets and source.enrols
    aimed = tuple(
        name for name in source_models if is_aimed and all(sources[each].kind is ModelKind.MATCHER for each in members(name))
    )
    missing = [f"pairs: {sentence}" for sentence in pairs.left_out]
    if without := len(pairs.pairs) - len(request.faces.identities):
        missing.append(f"pairs: {without} of {len(pairs.pairs)}: there is no cloak of the probe")
    if pairs.has_targets and request.replay_of is None and request.source_models != (ELSEWHERE,):
        missing += [
            f"targets: cloaks of {name} are not made towards them: only matchers of a protector that enrols pictures of "
            f"clients can be given whom to craft towards"
            for name in source_models
            if name not in aimed
        ]
    return PairsPlan(pairs, given, aimed), missing


def _white_boxes(source_models: Iterable[str], enrolling: Collection[str], offered: Mapping[str, Model]) -> dict[str, Model]:
    """Of the source models that none of these target models shares the network of, the matchers on offer that do."""
    without = without_own_network(source_models, enrolling)
    return {
        name: model
        for name, model in offered.items()
        if model.kind is ModelKind.MATCHER and any(shares_network(source_model, name) for source_model in without)
    }


def _no_white_box(source_models: Iterable[str], enrolling: Collection[str]) -> list[str]:
    """Sentences on the source models whose networks no cloak is enrolled for."""
    without = without_own_network(source_models, enrolling) if enrolling else ()
    cannot = "so that a cloak without effect cannot be told from an enrolment that does not work"
    return [
        f"white box of {name}: by which network they were made is not known, {cannot}"
        if name == ELSEWHERE
        else f"white box of {name}: no target model compares with a gallery by its network, {cannot}; --matchers "
        f"{network_of(members(name)[0])} offers one"
        for name in without
    ]


def _disclosed_ks(ks: Sequence[int], targets: Mapping[str, Model]) -> tuple[int, ...]:
    """The ks for which every target model returns enough candidates."""
    max_candidates = min(
        (model.max_candidates for model in targets.values() if model.max_candidates is not None), default=max(ks)
    )
    return tuple(k for k in ks if k <= max_candidates)


def _check_ks(ks: Sequence[int], targets: Mapping[str, Model]) -> None:
    for model in targets.values():
        if model.max_candidates is not None and max(ks) > model.max_candidates:
            raise InputError(
                f"--k: expected at most {model.max_candidates}, the candidates that {model.name} returns "
                f"(its label set has {model.identities}), got {max(ks)}"
            )
