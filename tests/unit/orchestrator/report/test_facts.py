"""What a page says of methods and services is what they said, and the command that it prints is one that runs."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from orchestrator.commands.evaluate import evaluate_command
from orchestrator.commands.replay import replay_command
from orchestrator.experiment.condition import FULL, parse_conditions
from orchestrator.experiment.grid import EMBEDDED_MODELS, Grid
from orchestrator.experiment.grid import MODELS as PAPERS_MODELS
from orchestrator.experiment.method import Method, OwnBudget
from orchestrator.experiment.plan import Plan
from orchestrator.faces.split import OVERLAP, SplitSizes
from orchestrator.report.facts import facts, left_out_table, models_table, notices, reproduction
from orchestrator.report.run import Run, read_run
from tests.support.matched import matched_run, matcher
from tests.support.plans import BIM
from tests.support.reported import GRID, MODELS, PEOPLE, changed, make_run, model

PGD = replace(BIM, parameters={**BIM.parameters, "start": "the probe, moved at random"})
MOMENTUM = replace(BIM, parameters={"decay": "1", **BIM.parameters, "Kernel": "15 x 15"})
UNSAID = replace(BIM, parameters={"start": "the probe", "alpha": "1 level"})
FOREIGN = {
    "source_models": {"lens": model("lens", checkpoint_sha256="", precision="", extraction="not stated")},
    "target_models": {"resnet18": model("resnet18", extraction="the middle")},
    "faces": PEOPLE,
}
LENS = Grid(("lens",), ("resnet18",), ("blur", "pgd", "bim"), (8,), (1, 5))
OWN = Grid(("facenet", "senet50"), ("resnet50",), ("bim",), (8,), (1,))
OWN_MODELS = {
    "source_models": {name: model(name, precision="bfloat16", input_size=224) for name in OWN.source_models},
    "target_models": {name: model(name) for name in OWN.target_models},
    "faces": PEOPLE,
}


ENSEMBLE = changed(
    grid=replace(GRID, source_models=("compact-facenet+compact-resnet", "compact-resnet")),
    source_models={name: model(name, input_size=size) for name, size in zip(MODELS, (160, 224), strict=True)},
)


def with_matchers(targets: tuple[str, ...], **fields: Any) -> Plan:
    """A plan with these target models; those that are not the paper's or embedded are matchers."""
    known = {*PAPERS_MODELS, *EMBEDDED_MODELS}
    models = {name: model(name, kind="classifier") if name in known else matcher(name) for name in targets}
    plan = changed(**{"gallery": SplitSizes(photos=2, non_mated=3, impostors=4), **fields})
    return replace(plan, grid=replace(plan.grid, target_models=targets), target_models=models)


DIVIDED = {"gallery_photos": 2, "non_mated": 3, "impostors": 4}


def run_of(tmp_path: Path, plan: Plan) -> Run:
    return read_run(make_run(tmp_path / "run", plan=plan, subjects=1, pictures=False, outcome={"subjects_wanted": 1}))


def said(run: Run, term: str) -> str:
    (text,) = (fact.text for fact in facts(run) if fact.term == term)
    return text


def test_each_method_stands_with_what_the_protector_says_of_it_and_never_with_another_s(tmp_path: Path) -> None:
    plan = changed(grid=LENS, crafting={"pgd": PGD, "bim": UNSAID}, **FOREIGN)
    assert said(run_of(tmp_path, plan), "Methods") == (
        "control, noise control, blur, PGD, BIM. blur: not stated; PGD: α = 1 level, n_iter = "
        "floor(min(epsilon + 4, 1.25 epsilon)), start = the probe, moved at random; BIM: α = 1 level, start = the probe"
    )


def test_a_method_s_own_parameters_stand_after_those_that_methods_share_by_name(tmp_path: Path) -> None:
    text = said(
        run_of(tmp_path, changed(grid=replace(LENS, methods=("bim",)), crafting={"bim": MOMENTUM}, **FOREIGN)), "Methods"
    )
    assert text.endswith(
        ". BIM: α = 1 level, n_iter = floor(min(epsilon + 4, 1.25 epsilon)), start = the probe, Kernel = 15 x 15, decay = 1"
    )


def test_methods_that_craft_alike_are_told_of_once(tmp_path: Path) -> None:
    text = said(run_of(tmp_path, changed(crafting={"bim": BIM, "illc": BIM})), "Methods")
    assert text.endswith(". BIM, ILLC: α = 1 level, n_iter = floor(min(epsilon + 4, 1.25 epsilon)), start = the probe")


