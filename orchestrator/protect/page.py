"""The page of one person's question: one HTML file that needs no other and asks for nothing."""

from pathlib import Path

from orchestrator.experiment.carrier import Carrier
from orchestrator.protect.result import Protection, SettledCase
from orchestrator.protect.shown import ShownPhoto, Table, answers_table, shown_photos
from orchestrator.protect.verdict import Confirmation, Outcome, Verdict, listed
from orchestrator.report.page import self_contained
from orchestrator.report.titles import title

TEMPLATES = Path(__file__).parent / "templates"
NAME = "protect"
# How a verdict looks: good only where those who were held out confirm it.
TONES = {Confirmation.SILENT: "good", Confirmation.ALL: "bad", Confirmation.SOME: "bad"}


def page(protection: Protection) -> str:
    """The page as HTML."""
    names = [name for each in protection.cases for name in each.case.photos]
    return self_contained(
        TEMPLATES,
        NAME,
        title=f"What a cloak is worth on {names[0] if len(names) == 1 else f'{len(names)} photos'}",
        cases=[_shown(each, number) for number, each in enumerate(protection.cases, start=1)],
        shares=protection.shares,
        limits=list(dict.fromkeys(limit for each in protection.cases for limit in each.verdict.limits)),
        facts=_facts(protection),
        remarks=protection.remarks,
    )


def _shown(settled: SettledCase, number: int) -> dict[str, object]:
    verdict = settled.verdict
    photos: tuple[ShownPhoto, ...] = shown_photos(settled, number=number)
    answers: Table = answers_table(settled, number=number)
    return {
        "number": number,
        "name": ", ".join(settled.case.photos),
        "verdict": verdict,
        "tone": _tone(verdict),
        "photos": photos,
        "answers": answers,
    }


def _tone(verdict: Verdict) -> str:
    if verdict.outcome is Outcome.NOT_FOUND:
        return "bad"
    return TONES.get(verdict.confirmation, "open") if verdict.outcome is Outcome.FOUND else "open"


def _facts(protection: Protection) -> list[tuple[str, str]]:
    case, setting = protection.cases[0].case, protection.cases[0].setting
    effort = protection.effort
    is_gallery = case.carrier is Carrier.GALLERY
    strangers = (
        f"{setting.strangers.number} {'synthetic people' if setting.strangers.synthetic else 'people of --strangers'}"
    )
    if is_gallery:
        known = (
            f"{setting.enrolled} photo{'' if setting.enrolled == 1 else 's'}, all of which wear the cloak, among {strangers}"
        )
    elif setting.by_itself:
        known = f"the photo itself, without a cloak, among {strangers}"
    else:
        known = f"{setting.enrolled} other photo{'' if setting.enrolled == 1 else 's'} of you, among {strangers}"
    counted = ", ".join(f"{count} answers of {title(name)}" for name, count in sorted(effort.searches.items()))
    return [
        ("Asked", listed(case.asked)),
        ("Held out", listed(case.held_out) if case.held_out else "nobody"),
        ("Cloaks made with", f"{listed(case.sources)}, by the method {title(protection.method)}, seed {protection.seed}"),
        ("Budgets", f"{', '.join(map(str, case.budgets))} levels, of one call"),
        ("You are known by", known),
        ("Conditions", ", ".join(map(str, case.conditions))),
        ("Questions", f"{effort.queries} pictures were shown: {counted}"),
        ("Gradients", f"{effort.gradients} for the cloaks that were found"),
        ("Photos were sent to", ", ".join(protection.services)),
        ("The cloaked photo", f"{protection.stored}; camera, place, time and colour profile are not in it"),
    ]
