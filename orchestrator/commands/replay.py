"""`orchestrator replay`: shows the cloaks that a run kept to another invader, or under other conditions."""

from dataclasses import dataclass
from pathlib import Path

import click

from command_line.options import PathOption
from orchestrator.cloaks.kept import KeptCloaks
from orchestrator.commands.options import conditions_of, option, takes
from orchestrator.commands.running import RunOptions, run_and_show
from orchestrator.errors import InputError
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import ELSEWHERE
from orchestrator.experiment.placement import Placement
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.data_sets import read_data_set
from orchestrator.faces.pairs import PairList, read_pairs
from orchestrator.faces.synthetic import synthetic_faces_of
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.session.planning import GalleryRequest, replay_request
from orchestrator.store.store import Store


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(RunOptions):
    """What a replay is asked for."""

    conditions: tuple[Condition, ...] | None = option(
        multiple=True,
        callback=conditions_of,
        metavar="CONDITION,...",
        help="What happens to a picture on its way, as of evaluate.  [default: those of RUN]",
    )
    faces: str | None = option(
        help="Data set of RUN, of which its gallery is made again, and into whose photos cloaks of --placement photo are "
        "pasted.  [default: its synthetic people, or no gallery]"
    )

    def gallery_of(self, kept: KeptCloaks) -> GalleryRequest | None:
        """The gallery of a run, made again where its data set is at hand.

        Raises:
            InputError: `--faces` is not the run's data set, or options contradict each other.
        """
        if kept.has_pairs:
            raise InputError("--pairs: expected the list of pairs that RUN was made with, or another, got none")
        faces = self._faces_of(kept)
        if kept.placement is Placement.PHOTO:
            if faces is None:
                raise InputError("--faces: expected the data set of RUN, whose cloaks are parts of its photos, got none")
            kept.in_photos_of(faces)
        sizes = None if faces is None else kept.gallery
        searched = kept.faces if kept.grid.source_models == (ELSEWHERE,) else None
        return self.gallery(faces or kept.faces, sizes, seed=kept.seed, searched=searched, is_default=True)

    def pairs_of(self, kept: KeptCloaks) -> tuple[PairList, GalleryRequest]:
        """The list of pairs, and the gallery of its references.

        Raises:
            InputError: the list or the data set cannot be used, or options contradict each other.
        """
        assert self.pairs is not None, "a list was given"
        if self.faces is None:
            raise InputError("--pairs: expected --faces beside it, the data set that the list is of, got none")
        faces = read_data_set(self.faces)
        if kept.placement is Placement.PHOTO:
            kept.in_photos_of(self._checked(kept, faces))
        pairs = read_pairs(self.pairs, faces)
        return pairs, self.gallery_of_pairs(pairs, faces)

    def _faces_of(self, kept: KeptCloaks) -> DataSet | None:
        """The data set of a run with a gallery, or with cloaks in whole photos; None where it is not at hand."""
        card = kept.faces.card()
        is_needed = kept.gallery is not None or kept.placement is Placement.PHOTO
        if self.faces is not None:
            if not is_needed:
                raise InputError("--faces: expected a RUN with a gallery, or with cloaks in whole photos, got one without")
            return self._checked(kept, read_data_set(self.faces))
        if not is_needed or not kept.faces.synthetic:
            return None
        people = synthetic_faces_of(card)
        return people if dict(people.card()) == card else None  # another version renders other faces

    def _checked(self, kept: KeptCloaks, faces: DataSet) -> DataSet:
        card = kept.faces.card()
        if dict(faces.card()) != card:
            raise InputError(f"--faces: expected the data set of RUN, {card}, got another: {dict(faces.card())}")
        return faces


@click.command(name="replay")
@click.argument("run_to_replay", type=PathOption(), metavar="RUN")
@takes(ReplayOptions)
def replay_command(options: ReplayOptions, *, run_to_replay: Path) -> None:
    """Show the cloaks that RUN kept to another invader, or under other conditions.

    No protector is asked. It is a run of its own, whose manifest names RUN. The invader is oblivious: the cloaks were made
    without regard to it. Exit status as of evaluate.
    """
    kept = _kept_cloaks(run_to_replay, options.store)
    pairs, gallery = options.pairs_of(kept) if options.pairs is not None else (None, options.gallery_of(kept))
    run_and_show(options, replay_request(kept, options.conditions, options.target_models, gallery, pairs), kept)


def _kept_cloaks(root: Path, store: str | None) -> KeptCloaks:
    run = read_run(root, offered=store)
    return KeptCloaks(RunFolder(root), run.manifest, run.grid, Store(run.store, run=run.digest, create=False))
