"""What is asked: which budgets are tried, who is asked while a cloak is searched, and who only at the end. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.errors import InputError
from orchestrator.experiment.condition import CHAIN, Condition
from orchestrator.experiment.grid import ENSEMBLE
from orchestrator.experiment.region import Region

# Levels. Each is about a third more than the one before: a cloak is seen by how many times larger it is.
LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)


@dataclass(frozen=True)
class Recognizers:
    """Who is asked, and when. No name is in both."""

    asked: tuple[str, ...]  # while a cloak is searched
    held_out: tuple[str, ...]  # once, about the cloak that was found
    sources: tuple[str, ...]  # of those that are asked, the ones that the cloak is made with

    @property
    def source_model(self) -> str:
        """The source model, or the ensemble, by its name on the wire."""
        return ENSEMBLE.join(sorted(self.sources))


def budgets_up_to(max_epsilon: int) -> tuple[int, ...]:
    """The budgets that are tried, ascending, in levels; the largest is the maximum itself."""
    return (*(budget for budget in LADDER if budget < max_epsilon), max_epsilon)


def divide(
    names: Collection[str], *, can_craft: Collection[str], held_out: Collection[str] | None, seed: int
) -> Recognizers:
    """Holds out half of the recognizers, rounded down, by the seed; or those that are named.

    Args:
        names: of all recognizers.
        can_craft: those with which a protector can make a cloak in a whole photo.
        held_out: those to be held out; None draws them, and leaves one among the others that can craft.
        seed: of the draw.

    Raises:
        InputError: nobody is left to ask, or nobody who is asked can craft, or a name is unknown.
    """
    if held_out is not None:
        unknown = sorted(set(held_out) - set(names))
        if unknown:
            raise InputError(f"--held-out: expected recognizers among {', '.join(sorted(names))}, got {unknown[0]}")
        out = set(held_out)
    else:
        out = _drawn(names, can_craft=can_craft, seed=seed)
    asked = tuple(sorted(set(names) - out))
    if not asked:
        raise InputError("--held-out: expected at least one recognizer that is asked while the cloak is searched, got none")
    sources = tuple(name for name in asked if name in can_craft)
    if not sources:
        known = ", ".join(sorted(can_craft)) or "none"
        raise InputError(
            f"--recognizers: expected one that is asked and that the protector can make cloaks of photos with ({known}), "
            f"got {', '.join(asked)}"
        )
    return Recognizers(asked, tuple(sorted(out)), sources)


def _drawn(names: Collection[str], *, can_craft: Collection[str], seed: int) -> set[str]:
    drawn = sorted(names, key=lambda name: sha256(f"{seed}\n{name}".encode()).digest())
    crafting = [name for name in drawn if name in can_craft]
    if crafting:  # the last of these is asked, whatever the draw
        drawn.remove(crafting[-1])
        drawn.append(crafting[-1])
    return set(drawn[: len(drawn) // 2])


def stored_as(conditions: Sequence[Condition]) -> Condition:
    """The condition of the file that is written: the storage of all the others, and nothing after it.

    Raises:
        InputError: they do not share a JPEG storage, or one is not about a probe in whose photo a face is looked for.
    """
    for each in conditions:
        if each.region is Region.FULL or each.carrier.enrols:
            raise InputError(
                f"--conditions: {each}: expected a storage and transforms alone: a face is looked for in a whole photo, and "
                "--carrier says which pictures wear the cloak"
            )
    storages = sorted({str(each.storage) for each in conditions})
    if len(storages) > 1 or conditions[0].storage.jpeg_quality is None:
        raise InputError(
            "--conditions: expected the same storage jpeg:QUALITY in all of them, as the cloaked photo is one file, as in "
            f"jpeg:95,jpeg:95{CHAIN}resize:1080; got {', '.join(storages)}"
        )
    return Condition(conditions[0].storage)
