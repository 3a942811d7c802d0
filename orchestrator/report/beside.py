"""Runs that stand beside another, in which one field only is otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import InputError
from orchestrator.experiment.region import Region
from orchestrator.experiment.storage import LOSSLESS
from orchestrator.report.comparison import differing
from orchestrator.report.run import Run

STORAGE, REGION = "protocol.storage", "protocol.region"
HARMLESS = {"protocol.subjects"}  # the subjects of the smaller run are the larger's first


@dataclass(frozen=True)
class Beside:
    """What a run is compared with where the paper speaks of compression and of resizing."""

    png: Run | None = None
    whole: Run | None = None


def beside(run: Run, others: Sequence[Run]) -> Beside:
    """Tells the others by what differs.

    Raises:
        InputError: one differs in something else, or in nothing, or two in the same thing.
    """
    found = Beside()
    for other in others:
        fields = differing([run, other]).keys() - HARMLESS
        if fields == {STORAGE} and other.storage == LOSSLESS and found.png is None:
            found = replace(found, png=other)
        elif fields == {REGION} and other.region == Region.FULL and found.whole is None:
            found = replace(found, whole=other)
        else:
            raise InputError(
                f"--beside: expected runs that are RUN but for --storage png or but for --region full, one of each, "
                f"got {other.root}; what differs: {', '.join(sorted(fields)) or 'nothing'}"
            )
    return found
