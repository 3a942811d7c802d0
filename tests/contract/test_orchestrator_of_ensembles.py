"""Evaluations of which a source model is an ensemble: against fakes, and against our own services."""

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2

from invader_service.servicer import InvaderServicer
from orchestrator.errors import InputError, UnusableServiceError
from orchestrator.faces.folder import read_face_folder
from rpc.errors import invalid_argument
from rpc.interceptor import Context
from tests.support.bench import IDENTITIES, Bench, Evaluated, manifest, observed
from tests.support.drawn_faces import draw_face, jpeg
from tests.support.fakes import label_set_sha256
from tests.support.services import serving_invader, serving_protector, small_recognizer

NEEDS = protector_pb2.Method(needs_label_set=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.protector.label_sets = {"facenet": IDENTITIES, "senet50": IDENTITIES}
    return bench


async def test_an_ensemble_crafts_beside_a_model_of_its_own_and_its_members_are_in_the_manifest(bench: Bench) -> None:
    names = ("facenet+senet50", "senet50")
    evaluated = await bench.evaluate(source_models=names, subjects=1)
    assert evaluated.finished.complete
    assert {request.source_model for request in bench.protector.requests} == set(names)
    assert {source_model for _, source_model, *_ in observed(bench.folder)} == set(names)
    found = manifest(bench.folder)
    assert found["protocol"]["grid"]["source_models"] == list(names)
    card = found["source_models"]["senet50"]
    assert card["checkpoint_sha256"] == "c" * 64
    assert found["source_models"]["facenet+senet50"]["members"] == {"facenet": card, "senet50": card}
    assert "facenet+senet50, senet50 by bim at 4, 8" in evaluated.printed


async def test_an_ensemble_with_an_unknown_member_is_refused_by_that_member(bench: Bench) -> None:
    message = await bench.fails(InputError, source_models=("facenet+senet51",))
    assert message.startswith("--source-models: expected one that the protector at ")
    assert message.endswith("(facenet, senet50), got senet51; did you mean senet50?")
    assert not bench.folder.exists()


async def test_members_with_other_label_sets_are_refused_where_a_method_needs_one(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": IDENTITIES, "senet50": IDENTITIES[:7]}
    bench.protector.stated = {"bim": NEEDS}
    digests = [label_set_sha256(identities)[:8] for identities in bench.protector.label_sets.values()]
    assert await bench.fails(InputError, source_models=("facenet", "facenet+senet50")) == (
        "--source-models: expected an ensemble of models with the same label set, as bim needs one, got facenet with 8 "
        f"identities (SHA-256 {digests[0]}…), senet50 with 7 identities (SHA-256 {digests[1]}…)"
    )


async def test_members_with_other_label_sets_are_asked_about_whom_both_know_where_no_method_needs_one(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": IDENTITIES, "senet50": IDENTITIES[1:]}
    evaluated = await bench.evaluate(source_models=("facenet+senet50",), subjects=3)
    assert evaluated.outcome["excluded"] == ["a"]
    assert {request.identity for request in bench.protector.requests} == set("bcd")


async def test_a_model_that_is_listed_by_the_name_of_an_ensemble_is_refused(bench: Bench) -> None:
    bench.protector.label_sets = {"facenet": IDENTITIES, "facenet+senet50": IDENTITIES}
    message = await bench.fails(UnusableServiceError)
    assert "lists the source model 'facenet+senet50'" in message


# Our own services


RECOGNIZERS = {
    "small": small_recognizer(),
    "large": small_recognizer(seed=1, input_size=12),
    "other": small_recognizer(seed=2),
}
SUBJECTS = {"identity_1", "identity_2"}


class Failing(InvaderServicer):
    """Refuses every other cloak, and says so by a status that is not asked about again."""

    calls = 0

    async def Classify(  # noqa: N802
        self, request: invader_pb2.ClassifyRequest, context: Context
    ) -> invader_pb2.ClassifyResponse:
        self.calls += 1
        if self.calls % 2:
            raise invalid_argument("image", expected="another", actual="this")
        return await super().Classify(request, context)


async def evaluated(bench: Bench, kind: type[InvaderServicer] = InvaderServicer) -> Evaluated:
    protector = serving_protector(RECOGNIZERS["small"], others={"large": RECOGNIZERS["large"]})
    async with protector as crafting, serving_invader(RECOGNIZERS, kind=kind) as classifying:
        return await bench.evaluate_at(
            crafting.address,
            classifying.address,
            keep_cloaks=False,
            allow_incomplete=True,
            faces=read_face_folder(bench.root / "drawn"),
            source_models=("large+small",),
            target_models=tuple(RECOGNIZERS),
            epsilons=(16,),
            ks=(1,),
            subjects=len(SUBJECTS),
        )


async def test_an_ensemble_of_our_own_services_is_evaluated_and_a_run_of_it_resumed(tmp_path: Path) -> None:
    for number, identity in enumerate(sorted(SUBJECTS)):
        (tmp_path / "drawn" / identity).mkdir(parents=True)
        (tmp_path / "drawn" / identity / "0.jpg").write_bytes(jpeg(draw_face(number)))
    bench = Bench(tmp_path)
    first = await evaluated(bench, Failing)
    before = observed(bench.folder)
    assert not first.finished.complete
    assert 0 < len(before) < 2 * 3 * 3
    again = await evaluated(bench)
    assert again.finished.complete
    assert observed(bench.folder) > before
    rows = list(csv.DictReader(io.StringIO(again.csv)))
    assert Counter((row["source_model"], row["target_model"], row["n"]) for row in rows) == {
        ("large+small", name, "2"): 3 for name in RECOGNIZERS
    }
    found = manifest(bench.folder)["source_models"]["large+small"]
    assert (found["input_size"], set(found["members"])) == (12, {"large", "small"})
    gradients = 2 * 2 * 20  # two members, two subjects, 20 iterations at epsilon 16
    assert f"at most {gradients} gradients, as the protector states" in again.printed
    undisturbed = Bench(tmp_path / "undisturbed")
    (tmp_path / "undisturbed" / "drawn").symlink_to(tmp_path / "drawn")
    assert (await evaluated(undisturbed)).csv == again.csv
