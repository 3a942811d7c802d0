"""The verdict's sentences, for every combination of outcomes: none claims what was not asked."""

import re
from collections.abc import Iterator
from itertools import product

import pytest

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import parse_conditions
from orchestrator.experiment.grid import network_of
from orchestrator.protect.case import Case
from orchestrator.protect.verdict import (
    Confirmation,
    Outcome,
    Setting,
    Strangers,
    Verdict,
    searches_share,
    shares,
    verdict,
)
from orchestrator.report.titles import title
from tests.support.protect_cases import case_of

SETTING = Setting(Strangers(300, synthetic=True), enrolled=3)
ONE = parse_conditions("jpeg:95")
WAYS = ", in any of 2 ways to store and re-encode the picture"

ASKED = {
    Outcome.FOUND: {"dlib": "Y Yn n n"},
    Outcome.NOT_FOUND: {"dlib": "Y Y Yn nY"},
    Outcome.NOTHING_TO_HIDE: {"dlib": "n n n n"},
}
HELD_OUT = {
    Confirmation.NONE_HELD_OUT: {},
    Confirmation.UNKNOWING: {"resnet50-features": "n n"},
    Confirmation.SILENT: {"resnet50-features": "Y n", "senet50-features": "Y n"},
    Confirmation.SOME: {"resnet50-features": "Y n", "senet50-features": "Y Yn"},
    Confirmation.ALL: {"resnet50-features": "Y Y"},
}
HEADLINES = {
    Outcome.FOUND: f"With a cloak of at most 4 levels, dlib does not name you any more{WAYS}.",
    Outcome.NOT_FOUND: f"No cloak of up to 8 levels was found that hides you from dlib{WAYS}: at 8 levels dlib still names "
    "you. No cloaked photo was written.",
    Outcome.NOTHING_TO_HIDE: "dlib does not name you in the photo as it is: there is nothing to hide from it, and no cloak "
    "was looked for.",
}
NOT_ASKED = "held out of the search, {} not asked, as there is no cloak to ask about."
HONEST = {
    Confirmation.NONE_HELD_OUT: "No recognizer was held out: only dlib was asked. What others would say is not known.",
    Confirmation.UNKNOWING: "ResNet-50, held out of the search, does not name you without a cloak either, and so does not "
    "say what this cloak is worth elsewhere.",
    Confirmation.SILENT: "ResNet-50 and SENet-50, which were held out of the search and had no part in making the cloak, "
    "do not name you either.",
    Confirmation.SOME: "But of those that were held out of the search SENet-50 still names you, and only ResNet-50 does "
    "not: do not rely on this cloak.",
    Confirmation.ALL: "But ResNet-50, which was held out of the search, still names you: this cloak does not carry over to "
    "it, so do not rely on it.",
}


@pytest.mark.parametrize(("outcome", "confirmation"), list(product(ASKED, HELD_OUT)))
def test_every_combination_has_its_headline_and_what_the_held_out_say_of_it(
    outcome: Outcome, confirmation: Confirmation
) -> None:
    held_out = HELD_OUT[confirmation]
    found = verdict(case_of(ASKED[outcome], held_out), SETTING)
    assert (found.outcome, found.headline) == (outcome, HEADLINES[outcome])
    if outcome is Outcome.FOUND or not held_out:
        assert (found.confirmation, found.honest) == (confirmation, HONEST[confirmation])
        return
    assert found.confirmation is Confirmation.NOT_ASKED
    names = "ResNet-50" if len(held_out) == 1 else "ResNet-50 and SENet-50"
    assert found.honest == f"{names}, {NOT_ASKED.format('was' if len(held_out) == 1 else 'were')}"


def sentences(found: Verdict) -> tuple[str, ...]:
    return (found.headline, found.honest, *found.further, *found.limits)


def combinations() -> Iterator[Case]:
    """Cases of two asked and two held-out recognizers, each of which may know, be silent, name, find no face, or neither."""
    before = ("Y", "Yn", "n", "0")
    for first, second in product(before, ("Y", "n")):
        for at_2, at_4, at_8 in product(("Y", "n", "0n"), ("Yn", "n"), ("nY", "n")):
            asked = {"dlib": f"{first} {at_2} {at_4} {at_8}", "facenet-features": f"{second} Y n n"}
            for third, fourth in product(("Y Y", "Y n", "Y 0", "n n", "n Y"), ("Y n", "n n", "Yn nY")):
                yield case_of(asked, {"resnet50-features": third, "senet50-features": fourth})


