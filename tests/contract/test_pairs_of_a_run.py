"""Runs of pairs: who is compared with whom, what is counted, and what is stated of it."""

import csv
import json
import re
from pathlib import Path

import jsonschema
import pytest

from orchestrator.errors import InputError
from orchestrator.experiment.condition import parse_conditions
from orchestrator.report.processes import ThisProcess
from orchestrator.report.run import read_run
from orchestrator.report.write import write_report
from tests.support.bench import manifest
from tests.support.enrolling import digest
from tests.support.fakes import Shown
from tests.support.pages import by_id, parsed
from tests.support.pairs import MATCHER, PEOPLE, PROBE, REFERENCE, TARGET, PairsBench

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
CALIBRATED, COPIED = "fmr:0.01", "given:literature-0.01"
KINDS = [("none", 0), ("noise", 8), ("bim", 8)]

# Of each of the five people, by cloak and threshold, whether they are accepted as themselves, and whether as the target.
AS_THEMSELVES = {
    ("none", CALIBRATED): "yyyyn",
    ("noise", CALIBRATED): "yyyyn",
    ("bim", CALIBRATED): "ynnnn",
    ("none", COPIED): "yyyyy",
    ("noise", COPIED): "yyyyy",
    ("bim", COPIED): "yyynn",
}
AS_TARGET = {
    ("none", CALIBRATED): "nnnnn",
    ("noise", CALIBRATED): "nnnny",
    ("bim", CALIBRATED): "nyynn",
    ("none", COPIED): "nnnny",
    ("noise", COPIED): "nnnny",
    ("bim", COPIED): "nyyny",
}


def accepts(shown: Shown, identity: str, threshold: str) -> bool:
    table = AS_TARGET if identity == TARGET else AS_THEMSELVES
    return table[shown.method, threshold][PEOPLE.index(shown.identity)] == "y"


@pytest.fixture
def setting(tmp_path: Path) -> PairsBench:
    setting = PairsBench(tmp_path)
    setting.invader.accepts = accepts
    return setting