@pytest.mark.parametrize(
    ("conditions", "meant"),
    [
        ("jpeg:95", "fawkes-mid; here the probe alone wears cloaks, which says nothing of that"),
        ("jpeg:95,jpeg:95/gallery", "fawkes-mid"),
    ],
)
def test_a_budget_of_a_method_s_own_and_what_it_is_meant_for_stand_among_the_facts(
    tmp_path: Path, conditions: str, meant: str
) -> None:
    fawkes = Method(own_budget=OwnBudget("DSSIM 0.012", 15), carrier="gallery")
    grid = replace(OWN, methods=("bim", "fawkes-mid"), unbudgeted=("fawkes-mid",), conditions=parse_conditions(conditions))
    run = run_of(tmp_path, changed(grid=grid, crafting={"bim": BIM, "fawkes-mid": fawkes}, **OWN_MODELS))
    assert said(run, "Budgets ε").startswith("8 levels of 0..255; own: fawkes-mid (DSSIM 0.012), which run once; noise is")
    assert said(run, "Meant for enrolled photos") == meant


def test_how_faces_are_cut_out_is_what_each_service_says(tmp_path: Path) -> None:
    run = run_of(tmp_path, changed(grid=LENS, **FOREIGN))
    assert said(run, "Faces cut out") == "photographs for lens: not stated; cloaks for resnet18: the middle"


def test_where_cloaks_are_read_whole_no_face_is_cut_out_of_them(tmp_path: Path) -> None:
    run = run_of(tmp_path, changed(grid=LENS.under(FULL), **FOREIGN))
    assert said(run, "Faces cut out") == "not stated"


def test_what_a_card_does_not_state_is_a_dash(tmp_path: Path) -> None:
    row = models_table(run_of(tmp_path, changed(grid=LENS, **FOREIGN))).rows[0]
    assert [value.text for value in row] == ["source", "lens", "–", "9", "–", "–", "a" * 12]


def test_an_ensemble_stands_above_its_members_and_each_model_once(tmp_path: Path) -> None:
    rows = models_table(run_of(tmp_path, ENSEMBLE)).rows
    assert [tuple(value.text for value in row) for row in rows if row[0].text == "source"] == [
        ("source", "compact FaceNet + compact ResNet", "224", "9", "–", "–", "a" * 12),
        ("source", "compact FaceNet", "160", "9", "float32", "c" * 12, "a" * 12),
        ("source", "compact ResNet", "224", "9", "float32", "c" * 12, "a" * 12),
    ]


def words(command: str) -> list[str]:
    """As a shell splits it, for which a backslash joins two lines."""
    return shlex.split(command.replace("\\\n", ""))


def parsed(command: str) -> dict[str, Any]:
    """The command's options as its own parser takes them; it fails on one that it does not take."""
    program, subcommand, *arguments = words(command)
    assert (program, subcommand) == ("orchestrator", "evaluate")
    context = evaluate_command.make_context("evaluate", arguments)
    source = click.core.ParameterSource.COMMANDLINE
    return {name: value for name, value in context.params.items() if context.get_parameter_source(name) is source}