CLAIMS = re.compile(r"do(es)? not (name|find) you (either|any more|by)")


def test_no_sentence_claims_what_was_not_asked() -> None:
    seen = set()
    for case in combinations():
        found = verdict(case, SETTING)
        seen.add((found.outcome, found.confirmation))
        text = " ".join(sentences(found))
        assert "  " not in text
        for recognizer in (*case.asked, *case.held_out):
            name = title(network_of(recognizer))
            claiming = [each for each in (found.headline, found.honest) if name in each and CLAIMS.search(each)]
            if claiming:  # it knows the person, was asked at the budget, and was silent
                assert case.found is not None
                assert recognizer in case.known_to((recognizer,))
                assert case.of((recognizer,), budget=case.found)
                assert not case.naming((recognizer,), budget=case.found)
        if case.found is None:
            assert "With a cloak" not in text
        for naming in case.naming(case.held_out, budget=case.found) if case.found is not None else ():
            assert f"{title(network_of(naming))}" in found.honest
            assert "do not rely on" in found.honest
        unknowing = set(case.asked) - set(case.known_to(case.asked))
        if found.outcome is Outcome.FOUND:
            for recognizer in unknowing:
                assert title(network_of(recognizer)) not in found.headline
                assert any(title(network_of(recognizer)) in each and "is not counted" in each for each in found.further)
    possible = set(product([Outcome.FOUND], Confirmation)) - {
        (Outcome.FOUND, Confirmation.NONE_HELD_OUT),
        (Outcome.FOUND, Confirmation.NOT_ASKED),
    }
    assert seen >= possible | {
        (Outcome.NOT_FOUND, Confirmation.NOT_ASKED),
        (Outcome.NOTHING_TO_HIDE, Confirmation.NOT_ASKED),
    }


def test_smaller_budgets_are_told_and_larger_ones_said_to_be_untried() -> None:
    assert (
        "At each smaller budget that was tried (2) somebody who was asked still named you somewhere. Larger ones were not "
        "tried: more is not always better."
    ) in verdict(case_of({"dlib": "Y Y n n"}), SETTING).further
    first = verdict(case_of({"dlib": "Y n n n"}), SETTING).further
    assert "It is the smallest budget that was tried. Larger ones were not: more is not always better." in first


def test_a_relapse_is_told() -> None:
    found = verdict(case_of({"dlib": "Y nY Yn n"}), SETTING)
    assert "dlib named you at a larger budget in a case where a smaller one had kept it from it." in found.further


def test_pictures_without_a_face_are_counted_apart() -> None:
    found = verdict(case_of({"dlib": "Y 0n n n"}, {"resnet50-features": "Y 00"}), SETTING)
    assert any(each.startswith("In 3 of 4 answers about this cloak no face was found") for each in found.further)


def test_a_silence_that_needs_no_cloak_is_told() -> None:
    found = verdict(case_of({"dlib": "Yn n n n"}, {"resnet50-features": "Yn n"}), SETTING)
    (told,) = (each for each in found.further if each.startswith("Not every silence"))
    assert "under jpeg:95+resize:1080+jpeg:75 dlib and ResNet-50 did not name you without one either, in 2 answers" in told


def test_limits_say_what_every_verdict_cannot() -> None:
    found = verdict(case_of({"dlib": "Y n n n"}, k=5), SETTING)
    assert found.limits[:2] == (
        "A recognizer that was not asked may still know you.",
        "Photos that are already online stay what they are.",
    )
    assert "300 people who do not exist" in found.limits[2]
    assert "among the first 5 of a recognizer's answers" in found.limits[3]
    real = verdict(
        case_of({"dlib": "Y n n n"}, conditions=ONE),
        Setting(Strangers(12, synthetic=False), enrolled=1, by_itself=True, other_faces=2),
    )
    assert real.headline.endswith("any more, stored as jpeg:95.")
    text = " ".join(real.limits)
    assert "the 12 people of --strangers" in text
    assert "no other photo of you than this very one" in text
    assert "the first of a recognizer's answers" in text
    assert "2 other faces in the photo wear no cloak." in text