def rows(folder: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with (folder / "verification.csv").open() as file:
        return {(row["claim"], row["method"], row["threshold"]): row for row in csv.DictReader(file)}


async def test_five_pairs_checked_by_hand(setting: PairsBench) -> None:
    evaluated = await setting.evaluate()
    assert evaluated.finished.complete
    assert not (setting.folder / "psr.csv").exists()
    found = rows(setting.folder)
    assert len(found) == 2 * 3 * 2
    successes = {key: (int(row["successes"]), int(row["n"]), float(row["success"])) for key, row in found.items()}
    assert successes == {
        ("obfuscation", "none", CALIBRATED): (1, 5, 20.0),
        ("obfuscation", "noise", CALIBRATED): (1, 5, 20.0),
        ("obfuscation", "bim", CALIBRATED): (4, 5, 80.0),
        ("obfuscation", "none", COPIED): (0, 5, 0.0),
        ("obfuscation", "noise", COPIED): (0, 5, 0.0),
        ("obfuscation", "bim", COPIED): (2, 5, 40.0),
        ("impersonation", "none", CALIBRATED): (0, 5, 0.0),
        ("impersonation", "noise", CALIBRATED): (1, 5, 20.0),
        ("impersonation", "bim", CALIBRATED): (2, 5, 40.0),
        ("impersonation", "none", COPIED): (1, 5, 20.0),
        ("impersonation", "noise", COPIED): (1, 5, 20.0),
        ("impersonation", "bim", COPIED): (3, 5, 60.0),
    }
    bim = found["obfuscation", "bim", CALIBRATED]
    assert (bim["clean"], bim["minus_clean"], bim["minus_noise"]) == ("20.0000", "60.0000", "60.0000")
    assert (bim["success_low"], bim["success_high"]) == ("37.5535", "96.3776")  # Wilson's, of 4 of 5
    assert bim["minus_clean_p"] == "0.25"  # three pairs of one kind, none of the other: 2 / 2^3
    assert {(row["pairs"], row["detected"], row["not_enrolled"]) for row in found.values()} == {("5", "5", "0")}


async def test_each_probe_is_compared_with_one_reference_and_one_target_alone(setting: PairsBench) -> None:
    await setting.evaluate()
    searched = set()
    for search, gallery in setting.invader.answers:
        assert gallery is not None
        searched.add((setting.protector.shown[search.picture], *gallery.photos.items()))
    expected = {
        (Shown(each, "facenet", *kind), (name, (digest(setting.photo(name, REFERENCE).read()),)))
        for each in PEOPLE
        for kind in KINDS
        for name in (each, TARGET)
    }
    assert searched == expected
    assert len(setting.invader.answers) == len(expected)
    assert {gallery.base for gallery in setting.invader.galleries.created} == {""}
    assert len(setting.invader.galleries.created) == 2 * len(PEOPLE)
    assert setting.invader.galleries.held == {}


async def test_without_targets_nobody_is_impersonated(tmp_path: Path) -> None:
    setting = PairsBench(tmp_path, targets=False)
    setting.invader.accepts = accepts
    await setting.evaluate()
    assert {claim for claim, *_ in rows(setting.folder)} == {"obfuscation"}
    assert "targets" not in json.dumps(manifest(setting.folder)["protocol"]["pairs"])


async def test_the_manifest_has_the_digest_of_every_picture_and_keeps_its_schema(setting: PairsBench) -> None:
    await setting.evaluate()
    stated = manifest(setting.folder)
    jsonschema.validate(stated, json.loads(SCHEMA.read_text()))
    pairs = stated["protocol"]["pairs"]
    assert pairs["list_sha256"] == digest(setting.list.read_bytes())
    assert pairs["pairs"] == [
        {
            role: {"photo": f"{name}/{file}", "sha256": digest(setting.photo(name, file).read())}
            for role, name, file in (("probe", each, PROBE), ("reference", each, REFERENCE), ("target", TARGET, REFERENCE))
        }
        for each in PEOPLE
    ]
    assert [each["photo"] for each in pairs["impostors"]] == [f"g/{PROBE}", f"h/{PROBE}"]
    assert stated["protocol"]["grid"]["conditions"] == ["png", "png/target"]


async def test_a_picture_that_changed_makes_another_run(setting: PairsBench) -> None:
    await setting.evaluate()
    path = setting.bench.faces / "a" / REFERENCE
    path.write_bytes((setting.bench.faces / "g" / REFERENCE).read_bytes())
    with pytest.raises(InputError, match=r"holds another run; what differs: protocol\.pairs\.pairs"):
        await setting.evaluate()


async def test_a_reference_without_a_face_is_counted_apart_and_no_success(tmp_path: Path) -> None:
    setting = PairsBench(tmp_path, blank=[f"b/{REFERENCE}"])
    setting.invader.accepts = accepts
    assert (await setting.evaluate()).finished.complete
    found = rows(setting.folder)
    bim = found["obfuscation", "bim", CALIBRATED]
    assert (bim["n"], bim["not_enrolled"], bim["successes"]) == ("4", "1", "3")
    assert found["impersonation", "bim", CALIBRATED]["n"] == "5"  # the target has a face


async def test_a_cloak_without_a_face_is_accepted_as_nobody(setting: PairsBench) -> None:
    setting.protector.hides = lambda photo, shown: shown.method == "bim"
    await setting.evaluate()
    found = rows(setting.folder)
    assert (found["obfuscation", "bim", COPIED]["successes"], found["obfuscation", "bim", COPIED]["detected"]) == ("5", "0")
    assert found["impersonation", "bim", COPIED]["successes"] == "0"


async def test_a_run_that_broke_off_goes_on_where_it_was(setting: PairsBench) -> None:
    undisturbed = PairsBench(setting.root / "undisturbed")
    undisturbed.invader.accepts = accepts
    await undisturbed.evaluate()
    setting.invader.queries_left = 11
    assert not (await setting.evaluate()).finished.complete
    assert len(setting.invader.answers) == 11
    setting.invader.queries_left = None
    assert (await setting.evaluate()).finished.complete
    assert len(setting.invader.answers) == 30
    assert rows(setting.folder) == rows(undisturbed.folder)


async def test_a_gallery_that_the_invader_forgot_is_made_again(setting: PairsBench) -> None:
    forgotten: list[int] = []

    def trouble(search: object, number: int) -> None:
        if number in (3, 11):
            forgotten.append(number)
            setting.invader.galleries.forget()

    setting.invader.trouble = trouble
    assert (await setting.evaluate()).finished.complete
    assert forgotten == [3, 11]
    assert len(rows(setting.folder)) == 12


async def test_cloaks_are_made_towards_the_target_by_methods_without_a_label_set(tmp_path: Path) -> None:
    setting = PairsBench(tmp_path, source_model=MATCHER)
    setting.invader.accepts = lambda shown, identity, threshold: True
    setting.protector.methods = ("bim", "fawkes-targeted", "noise", "none")
    setting.protector.label_free |= {"fawkes-targeted"}
    setting.bench.add("a")
    await setting.evaluate(methods=("bim", "fawkes-targeted"), subjects=2)
    target = {TARGET: (digest(setting.photo(TARGET, REFERENCE).read()),)}
    aimed = {(identity, methods, tuple(gallery)) for identity, methods, gallery in setting.protector.aimed}
    people = {identity for identity, *_ in aimed if identity}
    assert len(people) == 2
    assert {each for each in aimed if each[0]} == {(each, ("bim",), ()) for each in people}
    assert {each for each in aimed if not each[0]} == {("", ("none", "noise", "fawkes-targeted"), (TARGET,))}
    assert all(gallery == target for identity, _, gallery in setting.protector.aimed if not identity)
    assert manifest(setting.folder)["protocol"]["pairs"]["aimed"] == [MATCHER]


async def test_that_cloaks_of_a_classifier_are_not_made_towards_targets_is_said(setting: PairsBench) -> None:
    evaluated = await setting.evaluate()
    assert "targets: cloaks of facenet are not made towards them: only matchers" in evaluated.printed
    assert manifest(setting.folder)["protocol"]["pairs"]["aimed"] == []
    assert not setting.protector.galleries.created


async def test_kept_cloaks_are_compared_once_more(setting: PairsBench) -> None:
    await setting.evaluate()
    replayed = await setting.replay()
    assert replayed.finished.complete
    again = rows(replayed.finished.folder)
    assert again == rows(setting.folder)
    assert manifest(replayed.finished.folder)["protocol"]["replay_of"] == read_run(setting.folder).digest


async def test_console_and_page_name_the_two_figures_and_say_what_copied_thresholds_do(setting: PairsBench) -> None:
    evaluated = await setting.evaluate()
    assert re.search(
        r"Obfuscation at fmr:0.01, read by dlib: without a cloak 20.0 % \[3.6–62.4\] of N = 5 probes are not accepted as "
        r"their own person \(FNMR\); with one: BIM of FaceNet at ε 8 80.0 % \[37.6–96.4\]",
        evaluated.printed,
    )
    assert "Impersonation at fmr:0.01, read by dlib: without a cloak 0.0 %" in evaluated.printed
    assert "Calibrated thresholds, and those that papers copy" in evaluated.printed
    assert "PSR@1" not in evaluated.printed


async def test_the_page_has_tables_of_both_figures_and_no_psr(setting: PairsBench, tmp_path: Path) -> None:
    await setting.evaluate()
    page = write_report(read_run(setting.folder), out=tmp_path / "report", with_pictures=False, processes=ThisProcess())
    found = parsed(page.read_text())
    (of_bim,) = (
        row for row in by_id(found, "verification").rows() if row[1:5:3] == ["obfuscation", "BIM"] and row[2] == CALIBRATED
    )
    assert of_bim[6:10] == ["5", "0", "80.0 [38–96]", "20.0 [4–62]"]
    assert by_id(found, "verification-thresholds").rows() == [
        ["dlib", CALIBRATED, "calibrated on impostors", "300", "3", "1.000 [0.341–2.898]"],
        ["dlib", COPIED, "copied from the literature", "–", "–", "–"],
    ]
    (copied,) = (row for row in by_id(found, "copied-thresholds").rows() if row[1] == "obfuscation" and row[4] == "BIM")
    assert copied[2:3] + copied[6:8] == ["0.01", "80.0 [38–96]", "40.0 [12–77]"]
    assert "--pairs PAIRS" in page.read_text()
    assert "PSR of every cell" not in page.read_text()
    assert (tmp_path / "report" / "verification.csv").read_text() == (setting.folder / "verification.csv").read_text()
    assert not (tmp_path / "report" / "psr.csv").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": parse_conditions("png/target")}, "--conditions: png/target: expected one without /target"),
        ({"conditions": parse_conditions("png/gallery")}, "png/gallery: expected no cloak that is enrolled beside --pairs"),
        ({"ks": (1, 5)}, "--k: expected none beside --pairs"),
        ({"until_halfwidth": 5.0}, "--until-halfwidth: expected none beside --pairs"),
        ({"target_models": ("facenet",)}, "--target-models: expected models that compare with a gallery beside --pairs"),
    ],
)
async def test_what_makes_no_sense_with_pairs_is_refused(
    setting: PairsBench, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        await setting.evaluate(**changes)


async def test_a_target_model_without_a_threshold_is_refused_with_the_way_out(setting: PairsBench) -> None:
    setting.invader.matchers = {MATCHER: type(setting.invader.matchers[MATCHER])("b" * 64)}
    with pytest.raises(
        InputError, match=r"expected a threshold of dlib.*--thresholds fmr:0\.01 .*--given-thresholds dlib:NUMBER"
    ):
        await setting.evaluate()


async def test_an_invader_that_enrols_nothing_is_refused(setting: PairsBench) -> None:
    setting.invader.enrols = False
    with pytest.raises(InputError, match="--pairs: expected an invader that enrols pictures of clients"):
        await setting.evaluate()
