"""Finds the identities of a data set in the label sets of models, and explains where they are missing.

A file system may keep a name in another Unicode normal form than a label set: macOS's HFS+ keeps é as two characters.
Services compare code points, so a run spells an identity as the label sets do.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

from orchestrator.faces.data_set import DataSet, canonical, named, printable

NAMES_SHOWN = 3
MAX_COMPARED = 10_000  # labels, for the nearest to a name: each comparison takes microseconds

LabelSets = Mapping[str, Collection[str]]  # by model, as a message calls it


@dataclass(frozen=True)
class Matched:
    """A data set whose identities are spelt as in the label sets, where these agree."""

    faces: DataSet
    known: frozenset[str]  # labels of identities that every label set has
    unknown: tuple[str, ...]  # identities that are missing in some label set, sorted
    differing: tuple[str, ...]  # identities that label sets spell in different ways, sorted


def match(faces: DataSet, label_sets: Iterable[Collection[str]]) -> Matched:
    """Finds the label of each identity of a data set, whatever its Unicode normal form."""
    distinct = {id(labels): labels for labels in label_sets}  # models often share one
    spellings = [_spellings(labels, of=faces.identities) for labels in distinct.values()]
    agreed: dict[str, str] = {}
    unknown, differing = [], []
    for identity in sorted(faces.identities):
        found = [of_set.get(identity, frozenset()) for of_set in spellings]
        if not all(found):
            unknown.append(identity)
        elif len(labels := frozenset().union(*found)) == 1:
            (agreed[identity],) = labels
        else:
            differing.append(identity)
    return Matched(faces.spelt(agreed), frozenset(agreed.values()), tuple(unknown), tuple(differing))


def _spellings(labels: Iterable[str], *, of: Collection[str]) -> dict[str, frozenset[str]]:
    """How a label set spells each identity: in several ways where labels differ only in their normal form."""
    found: dict[str, frozenset[str]] = {}
    for label in labels:
        if (identity := canonical(label)) in of:
            found[identity] = found.get(identity, frozenset()) | {label}
    return found


def whom_models_know(faces: DataSet, label_sets: LabelSets) -> str:
    """Why no identity of a data set is known to every model: whom each model knows, and which names are similar."""
    together: dict[int, list[str]] = {}
    for model, labels in label_sets.items():
        together.setdefault(id(labels), []).append(model)
    sentences = []
    for models in together.values():
        labels = label_sets[models[0]]
        shared = sorted(faces.identities.intersection(map(canonical, labels)))
        subject = f"{', '.join(models)} {'know' if len(models) > 1 else 'knows'}"
        if shared:
            sentences.append(f"{subject} {len(shared)} of them ({named(shared, at_most=NAMES_SHOWN)})")
        else:
            near = [f"{printable(name)} is nearly {label}" for name, label in islice(_alike(faces, labels), NAMES_SHOWN)]
            sentences.append(
                f"{subject} none of them, but {len(labels)} others ({named(sorted(labels), at_most=NAMES_SHOWN)})"
                + (f"; {', '.join(near)}: names have to be the same, letter by letter" if near else "")
            )
    return "; ".join(sentences)


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion for the end of a message about an unknown name; empty where no known name is similar."""
    near = get_close_matches(name, list(islice(known, MAX_COMPARED)), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _alike(faces: DataSet, labels: Collection[str]) -> Iterator[tuple[str, str]]:
    """Identities with labels that differ only in case, accents and separators of words, or else with similar labels."""
    folded = {_folded(label): label for label in labels}
    names = sorted(faces.identities)
    exact = [(name, folded[key]) for name in names if (key := _folded(name)) in folded]
    yield from exact
    compared = list(islice(folded, MAX_COMPARED))
    for name in names[:NAMES_SHOWN] if not exact else ():
        yield from ((name, folded[key]) for key in get_close_matches(_folded(name), compared, n=1, cutoff=0.8))


def _folded(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in decomposed if letter.isalnum()) or name