def gallery_case(asked: dict[str, str], held_out: dict[str, str]) -> Case:
    return case_of(asked, held_out, carrier=Carrier.GALLERY, photos=("1.jpg", "2.jpg"), searched=("a.jpg", "b.jpg"))


@pytest.mark.parametrize(
    ("asked", "held_out", "expected"),
    [
        (
            {"dlib": "Y YYnn nnnn"},
            {"resnet50-features": "Y n"},
            (
                "If the 2 photos that you gave are put online with cloaks of at most 4 levels, and none of you without, "
                f"dlib does not find you by any of the 2 clean photos that were searched{WAYS}.",
                "ResNet-50, which was held out of the search and had no part in making the cloak, does not find you either.",
            ),
        ),
        (
            {"dlib": "Y Y Y Y"},
            {},
            (
                f"No cloak of up to 8 levels was found that hides you from dlib{WAYS}: at 8 levels dlib still finds you. No "
                "cloaked photo was written.",
                "No recognizer was held out: only dlib was asked. What others would say is not known.",
            ),
        ),
        (
            {"dlib": "n n n n"},
            {},
            (
                "dlib does not name you by a photo of you without a cloak: there is nothing to hide from it, and no cloak "
                "was looked for.",
                "No recognizer was held out: only dlib was asked. What others would say is not known.",
            ),
        ),
        (
            {"dlib": "Y n n n"},
            {"resnet50-features": "Y nYnn"},
            (
                "If the 2 photos that you gave are put online with cloaks of at most 2 levels, and none of you without, "
                f"dlib does not find you by any of the 2 clean photos that were searched{WAYS}.",
                "But ResNet-50, which was held out of the search, still finds you: this cloak does not carry over to it, "
                "so do not rely on it.",
            ),
        ),
    ],
)
def test_enrolled_cloaks_have_sentences_of_their_own(
    asked: dict[str, str], held_out: dict[str, str], expected: tuple[str, str]
) -> None:
    found = verdict(gallery_case(asked, held_out), SETTING)
    assert (found.headline, found.honest) == expected
    assert "A single photo of you without a cloak can be enough to find you" in found.limits[1]


def test_of_several_photos_the_share_has_an_interval_about_this_person_alone() -> None:
    silent, naming = {"resnet50-features": "Y n"}, {"resnet50-features": "Y Y"}
    cases = [
        case_of({"dlib": "Y n n n"}, silent),
        case_of({"dlib": "Y Y n n"}, naming),
        case_of({"dlib": "Y Y Y Y"}, silent),
        case_of({"dlib": "n n n n"}, silent),
        case_of({"dlib": "Y n n n"}, {"resnet50-features": "n n"}),
    ]
    assert shares(cases) == (
        "Of your 4 photos in which dlib names you, 3 (75 %, 95 % interval 30 to 95 %) got a cloak that hides you there.",
        "Of the 2 cloaks that a held-out recognizer could say something of, 1 (50 %, 95 % interval 9 to 91 %) hid you from "
        "all that know you (ResNet-50).",
        "The intervals are about further photos like these, of you alone: they say nothing of other people.",
    )


def test_one_photo_has_no_share_and_nor_have_photos_in_which_nobody_is_named() -> None:
    assert shares([case_of({"dlib": "Y n n n"})]) == ()
    assert shares([case_of({"dlib": "n n n n"}), case_of({"dlib": "n n n n"})]) == ()


def test_of_several_searches_the_share_is_of_those_that_found_the_person_before() -> None:
    case = gallery_case({"dlib": "Y n n n"}, {"resnet50-features": "YnYn nnYn"})
    assert searches_share(case)[0] == (
        "Of the 1 clean photo by which ResNet-50 found you without cloaks, 0 (0 %, 95 % interval 0 to 79 %) did not find "
        "you any more."
    )
    assert searches_share(gallery_case({"dlib": "Y n n n"}, {})) == ()
