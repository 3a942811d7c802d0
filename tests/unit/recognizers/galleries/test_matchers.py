"""From a folder of people to matchers with thresholds, and what cannot become one."""

from pathlib import Path

import pytest
import torch

from recognizers.checkpoints.loading import Loaded, LoadedModels
from recognizers.errors import GalleryError
from recognizers.galleries.matchers import Calibration, embedding_networks, make_matchers
from recognizers.galleries.thresholds import Target
from recognizers.networks.gallery import Templates
from recognizers.networks.head import LinearHead
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Distance
from recognizers.networks.recognizer import Embedder, NeuralRecognizer
from recognizers.precision import Precision
from tests.support.galleries import (
    FEATURES,
    ClassifyingNetwork,
    TinyNetwork,
    enroller_of,
    network_of,
    photo_of,
    write_people,
)

CPU = torch.device("cpu")
PATH = Path("checkpoint")


def people(folder: Path, names: str, *, photos: int = 2) -> Path:
    return write_people(folder, {name: [photo_of(ord(name), number) for number in range(photos)] for name in names})


def networks(models: LoadedModels, *features_of: str) -> set[str]:
    return set(embedding_networks(models, features_of, device=CPU, precision=Precision.FLOAT32))


def classifier() -> Loaded[NeuralRecognizer]:
    head = LinearHead(FEATURES, LabelSet(("a", "b")))
    return Loaded(NeuralRecognizer(ClassifyingNetwork(), head), PATH, "c" * 64)


def test_networks_are_named_for_their_matchers() -> None:
    pure, headless = Loaded(Embedder(TinyNetwork()), PATH, "a" * 64), Loaded(Embedder(ClassifyingNetwork()), PATH, "b" * 64)
    models = LoadedModels({"classifying": classifier()}, {"tiny": pure})
    assert networks(models) == {"tiny"}
    assert networks(models, "classifying") == {"tiny", "classifying-features"}
    for asked in ((), ("classifying",)):
        assert networks(LoadedModels({}, {"classifying": headless}), *asked) == {"classifying-features"}


def test_networks_that_are_not_there_or_twice_are_refused() -> None:
    headless = Loaded(Embedder(ClassifyingNetwork()), PATH, "b" * 64)
    both = LoadedModels({"classifying": classifier()}, {"classifying": headless})
    with pytest.raises(
        GalleryError, match=r"--matchers: expected classifiers of the checkpoint folder \(classifying\), got x"
    ):
        networks(both, "x")
    with pytest.raises(GalleryError, match="has its network without a classifier too; keep one"):
        networks(both, "classifying")
    with pytest.raises(
        GalleryError, match="--gallery: expected an embedding network, or classifiers in --matchers; got neither"
    ):
        networks(LoadedModels({"classifying": classifier()}, {}))


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("templates", [None, *Templates])
def test_a_matcher_knows_the_people_of_its_gallery(tmp_path: Path, distance: Distance, templates: Templates | None) -> None:
    folder = people(tmp_path, "abc")
    matcher = make_matchers(folder, enroller_of({"tiny": network_of(distance)}), templates=templates)["tiny"]
    assert matcher.recognizer.name == "tiny"
    assert matcher.recognizer.label_set.identities == ("a", "b", "c")
    assert matcher.head.embedded.templates is (templates or matcher.head.embedded.templates)
    for person in "abc":
        face = torch.tensor(photo_of(ord(person), 7)).permute(2, 0, 1).float()[None]
        assert matcher.recognizer.label_set.identities[int(matcher.recognizer.logits(face).argmax())] == person


def test_templates_suit_the_distance_where_none_are_asked_for(tmp_path: Path) -> None:
    both = {"cosine": network_of(Distance.COSINE), "euclidean": network_of(Distance.EUCLIDEAN)}
    matchers = make_matchers(people(tmp_path, "ab"), enroller_of(both))
    assert {name: each.head.embedded.templates for name, each in matchers.items()} == {
        "cosine": Templates.MEAN,
        "euclidean": Templates.NEAREST,
    }


def test_the_usual_threshold_of_a_network_is_given_and_another_replaces_it(tmp_path: Path) -> None:
    folder = people(tmp_path, "ab")
    enroller = enroller_of({"tiny": network_of(Distance.EUCLIDEAN, usual_threshold=0.5), "none": network_of()})
    usual, replaced = (
        make_matchers(folder, enroller, calibration=calibration)
        for calibration in (Calibration(), Calibration(given={"tiny": {"given": 0.75}}))
    )
    assert [(each.name, each.logit, each.comparisons) for each in usual["tiny"].thresholds] == [("given", -2.5, 0)]
    assert usual["none"].thresholds == ()
    assert replaced["tiny"].thresholds[0].logit == pytest.approx(-5.625)
    with pytest.raises(GalleryError, match=r"--given-thresholds: expected matchers \(tiny, none\), got x"):
        make_matchers(folder, enroller, calibration=Calibration(given={"x": {"given": 1.0}}))


def test_several_thresholds_of_one_matcher_are_given_beside_its_usual_one(tmp_path: Path) -> None:
    labelled = {"given:strict": 0.75, "given:loose": 0.25}
    enroller = enroller_of({"tiny": network_of(usual_threshold=0.5)})
    matcher = make_matchers(people(tmp_path, "ab"), enroller, calibration=Calibration(given={"tiny": labelled}))["tiny"]
    assert [(each.name, each.logit) for each in matcher.thresholds] == [
        ("given", 8.0),
        ("given:loose", 4.0),
        ("given:strict", 12.0),
    ]


def test_thresholds_are_calibrated_on_people_who_are_not_enrolled(tmp_path: Path) -> None:
    folder, impostors = people(tmp_path / "gallery", "abc"), people(tmp_path / "impostors", "xyz", photos=4)
    targets = tuple(map(Target.parse, ("fpir:0.25", "fmr:0.5")))
    matcher = make_matchers(
        folder, enroller_of({"tiny": network_of(usual_threshold=0.9)}), calibration=Calibration(impostors, targets)
    )["tiny"]
    assert [(each.name, each.comparisons, each.false_positives) for each in matcher.thresholds] == [
        ("fmr:0.5", 36, 18),
        ("fpir:0.25", 12, 3),
        ("given", 0, 0),
    ]


def test_impostors_who_are_enrolled_are_refused(tmp_path: Path) -> None:
    folder, same_name = people(tmp_path / "gallery", "abc"), people(tmp_path / "name", "cd", photos=1)
    same_photo = people(tmp_path / "photo", "x")
    (same_photo / "x" / "0.png").write_bytes((folder / "b" / "0.png").read_bytes())
    for impostors, twin in ((same_name, "c, whom --gallery has as c"), (same_photo, "x, whom --gallery has as b")):
        with pytest.raises(GalleryError, match=f"--impostors: expected people who are not enrolled, got {twin}"):
            make_matchers(folder, enroller_of(), calibration=Calibration(impostors, (Target.parse("fpir:0.1"),)))
