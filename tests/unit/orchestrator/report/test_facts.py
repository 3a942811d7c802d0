"""What a page says of methods and services is what they said, and the command that it prints is one that runs."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from orchestrator.commands.evaluate import evaluate_command
from orchestrator.experiment.condition import FULL, parse_conditions
from orchestrator.experiment.grid import Grid
from orchestrator.experiment.plan import Plan
from orchestrator.report.facts import facts, models_table, reproduction
from orchestrator.report.run import Run, read_run
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
