"""What a page says of a run beside its figures: what was run, what was left out, how it is run again."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import ELSEWHERE, EMBEDDED_MODELS, MODELS, CloakKey, Grid, network_of
from orchestrator.experiment.intervals import IntervalKind
from orchestrator.experiment.model import NOT_STATED
from orchestrator.experiment.placement import Placement
from orchestrator.experiment.region import Region
from orchestrator.faces.split import OVERLAP
from orchestrator.faces.synthetic import PREFIX
from orchestrator.metrics.completeness import short_cells
from orchestrator.metrics.widest import widest
from orchestrator.report.matchers import matcher_cards
from orchestrator.report.run import Run
from orchestrator.report.tables import ABSENT, OWN_BUDGET, Table, Value, budget, integer, method_title, number
from orchestrator.report.titles import CARRIERS, REGIONS, title
from orchestrator.run_folder.folder import MANIFEST
from orchestrator.run_folder.manifest import thresholds_of

NAMES_SHOWN = 20  # of identities, of one reason; the manifest has all
DIGITS = 12  # of a digest
DLIB = "dlib"  # the matcher whose network every service has that has a gallery
GIVEN = "given"  # the threshold that is not calibrated


@dataclass(frozen=True)
class Fact:
    """A line about a run."""

    term: str
    text: str


@dataclass(frozen=True)
class Reproduction:
    """The command that asks the same questions, and what it needs."""

    command: str
    notes: tuple[str, ...]


def notices(run: Run) -> Iterator[Fact]:
    """Why not everything stands, and why it cannot be compared: on top of the page, whatever was asked for."""
    expected = run.subjects * run.grid.observations_per_probe
    if run.going_on or "stopped_by" in run.outcome:
        most = "" if run.until_halfwidth is None else " at most"
        yield Fact(
            "This run is not finished.",
            f"{_how_it_stands(run)}: {run.matrix.observations:,} of{most} {expected:,} observations, of "
            f"{len(run.matrix.probes)} of{most} {run.subjects} subjects. What stands here will change.",
        )
    elif not run.complete:
        short = len(short_cells(run.matrix, run.grid, subjects=run.subjects))
        yield Fact(
            "This run is incomplete.",
            f"{short} of {run.grid.observations_per_probe} cells have fewer than {run.subjects} observations; their own N "
            f"stands beside them. The command below with --run {shlex.quote(run.name)} asks again for what is missing.",
        )
    if run.until_halfwidth is not None:
        yield Fact("N was not fixed beforehand.", f"{_until(run, run.until_halfwidth)} {LOOKED_AT}")
    for sentence in _overlaps(run):
        yield Fact("Probes may be enrolled:", f"{sentence}. If they are, PSR is too low.")
    if run.manifest["protocol"]["replay_of"]:
        yield Fact(
            "The invader is oblivious.",
            f"The cloaks were crafted for run {run.manifest['protocol']['replay_of'][:DIGITS]}, and kept, without "
            f"regard to the models that read them here.",
        )
    if ELSEWHERE in run.grid.source_models:
        yield Fact(
            "Cloaks made elsewhere.",
            "What another tool crafted them with is not known: a target model may be it. Nor is what that took: 0 stands "
            "for it in tables."
            + "".join(f" Without a noise control: {method_title(each)}." for each in run.grid.without_noise),
        )
    if run.caveat:
        yield Fact("Not the paper’s figures:", f"{run.caveat.partition(':')[0]}. They show how the bench works.")
    if run.subjects == 1:
        yield Fact("A single subject.", "Every share is 0 or 100 %, and its interval spans most of what is possible.")


def _overlaps(run: Run) -> list[str]:
    return [sentence for sentence in run.outcome.get("missing_models", ()) if sentence.endswith(OVERLAP)]


def _how_it_stands(run: Run) -> str:
    if run.held:
        return "It is still going"
    why = run.outcome.get("stopped_by")
    return "It was broken off" if why is None else f"It stopped ({why})"


LOOKED_AT = (
    "The intervals of PSR and of faces found are confidence sequences (Waudby-Smith and Ramdas 2020): each holds with 95 % "
    "at all looks at once, but not all of them together. Those of differences and averages, and with them the claims, and "
    "McNemar’s tests are for a fixed N, and not corrected for looking."
)


def _until(run: Run, halfwidth: float) -> str:
    """What the run was to reach, and what it did."""
    protocol = run.manifest["protocol"]
    target = (
        f"Subjects were drawn until the 95 % interval of PSR is at most ± {halfwidth:g} points in every cell and at every "
        f"k, looked at after every {protocol['look_every']}"
    )
    if run.going_on:
        return f"{target}; that is not yet reached."
    cell, k, reached = widest(run.matrix, run.grid)
    where = (
        f"{title(cell.source_model)}, {method_title(cell.method)}, ε {budget(cell.method, cell.epsilon).text}, "
        f"{cell.condition}, read by "
        f"{title(cell.target_model)}"
    )
    found = f"the widest is ± {reached:.2f} points (PSR@{k} of {where})"
    if reached <= halfwidth:
        return f"{target}: reached after {run.subjects:,}, {found}."
    if run.subjects == protocol["subjects"]:
        return f"{target}: not reached with {run.subjects:,}, the most that were to be drawn; {found}."
    return f"{target}: not reached, because there are no more than {run.subjects:,}; {found}."


def facts(run: Run) -> Iterator[Fact]:
    """The protocol, the data and the questions."""
    protocol, grid = run.manifest["protocol"], run.grid
    asked_for = f"{'' if run.until_halfwidth is None else 'at most '}{protocol['subjects']} asked for"
    yield Fact("Subjects", f"{len(run.matrix.probes)} observed, {asked_for}; one photograph each")
    yield Fact("Data", _data(run))
    yield Fact("Drawn by", f"SHA-256 of seed {protocol['seed']} and identity, then file name")
    yield Fact("Methods", _methods(protocol["crafting"], grid))
    yield Fact("Budgets ε", _budgets(protocol["crafting"], grid))
    yield from _meant_for_galleries(protocol["crafting"], grid)
    yield Fact("Conditions", _conditions(grid))
    carriers = {condition.carrier for condition in grid.conditions}
    yield from (
        Fact(f"Cloak worn: {carrier}", CARRIERS[carrier])
        for carrier in Carrier
        if carrier in carriers and any(each.enrols for each in carriers)
    )
    yield Fact("Faces cut out", _extraction(run))
    yield from (Fact(f"Read {region}", REGIONS[region]) for region in _regions(grid))
    no_face = "is accepted as nobody" if run.has_pairs else "counts as protected; the share of faces found stands beside PSR"
    yield Fact("No face", no_face)
    further = len({(search.photo, search.condition) for search in run.non_mated})
    not_enrolled = f", {further:,} further ones of people who are not enrolled" if further else ""
    observations = f"{run.matrix.observations:,} observations in all"
    yield Fact(
        "Queries",
        f"{queries(run):,} pictures were answered by the invader, {observations}{not_enrolled}{_session(run)}",
    )
    yield Fact("Run", f"{run.name}, digest {run.digest[:DIGITS]}")


def _budgets(crafting: Mapping[str, Mapping[str, Any]], grid: Grid) -> str:
    levels = [f"{', '.join(map(str, grid.epsilons))} levels of 0..255"] if grid.budgeted else []
    stated = {method: crafting[method]["own_budget"] for method in grid.unbudgeted}
    alone = [method_title(method) + (f" ({own['in_words']})" if own else "") for method, own in stated.items()]
    own = (
        [f"{OWN_BUDGET}: {', '.join(alone)}, which run once; noise is matched to each of their cloaks in SSIM"]
        if alone
        else []
    )
    return "; ".join(levels + own)


def _meant_for_galleries(crafting: Mapping[str, Mapping[str, Any]], grid: Grid) -> Iterator[Fact]:
    meant = [method_title(method) for method in grid.methods if crafting[method]["carrier"] == Carrier.GALLERY]
    if meant:
        enrols = any(condition.carrier.enrols for condition in grid.conditions)
        without = "" if enrols else "; here the probe alone wears cloaks, which says nothing of that"
        yield Fact("Meant for enrolled photos", f"{', '.join(meant)}{without}")


def _conditions(grid: Grid) -> str:
    others = [str(condition) for condition in grid.conditions if condition != grid.condition]
    if not others:
        return str(grid.condition)
    return f"{grid.condition}, which figures and headlines are of, unless they say otherwise; and {', '.join(others)}"


def _regions(grid: Grid) -> list[Region]:
    return sorted({condition.region for condition in grid.conditions})


def _methods(crafting: Mapping[str, Mapping[str, Any]], grid: Grid) -> str:
    """The methods, and what the protector says of how each crafts."""
    alike: dict[str, list[str]] = {}
    for method in grid.methods:
        alike.setdefault(_rule(crafting[method]["parameters"]), []).append(method_title(method))
    rules = "; ".join(f"{', '.join(methods)}: {rule}" for rule, methods in alike.items())
    return f"{', '.join(method_title(method) for method in grid.all_methods)}. {rules}"


def _rule(parameters: Mapping[str, str]) -> str:
    names = [*(name for name in FIRST if name in parameters), *sorted(parameters.keys() - FIRST.keys())]
    return ", ".join(f"{FIRST.get(name, name)} = {parameters[name]}" for name in names) or NOT_STATED


FIRST = {"alpha": "α", "n_iter": "n_iter", "start": "start"}  # of a method's parameters, and what they are called


def _extraction(run: Run) -> str:
    """How the services say that they cut faces out, each way once."""
    rules: dict[str, list[str]] = {}
    for kind, models in (("photographs for", "source_models"), ("cloaks for", "target_models")):
        if models == "target_models" and _regions(run.grid) == [Region.FULL]:
            continue
        for name, card in run.manifest[models].items():
            rules.setdefault(card.get("extraction") or NOT_STATED, []).append(f"{kind} {title(name)}")
    if len(rules) == 1:
        return next(iter(rules))
    return "; ".join(f"{', '.join(models)}: {rule}" for rule, models in rules.items())


def queries(run: Run) -> int:
    """How many pictures of subjects the invader answered about: one may be read by several target models.

    Nobody is searched for who is not enrolled.
    """
    answered: dict[tuple[CloakKey, Condition], NDArray[np.bool_]] = {}
    for cell in run.matrix.cells:
        picture = cell.cloak, cell.condition
        asked = run.matrix.observed(cell) & ~run.matrix.not_enrolled(cell)
        answered[picture] = asked | answered.get(picture, False)
    return sum(int(np.count_nonzero(each)) for each in answered.values())


def _session(run: Run) -> str:
    session = run.outcome.get("last_session")
    if not session:
        return ""
    return (
        f". The last session made {session['classify_calls']:,} classification calls and {session['craft_calls']:,} "
        f"crafting calls in {session['seconds']:,.0f} s. {_failed(run)}"
    )


def _failed(run: Run) -> str:
    """How often calls failed, and what that costs: what they asked may have been answered in a later session."""
    failed = run.outcome["failed_calls"]
    if not failed:
        return "No call failed for good"
    many = f"{failed:,} calls" if failed > 1 else "1 call"
    missing = max(0, len(run.outcome["subjects"]) * run.grid.observations_per_probe - run.matrix.observations)
    what = f"{missing:,} observations are missing" if missing > 1 else f"{missing or 'no'} observation is missing"
    return f"In all sessions {many} failed for good; {what}"


def _data(run: Run) -> str:
    card = run.manifest["data_set"]
    if run.synthetic:
        return (
            f"synthetic faces that belong to nobody: {card['identities']:,} identities, "
            f"{card['photographs']} photographs each, seed {card['seed']}, renderer {card['renderer']}"
        )
    return f"a folder of {card['identities']} identities; SHA-256 of its photo names {card['photos_sha256'][:DIGITS]}…"


def models_table(run: Run) -> Table:
    """The cards of the models, as the services gave them; galleries where any has one."""
    cards = {"source": _with_members(run.manifest["source_models"]), "target": run.manifest["target_models"]}
    any_gallery = any(card.get("gallery_sha256") for models in cards.values() for card in models.values())
    digests = ("checkpoint_sha256", "label_set_sha256", *(["gallery_sha256"] if any_gallery else []))
    rows = [
        (
            *(Value(role), Value(title(name))),
            *(_count(card.get(field)) for field in ("input_size", "identities")),
            Value(card["precision"]) if card.get("precision") else replace(ABSENT, classes=""),
            *(Value((card.get(field) or "–")[:DIGITS]) for field in digests),
        )
        for role, models in cards.items()
        for name, card in models.items()
    ]
    return Table(
        name="models",
        title="Models",
        note="As the services state them; an invader discloses no more than it must. Digests are the beginnings of SHA-256.",
        columns=(
            *("role", "model", "input size", "identities", "precision", "checkpoint", "label set"),
            *(["gallery"] if any_gallery else []),
        ),
        rows=tuple(rows),
    )


def _with_members(cards: Mapping[str, Any]) -> dict[str, Any]:
    """The cards of source models, and after an ensemble's those of its members."""
    found: dict[str, Any] = {}
    for name, card in cards.items():
        found |= {name: card} | card.get("members", {})
    return found


