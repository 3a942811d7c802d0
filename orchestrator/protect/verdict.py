"""The verdict: what the answers of a case mean, in sentences that claim nothing that was not asked. Pure.

Every sentence names who was asked. A recognizer that does not name the person without a cloak says nothing of the cloak, and
is never counted as one that the cloak hides from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.grid import network_of
from orchestrator.metrics.intervals import wilson
from orchestrator.protect.case import UNCHANGED, Case, Finding
from orchestrator.report import sentences
from orchestrator.report.titles import title


class Outcome(StrEnum):
    """What a search for a cloak came to, by those who were asked meanwhile."""

    FOUND = "found"
    NOT_FOUND = "not found"
    NOTHING_TO_HIDE = "nothing to hide"  # nobody who is asked names the person without a cloak


class Confirmation(StrEnum):
    """What the recognizers that were held out said in the end."""

    NONE_HELD_OUT = "none held out"
    NOT_ASKED = "not asked"  # there is no cloak to ask about
    UNKNOWING = "unknowing"  # none of them names the person without a cloak
    SILENT = "silent"  # none of those that know the person names it
    SOME = "some"
    ALL = "all"  # that know the person name it


@dataclass(frozen=True)
class Strangers:
    """Among whom the person is enrolled."""

    number: int
    synthetic: bool


@dataclass(frozen=True)
class Setting:
    """What a verdict has to say beside the answers."""

    strangers: Strangers
    enrolled: int  # photos of the person that the recognizers knew it by
    by_itself: bool = False  # they had nothing but the photo that is cloaked
    other_faces: int = 0  # in the photos, that wear no cloak


@dataclass(frozen=True)
class Verdict:
    """What was found, in words."""

    outcome: Outcome
    confirmation: Confirmation
    headline: str
    honest: str  # what those who were held out said, or that nobody was
    further: tuple[str, ...]  # what else follows from the answers
    limits: tuple[str, ...]  # what does not follow


def outcome_of(case: Case) -> Outcome:
    """What the search came to."""
    if not case.known_to(case.asked):
        return Outcome.NOTHING_TO_HIDE
    return Outcome.NOT_FOUND if case.found is None else Outcome.FOUND


def confirmation_of(case: Case) -> Confirmation:
    """What the held-out recognizers said of the cloak that was found."""
    if not case.held_out:
        return Confirmation.NONE_HELD_OUT
    if case.found is None:
        return Confirmation.NOT_ASKED
    known = case.known_to(case.held_out)
    naming = case.naming(case.held_out, budget=case.found)
    if not naming:
        return Confirmation.SILENT if known else Confirmation.UNKNOWING
    return Confirmation.ALL if set(naming) >= set(known) else Confirmation.SOME


def verdict(case: Case, setting: Setting) -> Verdict:
    """The verdict on a case that is settled, and whose held-out recognizers were asked if a cloak was found."""
    outcome, confirmation = outcome_of(case), confirmation_of(case)
    return Verdict(
        outcome=outcome,
        confirmation=confirmation,
        headline=_headline(case, outcome),
        honest=_honest(case, confirmation),
        further=tuple(_further(case, outcome)),
        limits=tuple(_limits(case, setting)),
    )


def listed(names: Sequence[str]) -> str:
    """Recognizers, as people call them: "dlib", "dlib and ResNet-50"."""
    return sentences.listed([title(network_of(name)) for name in names])


def levels(budget: int) -> str:
    """A budget in words."""
    return f"{budget} level{'' if budget == 1 else 's'}"


def _headline(case: Case, outcome: Outcome) -> str:
    is_gallery, ways = case.carrier is Carrier.GALLERY, _ways(case)
    known = case.known_to(case.asked)
    if outcome is Outcome.NOTHING_TO_HIDE:
        photo = "by a photo of you without a cloak" if is_gallery else "in the photo as it is"
        return (
            f"{listed(case.asked)} {_does(case.asked)} not name you {photo}: there is nothing to hide from "
            f"{_them(case.asked)}, and no cloak was looked for."
        )
    if outcome is Outcome.NOT_FOUND:
        most = case.budgets[-1]
        still = case.naming(case.asked, budget=most)
        return (
            f"No cloak of up to {levels(most)} was found that hides you from {listed(known)}{ways}: at {levels(most)} "
            f"{listed(still)} still {_name(case)}{_s(still)} you. No cloaked photo was written."
        )
    assert case.found is not None
    if is_gallery:
        return (
            f"If the {_photos(len(case.photos))} that you gave {'is' if len(case.photos) == 1 else 'are'} put online with "
            f"cloaks of at most {levels(case.found)}, and none of you without, {listed(known)} {_does(known)} not find you "
            f"by {_clean(len(case.searched))}{ways}."
        )
    return f"With a cloak of at most {levels(case.found)}, {listed(known)} {_does(known)} not name you any more{ways}."


def _honest(case: Case, confirmation: Confirmation) -> str:
    held, names = case.held_out, _name(case)
    known = case.known_to(held)
    if confirmation is Confirmation.NONE_HELD_OUT:
        return (
            f"No recognizer was held out: only {listed(case.asked)} {_was(case.asked)} asked. What others would say is "
            f"not known."
        )
    if confirmation is Confirmation.NOT_ASKED:
        return f"{listed(held)}, held out of the search, {_was(held)} not asked, as there is no cloak to ask about."
    if confirmation is Confirmation.UNKNOWING:
        return (
            f"{listed(held)}, held out of the search, {_does(held)} not {names} you without a cloak either, and so "
            f"{_does(held)} not say what this cloak is worth elsewhere."
        )
    assert case.found is not None
    if confirmation is Confirmation.SILENT:
        return (
            f"{listed(known)}, which {_was(known)} held out of the search and had no part in making the cloak, "
            f"{_does(known)} not {names} you either."
        )
    naming = case.naming(held, budget=case.found)
    if confirmation is Confirmation.ALL:
        return (
            f"But {listed(naming)}, which {_was(naming)} held out of the search, still {names}{_s(naming)} you: this cloak "
            f"does not carry over to {_them(naming)}, so do not rely on it."
        )
    silent = [name for name in known if name not in naming]
    return (
        f"But of those that were held out of the search {listed(naming)} still {names}{_s(naming)} you, and only "
        f"{listed(silent)} {_does(silent)} not: do not rely on this cloak."
    )


def _further(case: Case, outcome: Outcome) -> Iterator[str]:
    if outcome is Outcome.NOTHING_TO_HIDE:
        return
    names, named = _name(case), "found" if case.carrier is Carrier.GALLERY else "named"
    last = case.found
    if last is not None:
        yield (
            f"The cloak was made with {listed(case.sources)} {_itself(case)}: a network that a cloak is made with is the "
            f"easiest to hide from."
        )
        smaller = [budget for budget in case.looked_at if budget < last]
        if smaller:
            yield (
                f"At each smaller budget that was tried ({', '.join(map(str, smaller))}) somebody who was asked still "
                f"{named} you somewhere. Larger ones were not tried: more is not always better."
            )
        else:
            yield "It is the smallest budget that was tried. Larger ones were not: more is not always better."
        yield from _faceless(case, last)
    relapsing = case.relapsing()
    if relapsing:
        yield (
            f"{listed(relapsing)} {named} you at a larger budget in a case where a smaller one had kept {_them(relapsing)} "
            f"from it."
        )
    unknowing = [name for name in case.asked if name not in case.known_to(case.asked)]
    if last is not None and case.known_to(case.held_out):
        unknowing += [name for name in case.held_out if name not in case.known_to(case.held_out)]
    if unknowing:
        yield (
            f"{listed(unknowing)} {_does(unknowing)} not {names} you without a cloak either, which says nothing of the "
            f"cloak and is not counted."
        )
    void = case.void((*case.asked, *(case.held_out if last is not None else ())))
    if void:
        where = sorted({str(each.condition) for each in void})
        who = listed(tuple(dict.fromkeys(each.recognizer for each in void)))
        yield (
            f"Not every silence is the cloak's doing: under {', '.join(where)} {who} did not {names} you without one "
            f"either, in {len(void)} answer{_plural(len(void))}."
        )


def _faceless(case: Case, budget: int) -> Iterator[str]:
    answers = case.of((*case.asked, *case.held_out), budget=budget)
    without = [each for each in answers if each.finding in (Finding.NO_FACE, Finding.NOT_ENROLLED)]
    if without:
        yield (
            f"In {len(without)} of {len(answers)} answers about this cloak no face was found in the picture at all. That "
            f"counts as hidden, but another detector may find the face."
        )


def _limits(case: Case, setting: Setting) -> Iterator[str]:
    yield "A recognizer that was not asked may still know you."
    if case.carrier is Carrier.GALLERY:
        yield (
            "A single photo of you without a cloak can be enough to find you: photos that are already online stay what they "
            "are, and others post photos of you, too."
        )
    else:
        yield "Photos that are already online stay what they are."
    number = setting.strangers.number
    if setting.strangers.synthetic:
        yield (
            f"You were looked for among {number} people who do not exist. They are less like you than real people are, so "
            f"that you are easier to find among them than among as many real people (--strangers DIR)."
        )
    else:
        yield f"You were looked for among the {number} people of --strangers; among others it may be another matter."
    if setting.by_itself:
        yield (
            "The recognizers had no other photo of you than this very one (--me DIR gives them others): that is not how "
            "anybody is found by a new photo."
        )
    yield (
        f"To be named means here to be {'the first' if case.k == 1 else f'among the first {case.k}'} of a recognizer's "
        f"answers, however unlike. Who demands a likeness names fewer people."
    )
    if setting.other_faces:
        yield (
            f"{setting.other_faces} other face{_plural(setting.other_faces)} in the photo{_plural(len(case.photos))} "
            f"wear{'s' if setting.other_faces == 1 else ''} no cloak."
        )


def shares(cases: Sequence[Case]) -> tuple[str, ...]:
    """Over several photos of one person, each a case of its own, how many were hidden, with intervals; empty for one."""
    hidden_from_asked = [case for case in cases if case.found is not None]
    looked_for = [case for case in cases if case.known_to(case.asked)]
    if len(cases) < 2 or not looked_for:
        return ()
    asked = looked_for[0].asked
    sentences = [
        f"Of your {_photos(len(looked_for))} in which {listed(asked)} name{_s(asked)} you, "
        f"{_share(len(hidden_from_asked), len(looked_for))} got a cloak that hides you there."
    ]
    confirmed = [
        case
        for case in hidden_from_asked
        if confirmation_of(case) in (Confirmation.SILENT, Confirmation.SOME, Confirmation.ALL)
    ]
    if confirmed:
        silent = [case for case in confirmed if confirmation_of(case) is Confirmation.SILENT]
        sentences.append(
            f"Of the {len(confirmed)} cloak{_plural(len(confirmed))} that a held-out recognizer could say something of, "
            f"{_share(len(silent), len(confirmed))} hid you from all that know you ({listed(confirmed[0].held_out)})."
        )
    sentences.append("The intervals are about further photos like these, of you alone: they say nothing of other people.")
    return tuple(sentences)


def searches_share(case: Case) -> tuple[str, ...]:
    """Of a case with several searches, how many do not find the person any more, by those held out; empty for one."""
    if case.found is None or len(case.searched) < 2 or not case.known_to(case.held_out):
        return ()
    known = frozenset(case.known_to(case.held_out))
    before = {each.searched for each in case.of(known, budget=UNCHANGED) if each.finding is Finding.NAMED}
    named = {each.searched for each in case.of(known, budget=case.found) if each.finding is Finding.NAMED}
    return (
        f"Of the {len(before)} clean photo{_plural(len(before))} by which {listed(tuple(sorted(known)))} found you without "
        f"cloaks, {_share(len(before - named), len(before))} did not find you any more.",
        "The interval is about further clean photos like these, of you alone.",
    )


def _share(count: int, of: int) -> str:
    interval = wilson(count, of)
    return f"{count} ({100 * count / of:.0f} %, 95 % interval {100 * interval.low:.0f} to {100 * interval.high:.0f} %)"


def _ways(case: Case) -> str:
    """Under what, at the end of a clause."""
    if len(case.conditions) == 1:
        return f", stored as {case.conditions[0]}"
    return f", in any of {len(case.conditions)} ways to store and re-encode the picture"


def _name(case: Case) -> str:
    """What a recognizer does to the person: in a photo it names them, by a photo it finds them."""
    return "find" if case.carrier is Carrier.GALLERY else "name"


def _photos(number: int) -> str:
    return "photo" if number == 1 else f"{number} photos"


def _clean(number: int) -> str:
    return "the clean photo that was searched" if number == 1 else f"any of the {number} clean photos that were searched"


def _itself(case: Case) -> str:
    return "itself" if len(case.sources) == 1 else "themselves"


def _plural(number: int) -> str:
    return "" if number == 1 else "s"


def _s(names: Sequence[str]) -> str:
    return "s" if len(names) == 1 else ""


def _does(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _was(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
