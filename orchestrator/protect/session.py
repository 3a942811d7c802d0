"""Both services, while one person's question is asked: they alone are sent photos."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.experiment.grid import FEATURES, is_control, network_of
from orchestrator.experiment.model import Model
from orchestrator.experiment.placement import Placement
from orchestrator.faces.data_set import Photo, drawn_photos, printable
from orchestrator.outages import OUTAGE_TIMEOUT_SECONDS
from orchestrator.protect.cloaker import Cloaker
from orchestrator.protect.oracle import Oracle
from orchestrator.protect.plan import budgets_up_to
from orchestrator.protect.request import ProtectRequest, Said
from orchestrator.run_folder.galleries import gallery_folders
from orchestrator.services.endpoint import EndpointSpec, endpoint
from orchestrator.services.galleries import NOBODY, LastingGallery
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from orchestrator.services.recovery import RecoveryGate
from orchestrator.services.retries import RetryPolicy, once_more

YOU = "you"  # the person, in galleries and on the page
ALL = "all"  # in place of the names of classifiers whose features are compared


@dataclass(frozen=True)
class Session:
    """Both services, while they are there."""

    request: ProtectRequest
    cloaker: Cloaker
    oracle: Oracle
    protector_models: Mapping[str, Model]
    invader_models: Mapping[str, Model]
    said: Said
    person: str
    invader_base: LastingGallery | None  # the strangers; None: the service's own gallery has them
    protector_base: LastingGallery | None
    remarks: list[str] = field(default_factory=list)

    def known_to_invader(self, enrolled: Mapping[str, Sequence[bytes]]) -> LastingGallery:
        """These people among the strangers, where cloaks are read."""
        return _among(self.oracle.invader, enrolled, self.invader_base)

    def known_to_protector(self, enrolled: Mapping[str, Sequence[bytes]]) -> LastingGallery:
        """These people among the strangers, where cloaks are made."""
        return _among(self.cloaker.protector, enrolled, self.protector_base)


def _among(
    client: ProtectorClient | InvaderClient, enrolled: Mapping[str, Sequence[bytes]], base: LastingGallery | None
) -> LastingGallery:
    return LastingGallery(client.galleries, enrolled, base=base)


@asynccontextmanager
async def open_session(
    request: ProtectRequest, protector: EndpointSpec, invader: EndpointSpec, said: Said
) -> AsyncIterator[Session]:
    """Both services while the context lasts: started with the strangers, or running ones, with whom these are enrolled.

    Raises:
        InputError: one lacks what is needed.
        OrchestratorError: one cannot be started, or does not answer.
    """
    person = YOU
    while person in request.strangers.identities:
        person += "."
    async with AsyncExitStack() as stack:
        try:
            root = Path(stack.enter_context(TemporaryDirectory(prefix="protect-", ignore_cleanup_errors=True)))
        except OSError as error:
            raise OrchestratorError(f"no folder for temporary files can be made: {error.strerror or error}") from error
        folders = stack.enter_context(gallery_folders(root))
        strangers = [next(drawn_photos(request.strangers, name, seed=0)) for name in sorted(request.strangers.identities)]
        specs = [protector, invader]
        if any(spec.address is None for spec in specs):
            said.status(f"enrolling {len(strangers)} strangers")
            for photo in strangers:
                await asyncio.to_thread(folders.write, folders.enrolled, photo)
            arguments = ("--gallery", str(folders.enrolled), *_matchers(request.recognizers, specs))
            specs = [spec if spec.address is not None else replace(spec, arguments=arguments) for spec in specs]
        said.status("starting the services" if any(spec.address is None for spec in specs) else "connecting")

        def enrolling(done: int, of: int) -> None:
            said.status(f"enrolling strangers: {done} of {of}")

        at = await asyncio.gather(
            *(
                stack.enter_async_context(
                    endpoint(spec, log=root / f"{spec.kind}.log", note=said.note, on_enrolling=enrolling)
                )
                for spec in specs
            )
        )
        protector_client = ProtectorClient(at[0].address, tls=specs[0].tls_in_use, tls_name=specs[0].tls_name)
        stack.push_async_callback(protector_client.close)
        invader_client = InvaderClient(at[1].address, tls=specs[1].tls_in_use, tls_name=specs[1].tls_name)
        stack.push_async_callback(invader_client.close)
        protector_models = await once_more(protector_client.models)
        invader_models = await once_more(invader_client.models)
        await _check_services(request, protector_client, invader_client)
        bases: list[LastingGallery | None] = [None, None]
        if any(spec.address is not None for spec in specs):
            enrolled = {printable(photo.identity): [_read(photo)] for photo in strangers}
            for number, galleries in enumerate((protector_client.galleries, invader_client.galleries)):
                if specs[number].address is not None:
                    lasting = LastingGallery(galleries, enrolled, beginning=NOBODY)
                    bases[number] = await stack.enter_async_context(lasting)
        yield Session(
            request,
            Cloaker(protector_client, _retries(protector_client, protector_models, at[0].ended, said), request.seed),
            Oracle(invader_client, _retries(invader_client, invader_models, at[1].ended, said)),
            protector_models,
            invader_models,
            said,
            person,
            protector_base=bases[0],
            invader_base=bases[1],
        )


def _read(photo: Photo) -> bytes:
    try:
        return photo.read()
    except OSError as error:
        raise InputError(f"--strangers: {photo.name}: cannot be read: {error.strerror or error}") from error


def _matchers(recognizers: tuple[str, ...] | None, specs: Sequence[EndpointSpec]) -> tuple[str, ...]:
    """What makes started services offer the features of classifiers, where these are asked for."""
    if recognizers is None:
        return ("--matchers", ALL) if any(spec.checkpoints is not None for spec in specs) else ()
    classifiers = [network_of(name) for name in recognizers if name.endswith(FEATURES)]
    return ("--matchers", ",".join(classifiers)) if classifiers else ()


def _retries(
    client: ProtectorClient | InvaderClient, models: Mapping[str, Model], ended: Callable[[], str | None], said: Said
) -> RetryPolicy:
    check = partial(client.check_unchanged, models)
    gate = RecoveryGate(client.name, check=check, outage_timeout=OUTAGE_TIMEOUT_SECONDS, note=said.note, ended=ended)
    return RetryPolicy(gate, outage_timeout=OUTAGE_TIMEOUT_SECONDS, note=said.note)


async def _check_services(request: ProtectRequest, protector: ProtectorClient, invader: InvaderClient) -> None:
    """Asks the services for what a search needs.

    Raises:
        InputError: one lacks something.
    """
    for client in (protector, invader):
        if not client.enrols:
            raise InputError(
                f"the {client.name} enrols no photos of clients, so that it cannot know you: start it with --gallery DIR "
                "and without --client-galleries 0, or leave --protector and --invader out"
            )
    if Placement.PHOTO not in protector.placements:
        raise InputError(f"the {protector.name} makes no cloaks in whole photos, only of crops")
    methods = await once_more(partial(protector.methods, budgets_up_to(request.max_epsilon)))
    usable = sorted(name for name, each in methods.items() if each.own_budget is None and not is_control(name))
    if request.method not in usable:
        raise InputError(f"--method: expected a method with a budget in levels ({', '.join(usable)}), got {request.method}")