@pytest.mark.parametrize(
    ("plan", "services"),
    [
        pytest.param(changed(), {"precision": "float32"}, id="embedded"),
        pytest.param(
            changed(grid=OWN, **OWN_MODELS),
            {
                "precision": "bfloat16",
                "protector_checkpoints": Path("CHECKPOINTS"),
                "invader_checkpoints": Path("CHECKPOINTS"),
            },
            id="own checkpoints",
        ),
        pytest.param(changed(grid=LENS, **FOREIGN), {"protector": "PROTECTOR", "invader": "INVADER"}, id="others' services"),
        pytest.param(ENSEMBLE, {"precision": "float32"}, id="an embedded ensemble"),
        pytest.param(
            changed(grid=replace(OWN, source_models=("facenet+senet50", "senet50")), **OWN_MODELS),
            {
                "precision": "bfloat16",
                "protector_checkpoints": Path("CHECKPOINTS"),
                "invader_checkpoints": Path("CHECKPOINTS"),
            },
            id="an ensemble of own checkpoints",
        ),
        pytest.param(
            changed(
                grid=Grid(("compact-facenet",), ("resnet18",), ("bim",), (8,), (1,)),
                target_models=FOREIGN["target_models"],
                source_models={"compact-facenet": model("compact-facenet")},
            ),
            {"precision": "float32", "invader": "INVADER"},
            id="another's invader",
        ),
        pytest.param(
            changed(
                source_models={
                    name: model(name, precision=precision)
                    for name, precision in zip(("compact-facenet", "compact-resnet"), ("float32", "bfloat16"), strict=True)
                }
            ),
            {},
            id="no one precision",
        ),
        pytest.param(
            with_matchers(("compact-facenet", "compact-facenet-features", "dlib")),
            {"precision": "float32", **DIVIDED, "thresholds": ("fpir:0.01",)},
            id="embedded, with matchers",
        ),
        pytest.param(
            replace(with_matchers(("compact-facenet", "dlib")), gallery=SplitSizes(2)),
            {"precision": "float32", "gallery_photos": 2, "non_mated": 0},
            id="without impostors no threshold is calibrated",
        ),
        pytest.param(
            with_matchers(("resnet50", "resnet50-features", "dlib"), **{**OWN_MODELS, "grid": OWN}),
            {
                "precision": "bfloat16",
                "protector_checkpoints": Path("CHECKPOINTS"),
                "invader_checkpoints": Path("CHECKPOINTS"),
                **DIVIDED,
                "thresholds": ("fpir:0.01",),
            },
            id="own checkpoints, with matchers",
        ),
        pytest.param(
            with_matchers(("compact-facenet", "arcface")),
            {"precision": "float32", "invader": "INVADER", **DIVIDED},
            id="another's matcher, with thresholds of its own",
        ),
        pytest.param(
            with_matchers(("compact-facenet", "dlib"), gallery=None),
            {"precision": "float32", "invader": "INVADER", "gallery_photos": 0},
            id="an invader with a gallery of its own",
        ),
        pytest.param(
            changed(source_models={name: model(name, precision="float8") for name in ("compact-facenet", "compact-resnet")}),
            {},
            id="a precision that is no option",
        ),
    ],
)
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="jpeg"),
        pytest.param({"conditions": "purification,png@full"}, id="conditions"),
        pytest.param({"until_halfwidth": 47.5, "subjects": 9}, id="until narrow"),
    ],
)
def test_the_command_of_a_page_is_taken_and_asks_for_what_the_manifest_states(
    tmp_path: Path, plan: Plan, services: dict[str, Any], changes: dict[str, Any]
) -> None:
    if conditions := changes.get("conditions"):
        plan = replace(plan, grid=plan.grid.under(*parse_conditions(conditions)))
    elif changes:
        plan = replace(plan, **changes)
    shown = reproduction(run_of(tmp_path, plan))
    expected: dict[str, Any] = services | {
        "faces": "synthetic:identities=9,photographs=1,seed=0" if plan.faces.synthetic else "FACES",
        "subjects": plan.subjects,
        "seed": 0,
        "source_models": plan.grid.source_models,
        "target_models": plan.grid.target_models,
        "methods": plan.grid.methods,
        "epsilons": plan.grid.epsilons,
        "ks": plan.grid.ks,
        "conditions": plan.grid.conditions,
        "run": Path("NEW_FOLDER"),
    }
    if plan.until_halfwidth is not None:
        expected["until_halfwidth"] = 47.5
    assert parsed(shown.command) == expected
    placeholders = {"FACES", "PROTECTOR", "INVADER", "CHECKPOINTS"} & set(words(shown.command))
    assert {note.partition(":")[0] for note in shown.notes if ":" in note} == placeholders


def test_a_replay_calibrates_again_and_makes_its_gallery_of_the_data_set_of_the_run(tmp_path: Path) -> None:
    replayed = with_matchers(("resnet50", "dlib"), **{**OWN_MODELS, "grid": OWN}, replay_of="e" * 64)
    shown = reproduction(run_of(tmp_path, replayed))
    command = words(shown.command)
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert (options["--faces"], options["--thresholds"]) == ("FACES", "fpir:0.01")
    assert "--gallery-photos" not in options, "RUN has the numbers"
    replay_command.make_context("replay", command[2:])
    people_who_do_not_exist = replace(replayed, faces=changed().faces)
    assert "--faces" not in reproduction(run_of(tmp_path / "synthetic", people_who_do_not_exist)).command


def test_galleries_stand_among_the_models_where_there_are_any(tmp_path: Path) -> None:
    table = models_table(run_of(tmp_path, with_matchers(("compact-facenet", "compact-facenet-features"))))
    assert table.columns[-1] == "gallery"
    assert {row[1].text: row[-1].text for row in table.rows if row[0].text == "target"} == {
        "compact FaceNet": "–",
        "compact FaceNet features": "d" * 12,
    }
    assert models_table(run_of(tmp_path / "classifiers", changed())).columns[-1] == "label set"


def test_a_photo_that_may_be_enrolled_and_searched_is_a_warning_and_nothing_that_was_left_out(tmp_path: Path) -> None:
    why = f"gallery of dlib: this run divides no data set: {OVERLAP}"
    outcome = {"missing_models": [why, "target model facenet: the invader does not have it"]}
    run = read_run(matched_run(tmp_path / "run", outcome=outcome))
    found = [f"{fact.term} {fact.text}" for fact in notices(run)]
    assert f"Probes may be enrolled: {why}. If they are, PSR is too low." in found
    left_out = left_out_table(run)
    assert left_out is not None
    assert [row[2].text for row in left_out.rows] == ["target model facenet: the invader does not have it"]


def test_pictures_of_people_who_are_not_enrolled_are_counted_apart(tmp_path: Path) -> None:
    text = said(read_run(matched_run(tmp_path / "run")), "Queries")
    assert ", 8 further ones of people who are not enrolled. The last session" in text
