"""`orchestrator protect`: the smallest cloak that hides one person in a photo, and what it is worth."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from command_line.options import CommaList, PathOption
from orchestrator.commands import interruption
from orchestrator.commands.console import console
from orchestrator.commands.interruption import Interrupted
from orchestrator.commands.options import TLS_NAME, TlsOptions, conditions_of, option, takes
from orchestrator.errors import InputError
from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import NAMED_SETS, Condition
from orchestrator.faces.data_set import DataSet
from orchestrator.faces.data_sets import read_data_set
from orchestrator.protect.output import Outputs, check_absent, outputs_of, write
from orchestrator.protect.page import page
from orchestrator.protect.photo_files import read_own_photos, read_photos
from orchestrator.protect.protecting import protect
from orchestrator.protect.request import ProtectRequest, Said
from orchestrator.protect.result import Protection
from orchestrator.services.addresses import has_replicas
from orchestrator.services.endpoint import EndpointSpec

NOT_HIDDEN = 3  # exit status
METHOD = "ti-di-mi"
STRANGERS = "synthetic:identities=300,photographs=1,seed=0"
PLATFORMS = "platforms"


@dataclass(frozen=True, kw_only=True)
class ProtectOptions(TlsOptions):
    """What one person asks for."""

    me: Path | None = option(
        type=PathOption(),
        help="Folder of other photos of the same person, by which recognizers know them; at least one.  [default: the other "
        "PHOTOs, or the photo itself]",
    )
    strangers: str = option(
        default=STRANGERS,
        help="Other people among whom the person is looked for: a folder of identity folders, or synthetic people.",
    )
    recognizers: tuple[str, ...] | None = option(
        type=CommaList(click.STRING, name="recognizer"),
        help="Recognizers that are asked, such as dlib,facenet-features.  [default: dlib, and those of --checkpoints; or "
        "all matchers that --invader has]",
    )
    held_out: str | None = option(
        metavar="RECOGNIZER,...",
        help="Of these, those that no cloak is made with or chosen by, and that are asked once in the end; or none.  "
        "[default: half of them, by the seed]",
    )
    checkpoints: Path | None = option(
        type=PathOption(), help="Folder of further recognizers, for both services that are started."
    )
    k: int = option(type=click.IntRange(1), default=1, help="Answers of a recognizer among which a name counts.")
    conditions: tuple[Condition, ...] | None = option(
        multiple=True,
        callback=conditions_of,
        metavar="CONDITION,...",
        help="What happens to a photo before it is read: jpeg:QUALITY, the same in all of them, then +TRANSFORM as often as "
        f"wanted.  [default: {PLATFORMS}]",
    )
    max_epsilon: int = option(
        type=click.IntRange(1, 255), default=32, help="The largest budget that is tried, in levels of 0..255."
    )
    carrier: str = option(
        type=click.Choice([Carrier.PROBE.value, Carrier.GALLERY.value]),
        default=Carrier.PROBE.value,
        help="Whether a cloaked PHOTO is searched among photos of --me; or photos of --me among cloaked PHOTOs, as if these "
        "were all that is online.",
    )
    method: str = option(default=METHOD, help="Method that makes the cloaks.")
    seed: int = option(type=click.IntRange(0, 2**63 - 1), default=0, help="Of who is held out, and of the method.")
    same_person: bool = option(is_flag=True, help="Take photos of --me that look like somebody else's all the same.")
    out: Path | None = option(
        type=PathOption(), help="Folder for the cloaked photos and the page.  [default: that of each PHOTO]"
    )
    overwrite: bool = option(is_flag=True, help="Replace files that are there already.")
    precision: str = option(
        type=click.Choice(["auto", "float32", "bfloat16"]),
        default="float32",
        help="What the networks of started services compute in.",
    )
    protector: str | None = option(help="A running protector, host:port, in place of one that is started.")
    protector_tls_name: str | None = option(help=TLS_NAME)
    invader: str | None = option(help="A running invader, host:port, in place of one that is started.")
    invader_tls_name: str | None = option(help=TLS_NAME)

    def services(self) -> tuple[EndpointSpec, EndpointSpec]:
        """Protector and invader.

        Raises:
            InputError: options contradict each other.
        """
        tls = self.tls()
        specs = []
        for kind, address, tls_name in (
            ("protector", self.protector, self.protector_tls_name),
            ("invader", self.invader, self.invader_tls_name),
        ):
            if address is not None and has_replicas(address):
                raise InputError(f"--{kind}: expected one address, host:port, got {address}")
            checkpoints = self.checkpoints if address is None else None
            specs.append(EndpointSpec(kind, address, checkpoints, self.precision, tls, tls_name=tls_name))
        if self.checkpoints is not None and None not in (self.protector, self.invader):
            raise InputError("--checkpoints: expected a service that is started, got --protector and --invader")
        return specs[0], specs[1]

    def request(self, paths: tuple[Path, ...]) -> ProtectRequest:
        """What is asked, with all photos read.

        Raises:
            InputError: a photo cannot be used.
        """
        photos = read_photos(paths, option="PHOTO")
        return ProtectRequest(
            photos=photos,
            own=None if self.me is None else read_own_photos(self.me, besides=photos),
            strangers=self._strangers(),
            recognizers=self.recognizers,
            held_out=self._held_out(),
            carrier=Carrier(self.carrier),
            k=self.k,
            conditions=self.conditions or NAMED_SETS[PLATFORMS],
            max_epsilon=self.max_epsilon,
            method=self.method,
            seed=self.seed,
            same_person=self.same_person,
        )

    def _strangers(self) -> DataSet:
        try:
            return read_data_set(self.strangers)
        except InputError as error:
            raise InputError(str(error).replace("--faces", "--strangers")) from error

    def _held_out(self) -> tuple[str, ...] | None:
        if self.held_out is None:
            return None
        names = [name.strip() for name in self.held_out.split(",") if name.strip()]
        return () if names == ["none"] else tuple(dict.fromkeys(names))


@click.command(name="protect")
@click.argument("photos", metavar="PHOTO...", nargs=-1, required=True, type=PathOption())
@takes(ProtectOptions)
def protect_command(options: ProtectOptions, photos: tuple[Path, ...]) -> None:
    """Search for the smallest cloak that hides you in PHOTO, and say what it is worth.

    Writes NAME.cloaked.jpg, if one is found, and a page that shows it, NAME.cloaked.html. Photos are sent to the services
    that are started on this machine, or to those that are named, and to nothing else. Exit status: 0 a cloak was found for
    each photo, or none was needed, 3 not for each, 2 bad input, 1 a service failed, 130 interrupted by Ctrl-C; then nothing
    is written.
    """
    protector, invader = options.services()
    request, out = options.request(photos), console()
    outputs = outputs_of(photos, out=options.out, overwrite=options.overwrite)
    note = partial(out.print, style="yellow", markup=False, highlight=False)
    try:
        with out.status("reading") as status:
            said = Said(note, lambda text: status.update(text))
            protection = interruption.run(protect(request, protector=protector, invader=invader, said=said))
    except Interrupted as signal:
        raise Interrupted(signal.number, "; nothing was written") from None
    _written(protection, outputs, overwrite=options.overwrite)
    _show(protection, outputs, out)
    if not protection.is_whole:
        raise SystemExit(NOT_HIDDEN)


def _written(protection: Protection, outputs: Outputs, *, overwrite: bool) -> None:
    """Writes the cloaked photos that were found, and the page."""
    rendered = page(protection).encode()  # first, so that all is written or nothing
    check_absent(outputs.all, overwrite=overwrite)  # somebody else may have written meanwhile
    for case in protection.cases:
        for each in case.photos:
            if each.file is not None:
                write(outputs.cloaked[each.photo.path], each.file)
    write(outputs.page, rendered)


def _show(protection: Protection, outputs: Outputs, out: Console) -> None:
    say = partial(out.print, markup=False, highlight=False, soft_wrap=not out.is_terminal)
    for remark in protection.remarks:
        say(remark, style="yellow")
    for case in protection.cases:
        verdict = case.verdict
        say("")
        say(", ".join(case.case.photos), style="bold")
        for sentence in (verdict.headline, verdict.honest, *verdict.further):
            say(sentence)
        for each in case.photos:
            if each.file is not None:
                say(f"written: {outputs.cloaked[each.photo.path]}, without metadata and colour profile")
    say("")
    for sentence in (*protection.shares, *protection.cases[0].verdict.limits):
        say(sentence)
    effort = protection.effort
    say(f"page: {outputs.page}")
    say(f"{effort.queries} pictures were shown to recognizers: {_counted(effort.searches)}")


def _counted(searches: Mapping[str, int]) -> str:
    return ", ".join(f"{count} to {name}" for name, count in sorted(searches.items()))
