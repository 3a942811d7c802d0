"""What the threat matrix says, in words: of each kind of cloak, which of the pictures that wear it it protects.

"Protects" is said where intervals force it: those of the paired differences from the control and from noise, which replace
the same pictures, both lie above zero. Else it is "not shown". The sentences are not corrected for each other.
"""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.grid import is_control
from orchestrator.metrics.psr import CellResult
from orchestrator.report.measured import Measured
from orchestrator.report.sentences import headline_budget, limits, listed, signed, span
from orchestrator.report.threats import Threat, chains, lacking_white_box, protects, threats
from orchestrator.report.titles import title

MAX_SENTENCES = 12  # on the threat matrix; its table has all

PEOPLE: Mapping[Carrier, str] = {
    Carrier.PROBE: "searched pictures that wear it",
    Carrier.GALLERY: "people whose enrolled photos wear it",
    Carrier.BOTH: "people whose searched and enrolled pictures wear it",
    Carrier.ADAPTIVE: "people whose enrolled photos wear it among cloaked copies of others",
}
PICTURES: Mapping[Carrier, str] = {
    Carrier.PROBE: "the searched pictures",
    Carrier.GALLERY: "the enrolled people",
}


def threat_sentences(measured: Measured) -> list[str]:
    """A sentence for each method, source model and matcher, at the epsilon and the smallest k; none without such cells."""
    if measured.k is None:
        return []
    k, every_chain = min(measured.grid.ks), chains(measured.grid)
    found = [
        f"{_which(each)}{f' ({every_chain[0]})' if len(every_chain) > 1 else ''}: {_what(each)}"
        for chain in every_chain[:1]
        for each in threats(measured, chain, k=k)
        if each.cloaked
        and not is_control(each.cell.method)
        and each.cell.epsilon == headline_budget(measured.grid, each.cell.method)
    ]
    further = len(found) - MAX_SENTENCES
    more = [f"The table of the threat matrix has {further} further kinds of cloak and matcher."] if further > 0 else []
    return [*found[:MAX_SENTENCES], *more, *(lacking_white_box(measured.grid) if found else ())]


def _which(threat: Threat) -> str:
    cell = threat.cell
    size = f" at {cell.epsilon}" if cell.epsilon else ""
    white_box = ", which has its network" if cell.is_white_box else ""
    return f"{title(cell.method)}{size} of {title(cell.source_model)}, read by {title(cell.target_model)}{white_box}"


def _what(threat: Threat) -> str:
    compared = {carrier: threat.cloaked[carrier] for carrier in PICTURES if carrier in threat.cloaked} or threat.cloaked
    figures = [
        f"{PEOPLE[carrier]} {'are missed ' if place == 0 else ''}in {span([result.psr])}"
        for place, (carrier, result) in enumerate(compared.items())
    ]
    return f"{', '.join(figures)}: {_verdict(compared)}{''.join(_further(threat))}"


def _verdict(compared: Mapping[Carrier, CellResult]) -> str:
    shown = [carrier for carrier, result in compared.items() if protects(result)]
    others = [carrier for carrier in compared if carrier not in shown]
    if not others:
        return f"protects {'both' if len(shown) > 1 else 'them'}."
    without_noise = all(result.minus_noise is None for result in compared.values())
    why = "; the run has no noise of its size to compare with" if without_noise else ""
    if not shown:
        return f"{'not shown to protect either' if len(others) > 1 else 'not shown to protect them'}{why}."
    return f"protects {_pictures(shown)}; not shown to protect {_pictures(others)}{why}."


def _pictures(carriers: Sequence[Carrier]) -> str:
    return listed([PICTURES.get(carrier, PEOPLE[carrier]) for carrier in carriers])


def _further(threat: Threat) -> Iterator[str]:
    """Who was not enrolled, and how much is left of it where copies of others wear the cloak, too."""
    missing = threat.not_enrolled
    if missing is not None and missing.successes:
        yield f" Not enrolled, and counted as missed: {span([missing])}, in whose photos no face was found."
    gallery, adaptive = (threat.cloaked.get(carrier) for carrier in (Carrier.GALLERY, Carrier.ADAPTIVE))
    if gallery is None or adaptive is None:
        return
    left = f" Among cloaked copies of others {span([adaptive.psr])} are missed"
    if protects(gallery) and gallery.minus_control is not None and adaptive.minus_control is not None:
        before, after = gallery.minus_control, adaptive.minus_control
        left += (
            f": of {signed(before.points)} points [{limits(before.interval)}] over the control "
            f"{signed(after.points)} [{limits(after.interval)}] are left"
        )
    yield f"{left}."