def _count(stated: object) -> Value:
    return number(f"{stated:,}", sort=stated) if isinstance(stated, int) else ABSENT


REASONS = {  # by what became of an identity
    "unreadable": "no photograph could be read; replaced by the next",
    "no_face": "the protector found no face in the photograph; replaced by the next",
}
OTHER_REASONS = {  # by what lists the names in an outcome
    "excluded": "some model does not know the identity: it would count as protected for nothing",
    "unreadable_photos": "the photograph could not be read, in the last session; another of the same identity was drawn",
    "skipped_files": "not a JPEG or PNG file, or not to be listed, or a cloak or photo without the other",
    "missing_models": "a service does not have it, or the folder of cloaks",
}


def left_out_table(run: Run) -> Table | None:
    """Who and what did not take part, and why; None where that is nobody and nothing."""
    outcome = run.outcome
    if not outcome:
        return None
    named = [
        (reason, [identity for identity, status in outcome["replaced"].items() if status == what])
        for what, reason in REASONS.items()
    ]
    overlaps = _overlaps(run)
    named += [(reason, [name for name in outcome[field] if name not in overlaps]) for field, reason in OTHER_REASONS.items()]
    rows = [
        (integer(len(names)), Value(reason, classes="prose"), Value(_some(names), classes="prose"))
        for reason, names in named
        if names
    ]
    columns = ("how many", "why", "which")
    note = f"At most {NAMES_SHOWN} are named; {MANIFEST} names all."
    return Table("left-out", "Left out", note, columns, tuple(rows)) if rows else None


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (f", and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else "")


def reproduction(run: Run) -> Reproduction:
    """The command, from the manifest alone. Folders and addresses are the reader's; digests show whether they are alike."""
    protocol, grid, card = run.manifest["protocol"], run.grid, run.manifest["data_set"]
    if protocol["replay_of"]:
        return _replay(run)
    notes = ["A cloak is the same bit for bit where the software, the processor and the number of threads are."]
    if run.synthetic:
        faces = f"{PREFIX}identities={card['identities']},photographs={card['photographs']},seed={card['seed']}"
    else:
        faces = "FACES"
        notes.append(f"FACES: a folder of identity folders; the SHA-256 of its photo names is {card['photos_sha256']}.")
    options: dict[str, Any] = {
        "--faces": faces,
        **_cloaks(run, notes),
        **(services := _services(run, notes)),
        **(_pairs(run, services, notes) if run.has_pairs else _gallery(run, services)),
        "--subjects": protocol["subjects"],
        "--until-halfwidth": run.until_halfwidth,
        "--seed": protocol["seed"],
        "--source-models": None if ELSEWHERE in grid.source_models else grid.source_models,
        "--target-models": grid.target_models,
        "--methods": grid.methods,
        "--epsilons": grid.epsilons or None,
        "--placement": None if run.placement is Placement.CROP else run.placement,
        "--k": None if run.has_pairs else grid.ks,
        "--conditions": _asked_conditions(grid),
        "--run": "NEW_FOLDER",
    }
    return Reproduction(_command("orchestrator evaluate", options), tuple(notes))


def _replay(run: Run) -> Reproduction:
    protocol, grid = run.manifest["protocol"], run.grid
    notes = [f"RUN: the folder of the run with digest {protocol['replay_of']}, which kept its cloaks."]
    services = {option: value for option, value in _services(run, notes).items() if not option.startswith("--protector")}
    faces = None
    in_photos = run.placement is Placement.PHOTO
    if run.has_pairs or ((protocol["gallery"] or in_photos) and not run.synthetic):
        faces = "FACES"
        what_for = "into whose photos cloaks are pasted" if in_photos else "of which its gallery is made again"
        notes.append(f"FACES: the data set of RUN, {what_for}.")
    options = {
        "--faces": faces,
        **services,
        **(_pairs(run, services, notes) if run.has_pairs else {"--thresholds": _gallery(run, services).get("--thresholds")}),
        "--target-models": grid.target_models,
        "--conditions": _asked_conditions(grid),
        "--run": "NEW_FOLDER",
    }
    return Reproduction(_command("orchestrator replay RUN", options), tuple(notes))


def _command(beginning: str, options: Mapping[str, Any]) -> str:
    values = {
        option: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for option, value in options.items()
        if value is not None
    }
    return " \\\n  ".join([beginning, *map(shlex.join, values.items())])


def _cloaks(run: Run, notes: list[str]) -> dict[str, str]:
    """The option by which cloaks that were made elsewhere are had again."""
    card = run.manifest["source_models"].get(ELSEWHERE)
    if card is None:
        return {}
    notes.append(
        f"CLOAKS: a folder METHOD/IDENTITY/PHOTO, or another with --names; the SHA-256 of the {card['cloaks']:,} cloaks "
        f"that were used is {card['cloaks_sha256']}."
    )
    return {"--cloaks": "CLOAKS"}


def _gallery(run: Run, services: Mapping[str, str]) -> dict[str, Any]:
    """The options by which people are divided again; that they are not has to be said where a model is a matcher."""
    split, cards = run.manifest["protocol"]["gallery"], run.manifest["target_models"]
    if split is None:
        return {"--gallery-photos": 0} if matcher_cards(cards) else {}
    options = {"--gallery-photos": split["photos"], "--non-mated": split["non_mated"]}
    if split.get("clean"):
        options["--clean-gallery-photos"] = split["clean"]
    if "--invader" in services:  # which has thresholds of its own
        return options | {"--impostors": split["impostors"]}
    calibrated = tuple(name for name in thresholds_of(run.manifest) if name != GIVEN)
    return options | ({"--impostors": split["impostors"], "--thresholds": calibrated} if split["impostors"] else {})


def _asked_conditions(grid: Grid) -> tuple[Condition, ...]:
    """Without those that the targets of pairs add."""
    return tuple(each for each in grid.conditions if not each.claims_target)


def _pairs(run: Run, services: Mapping[str, str], notes: list[str]) -> dict[str, Any]:
    """The options by which pairs are compared again."""
    pairs = run.manifest["protocol"]["pairs"]
    notes.append(
        f"PAIRS: the list of pairs; its SHA-256 is {pairs['list_sha256']}. {MANIFEST} names its pictures, with theirs."
    )
    if "--invader" in services:  # which has thresholds of its own
        return {"--pairs": "PAIRS"}
    calibrated = tuple(name for name in thresholds_of(run.manifest) if name.partition(":")[0] != GIVEN)
    given = tuple(pairs["given_thresholds"])
    return {"--pairs": "PAIRS", "--thresholds": calibrated or None, "--given-thresholds": given or None}


def _services(run: Run, notes: list[str]) -> dict[str, str]:
    """The options by which the two services are had again; what they need is added to `notes`.

    A manifest does not say where a service ran. Models that state a checkpoint, and those of the paper's names, can be had
    from checkpoints; any others only where they are.
    """
    cards = {name: card for name, card in _with_members(run.manifest["source_models"]).items() if "members" not in card}
    stated = {name for name, card in cards.items() if card.get("checkpoint_sha256")}
    # Without a division of people matchers are those of a service with a gallery of its own.
    divided = run.manifest["protocol"]["gallery"] is not None
    with_a_gallery = {DLIB} if divided else set()
    protector = ("protector", set(cards), stated)
    invader = ("invader", set(run.grid.target_models), stated | set(MODELS))
    options: dict[str, str] = {}
    for kind, named, loadable in (protector, invader):
        models = set(map(network_of, named)) if divided else named
        if models <= {*EMBEDDED_MODELS, ELSEWHERE, *with_a_gallery}:
            continue
        if models <= loadable | with_a_gallery:
            options[f"--{kind}-checkpoints"] = "CHECKPOINTS"
        else:
            options[f"--{kind}"] = kind.upper()
            notes.append(f"{kind.upper()}: the address of the {kind}: its models come from no checkpoint that is stated.")
    if "CHECKPOINTS" in options.values():
        notes.append(
            "CHECKPOINTS: a folder with the checkpoints whose digests stand under “Models”. Where a service ran on its own, "
            "--protector or --invader with its address stands instead."
        )
    precisions = {str(card.get("precision")) for card in cards.values()}
    if "--protector" not in options and len(precisions) == 1 and precisions <= PRECISIONS:
        options["--precision"] = precisions.pop()
    return options


PRECISIONS = {"float32", "bfloat16"}  # that services of the bench can be started with


INTERVAL_SOURCES = {  # of rates and of paired differences
    IntervalKind.WILSON: "Wilson 1927, Newcombe 1998 (method 10)",
    IntervalKind.CONFIDENCE_SEQUENCE: "Waudby-Smith and Ramdas 2020, Newcombe 1998 (method 10)",
}


def software(run: Run) -> list[Fact]:
    """What the run was made with."""
    versions = run.manifest["software"]
    last = ("commit", "machine")
    packages = ", ".join(f"{name} {value}" for name, value in versions.items() if name not in last)
    return [Fact("Versions", packages), *(Fact(name.capitalize(), str(versions[name])) for name in last if name in versions)]


def _number_of_budgets(grid: Grid) -> str:
    return f"{len(grid.epsilons)} budgets" if grid.budgeted else "budgets of their own"


def subtitle(run: Run) -> str:
    """The run in one line."""
    grid = run.grid
    return (
        f"{len(run.matrix.probes)} subjects, {len(grid.source_models)} source models by {len(grid.methods)} methods at "
        f"{_number_of_budgets(grid)}, read by {len(grid.target_models)} target models: "
        f"{run.matrix.observations:,} observations"
    )
