"""Pairs of finished cloaks, compared by the bench's own invader, against what their features alone say."""

import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from orchestrator.cloaks.finished import read_finished_cloaks
from orchestrator.experiment.condition import LOSSLESS
from orchestrator.experiment.grid import CONTROL, ELSEWHERE
from orchestrator.faces.folder import read_face_folder
from orchestrator.faces.pairs import PairedProbes, read_pairs
from orchestrator.metrics.verification import Claim, Verification, verifications
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import PAIRS_KS, GalleryRequest, RunRequest
from recognizers.extraction import extract_face
from recognizers.galleries.matchers import Calibration, Matcher, make_matchers
from recognizers.galleries.thresholds import Target
from tests.support.galleries import TinyNetwork, enroller_of, photo_of, write_people
from tests.support.networks import probe
from tests.support.services import CentreDetector, serving_invader

PEOPLE = 8
IMPOSTORS = range(20, 32)
SIDE = 40
GIVEN = {"given:loose": 0.6, "given:strict": 0.95}


def name(person: int) -> str:
    return f"person_{person:02}"


def cloak(person: int, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half of the next person, of some people less and of some more."""
    share = (person + 1) / (PEOPLE + 1)
    mixed = (1 - share) * photo + share * photo_of((person + 1) % PEOPLE, 1, side=SIDE)
    return np.asarray(mixed + 0.02 * probe(side=SIDE, seed=person), dtype=np.uint8)


def features(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The unit vector of a picture's face, from the network's weights."""
    box = extract_face(picture, detector=CentreDetector())
    assert box is not None
    cut = Image.fromarray(picture).crop((box.left, box.top, box.right, box.bottom))
    face = np.asarray(cut.resize((8, 8), Image.Resampling.BILINEAR), dtype=np.float64)
    weights = TinyNetwork().state_dict()["backbone.1.weight"].numpy().astype(np.float64)
    found: NDArray[np.float64] = weights @ ((face.transpose(2, 0, 1).ravel() - 127.5) / 128)
    return found / np.linalg.norm(found)


@pytest.fixture
def pictures() -> dict[str, list[NDArray[np.uint8]]]:
    """Probe and reference of each person."""
    return {
        name(person): [photo_of(person, number, side=SIDE) for number in range(2)] for person in (*range(PEOPLE), *IMPOSTORS)
    }


def matcher(root: Path, pictures: dict[str, list[NDArray[np.uint8]]]) -> Matcher:
    """One that is calibrated as a started invader's is: on the impostors' comparisons with the references."""
    gallery = write_people(root / "gallery", {name(person): [pictures[name(person)][1]] for person in range(PEOPLE)})
    impostors = write_people(root / "impostors", {name(person): [pictures[name(person)][0]] for person in IMPOSTORS})
    enroller = replace(enroller_of(), find_face=partial(extract_face, detector=CentreDetector()))
    calibration = Calibration(impostors, (Target.parse("fmr:0.1"),), {"tiny": GIVEN})
    return make_matchers(gallery, enroller, calibration=calibration)["tiny"]


async def test_figures_are_what_the_features_say(tmp_path: Path, pictures: dict[str, list[NDArray[np.uint8]]]) -> None:
    faces = read_face_folder(write_people(tmp_path / "faces", pictures))
    write_people(
        tmp_path / "cloaks" / "mixed", {name(each): [cloak(each, pictures[name(each)][0])] for each in range(PEOPLE)}
    )
    lines = [f"{name(each)}/0.png,{name(each)}/1.png,{name((each + 1) % PEOPLE)}/1.png," for each in range(PEOPLE)]
    lines += [f",,,{name(each)}/0.png" for each in IMPOSTORS]
    (tmp_path / "pairs.csv").write_text("\n".join(["probe,reference,target,impostor", *lines]))
    pairs = read_pairs(tmp_path / "pairs.csv", faces)
    source = read_finished_cloaks(tmp_path / "cloaks", faces)
    request = RunRequest(
        faces=PairedProbes(source.faces, pairs),
        source_models=(ELSEWHERE,),
        target_models=None,
        methods=source.compared,
        epsilons=(),
        ks=None,
        subjects=None,
        seed=0,
        conditions=(LOSSLESS,),
        usual_ks=PAIRS_KS,
        unbudgeted=source.compared,
        gallery=GalleryRequest(pairs.split(faces)),
        pairs=pairs,
    )
    async with serving_invader(matchers={"tiny": matcher(tmp_path / "enrolled", pictures)}) as invader:
        finished = await evaluate(
            request,
            protector=source,
            invader=EndpointSpec("invader", invader.address, None),
            folder=RunFolder(tmp_path / "run"),
            keep_cloaks=True,
            subjects_in_flight=2,
            console=Console(file=io.StringIO()),
        )
    assert finished.complete
    found = {(each.claim, each.cell.method, each.threshold): each for each in verifications(read_run(tmp_path / "run").at)}

    references = {each: features(pictures[name(each)][1]) for each in range(PEOPLE)}
    strangers = [
        float(features(pictures[name(each)][0]) @ reference) for each in IMPOSTORS for reference in references.values()
    ]
    allowed = int(0.1 * len(strangers))
    scores = {"fmr:0.1": float(np.nextafter(sorted(strangers, reverse=True)[allowed], np.inf)), **GIVEN}
    shown = {
        CONTROL: {each: features(pictures[name(each)][0]) for each in range(PEOPLE)},
        "mixed": {each: features(cloak(each, pictures[name(each)][0])) for each in range(PEOPLE)},
    }
    for threshold, score in scores.items():
        for method, probes in shown.items():
            own = sum(float(probes[each] @ references[each]) < score for each in probes)
            other = sum(float(probes[each] @ references[(each + 1) % PEOPLE]) >= score for each in probes)
            assert _successes(found[Claim.OBFUSCATION, method, threshold]) == own
            assert _successes(found[Claim.IMPERSONATION, method, threshold]) == other
    calibrated = [found[claim, "mixed", "fmr:0.1"] for claim in Claim]
    assert all(0 < _successes(each) < PEOPLE for each in calibrated), "else the test would tell nothing"


def _successes(found: Verification) -> int:
    assert found.success is not None
    assert found.success.n == PEOPLE
    return found.success.successes
