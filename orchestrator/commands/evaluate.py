"""`orchestrator evaluate`: runs the grid, and prints PSR."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource

from command_line.options import CommaList, PathOption
from orchestrator.cloaks.finished import read_finished_cloaks
from orchestrator.cloaks.source import CloakSource
from orchestrator.commands import interruption
from orchestrator.commands.console import console
from orchestrator.commands.options import ADDRESSES, TLS_NAME, SourceModel, conditions_of, option, takes
from orchestrator.commands.running import RunOptions, run_and_show
from orchestrator.errors import InputError
from orchestrator.experiment.condition import Condition
from orchestrator.experiment.grid import (
    ELSEWHERE,
    EMBEDDED_MODELS,
    EPSILONS,
    KS,
    METHODS,
    MODELS,
    is_control,
    members,
)
from orchestrator.experiment.placement import Placement
from orchestrator.experiment.plan import SUBJECTS
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.data_sets import read_data_set
from orchestrator.faces.pairs import PairedProbes, PairList, read_pairs
from orchestrator.faces.split import DEFAULT_NON_MATED, DEFAULT_PHOTOS, MIN_PEOPLE, SplitSizes, default_sizes
from orchestrator.faces.synthetic import PREFIX
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.dry_run import dry_run
from orchestrator.session.planning import MAX_CLOAK_BYTES, PAIRS_KS, GalleryRequest, RunRequest

# Options without a use beside --pairs, and beside --cloaks.
OF_A_GALLERY = ("gallery_photos", "clean_gallery_photos", "non_mated", "impostors")
OF_A_PROTECTOR = ("protector", "protector_checkpoints", "source_models", "epsilons", "placement")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(RunOptions):
    """What an evaluation is asked for."""

    faces: str = option(
        default=PREFIX,
        help="Data set: a folder of identity folders, or synthetic people: synthetic:identities=300,photographs=4,seed=0.",
    )
    cloaks: Path | None = option(
        type=PathOption(),
        help="In place of a protector, a folder METHOD/IDENTITY/PHOTO of pictures that other tools made of the photos of "
        "--faces.",
    )
    names: Path | None = option(
        type=PathOption(),
        help="CSV table of the files of --cloaks: method, identity, photo, cloak; where the layout is another.",
    )
    protector: str | None = option(envvar="DEID_ORCHESTRATOR_PROTECTOR", help=f"A running protector: {ADDRESSES}")
    protector_tls_name: str | None = option(envvar="DEID_ORCHESTRATOR_PROTECTOR_TLS_NAME", help=TLS_NAME)
    protector_checkpoints: Path | None = option(
        type=PathOption(), help="Start a protector with this folder.  [default: the embedded recognizers]"
    )
    subjects: int | None = option(
        type=click.IntRange(1),
        help=f"Number of subjects, N; one photo each. With --until-halfwidth the most.  [default: {SUBJECTS}, or all]",
    )
    until_halfwidth: float | None = option(
        type=float,
        metavar="POINTS",
        help="Draw subjects until the 95 % interval of every PSR is at most ± so many points; at most 50.",
    )
    seed: int = option(type=click.IntRange(0, 2**63 - 1), default=0, help="Of the draw and of the noise control.")
    source_models: tuple[str, ...] | None = option(
        type=CommaList(SourceModel(), name="model"),
        help="Models that craft; a+b is an ensemble, in any order.  [default: the paper's three, or the embedded "
        "three, or all that the protector has]",
    )
    methods: tuple[str, ...] | None = option(
        type=CommaList(click.STRING, name="method"),
        help=f"Methods, beside both controls.  [default: {','.join(METHODS)}, or all of --cloaks]",
    )
    epsilons: tuple[int, ...] | None = option(
        type=CommaList(click.IntRange(1, 255), name="epsilon"),
        help=f"Noise budgets, in levels of 0..255.  [default: {','.join(map(str, EPSILONS))}]",
    )
    placement: str = option(
        type=click.Choice([each.value for each in Placement]),
        default=Placement.CROP.value,
        help="What cloaks are of: the face crop at the source model's input size, as in the paper; or the photo at its own "
        "size, of which the box of the face changes.",
    )
    ks: tuple[int, ...] | None = option(
        "--k",
        type=CommaList(click.IntRange(1), name="k"),
        help=f"PSR@k.  [default: {','.join(map(str, KS))}, as far as the invader discloses so many candidates]",
    )
    conditions: tuple[Condition, ...] | None = option(
        multiple=True,
        callback=conditions_of,
        metavar="CONDITION,...",
        help="What happens to a picture on its way: jpeg:QUALITY, png, or as-is, which leaves the files of --cloaks as they "
        "are; then +TRANSFORM as often as wanted: resize:SIDE, jpeg:QUALITY, webp:QUALITY, blur:SIGMA, median:SIZE, bits:N; "
        "then @full where target models see the whole picture; then /gallery where cloaks are enrolled and not searched, or "
        "/both, or /adaptive, where cloaks of the other subjects are enrolled beside their photos. Or a named set: paper "
        "(jpeg:95,jpeg:95@full,png), threat (jpeg:95, and with each of these carriers), purification, platforms.  [default: "
        "paper, as far as all target models have its regions; of whole photos jpeg:95]",
    )

    gallery_photos: int | None = option(
        type=click.IntRange(0),
        help="Photos of each identity that a started invader enrols, beside the one that is searched; 0 for no gallery.  "
        f"[default: {DEFAULT_PHOTOS} of synthetic people if a matcher is asked for by name, else 0]",
    )
    clean_gallery_photos: int = option(
        type=click.IntRange(0),
        default=0,
        help="Of a subject's enrolled photos, those that stay as they are where cloaks of the others are enrolled.",
    )
    non_mated: int | None = option(
        type=click.IntRange(0),
        help="Identities that are searched and not enrolled, for FPIR.  "
        f"[default: {DEFAULT_NON_MATED} of {MIN_PEOPLE} synthetic people, if others are enrolled, else 0]",
    )
    impostors: int = option(
        type=click.IntRange(0),
        default=0,
        help="Identities that --thresholds are calibrated on; neither enrolled nor searched.",
    )
    dry_run: bool = option(is_flag=True, help="Say what the run would take, and make nothing of it.")

    def request(self) -> tuple[RunRequest, EndpointSpec | CloakSource]:
        """What the run is to be, and what is asked for cloaks.

        Raises:
            InputError: it cannot be.
        """
        if self.names is not None and self.cloaks is None:
            raise InputError("--names: expected --cloaks beside it, the folder that its paths are of")
        controls = [method for method in self.methods or () if is_control(method)]
        if controls:
            raise InputError(f"--methods: expected methods beside the controls, which every run has; got {controls[0]}")
        asked = partial(
            RunRequest,
            target_models=self.target_models,
            ks=self.ks,
            conditions=self.conditions,
            subjects=self.subjects,
            seed=self.seed,
            until_halfwidth=self.until_halfwidth,
        )
        faces = read_data_set(self.faces)
        pairs = self._pairs(faces)
        if pairs is not None:
            asked = partial(asked, pairs=pairs, usual_ks=PAIRS_KS)
        if self.cloaks is not None:
            return self._of_finished_cloaks(self.cloaks, faces, asked, pairs)
        placement = Placement(self.placement)
        request = asked(
            faces=faces if pairs is None else PairedProbes(faces, pairs),
            gallery=self._gallery(faces) if pairs is None else self.gallery_of_pairs(pairs, faces),
            source_models=self.source_models,
            methods=self.methods or METHODS,
            epsilons=self.epsilons or EPSILONS,
            max_cloak_bytes=MAX_CLOAK_BYTES[placement],
            placement=placement,
        )
        return request, self._protector_endpoint()

    def _pairs(self, faces: DataSet) -> PairList | None:
        """The list of pairs, if there is one.

        Raises:
            InputError: it is none, or stands beside options that say who is enrolled.
        """
        if self.pairs is None:
            return None
        for name in OF_A_GALLERY:
            if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise InputError(
                    f"--{name.replace('_', '-')}: expected none beside --pairs: the list says who is compared with whom, "
                    f"and on whom thresholds are calibrated"
                )
        return read_pairs(self.pairs, faces)

    def _gallery(self, faces: DataSet, *, searched: DataSet | None = None) -> GalleryRequest | None:
        sizes = self._sizes(faces)
        unsaid = (self.gallery_photos, self.non_mated, self.impostors, self.matchers, self.thresholds)
        is_default = unsaid == (None, None, 0, (), ())
        enrols = any(condition.carrier.enrols for condition in self.conditions or ())
        if is_default and not enrols and not self._names_others_than_known_classifiers():
            return None
        return self.gallery(faces, sizes, seed=self.seed, searched=searched, is_default=is_default)

    def _sizes(self, faces: DataSet) -> SplitSizes | None:
        """How people are divided; None: not at all."""
        usual = default_sizes(faces)
        photos = self.gallery_photos
        if photos is None:
            photos = 0 if usual is None else usual.photos
        if self.impostors and not self.thresholds and self.invader is None:
            raise InputError("--impostors: expected --thresholds beside it, which are calibrated on them, got none")
        if not photos:
            of_gallery = ("--non-mated", self.non_mated), ("--impostors", self.impostors)
            for flag, number in (*of_gallery, ("--clean-gallery-photos", self.clean_gallery_photos)):
                if number:
                    raise InputError(f"{flag}: expected --gallery-photos beside it, of at least 1, got none")
            return None
        non_mated = self.non_mated
        if non_mated is None:
            non_mated = 0 if usual is None else usual.non_mated
        if self.clean_gallery_photos >= photos:
            raise InputError(
                f"--clean-gallery-photos: expected fewer than the {photos} of --gallery-photos, so that some are cloaked, "
                f"got {self.clean_gallery_photos}"
            )
        return SplitSizes(photos, non_mated, self.impostors, self.clean_gallery_photos)

    def _names_others_than_known_classifiers(self) -> bool:
        """Whether a model is asked for that may be a matcher."""
        names = {*(self.target_models or ()), *(member for name in self.source_models or () for member in members(name))}
        return not names <= {*MODELS, *EMBEDDED_MODELS}

    def _of_finished_cloaks(
        self, root: Path, faces: DataSet, asked: Callable[..., RunRequest], pairs: PairList | None
    ) -> tuple[RunRequest, CloakSource]:
        for name in OF_A_PROTECTOR:  # what an environment variable says of it plays no part
            if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise InputError(
                    f"--{name.replace('_', '-')}: expected none beside --cloaks: no protector is asked for finished "
                    f"pictures, and their methods have budgets of their own"
                )
        cloaks = read_finished_cloaks(root, faces, names=self.names, methods=self.methods)
        request = asked(
            faces=cloaks.faces if pairs is None else PairedProbes(cloaks.faces, pairs),
            gallery=self._gallery(faces, searched=cloaks.faces) if pairs is None else self.gallery_of_pairs(pairs, faces),
            source_models=(ELSEWHERE,),
            methods=cloaks.compared,
            epsilons=(),
            unbudgeted=cloaks.compared,
            without_noise=cloaks.without_noise,
            missing=cloaks.remarks,
            max_cloak_bytes=cloaks.max_cloak_bytes,
        )
        return request, cloaks

    def _protector_endpoint(self) -> EndpointSpec:
        return EndpointSpec(
            "protector",
            self.protector,
            self.protector_checkpoints,
            self.precision,
            self.tls(),
            tls_name=self.protector_tls_name,
        )


@click.command(name="evaluate")
@takes(EvaluateOptions)
def evaluate_command(options: EvaluateOptions) -> None:
    """Run the paper's grid on a data set and print PSR.

    Figures, outcome and report are written before anything of them is printed. Exit status: 0 complete, 3 some cells are
    short, 2 bad input, 1 a service or the store failed, 130 interrupted by Ctrl-C (143 by SIGTERM, 129 by SIGHUP), 74 all is
    done, but standard output could not be written.
    """
    request, protector = options.request()
    if options.dry_run:
        invader, keep_cloaks = options.invader_endpoint(), not options.discard_cloaks
        interruption.run(dry_run(request, protector=protector, invader=invader, keep_cloaks=keep_cloaks, console=console()))
    else:
        run_and_show(options, request, protector)
