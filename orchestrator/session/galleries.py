"""Gives services that are started the photos that they are to enrol."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from orchestrator.cloaks.source import CloakSource
from orchestrator.errors import first_of
from orchestrator.experiment.grid import EMBEDDED_MODELS, FEATURES, MODELS, members, network_of
from orchestrator.faces.split import Split
from orchestrator.run_folder.galleries import GalleryFolders, gallery_folders
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.planning import GalleryRequest, RunRequest

ALL_CLASSIFIERS = "all"  # in place of their names


@asynccontextmanager
async def given_galleries(
    request: RunRequest,
    protector: EndpointSpec | CloakSource,
    invader: EndpointSpec,
    *,
    root: Path,
    on_written: Callable[[int, int], None] = lambda *_: None,
) -> AsyncIterator[tuple[EndpointSpec | CloakSource, EndpointSpec]]:
    """Protector and invader with the arguments that those need that are started; the photos are within `root` meanwhile.

    `on_written` is told how many photos are there, and of how many.

    Raises:
        OrchestratorError: see `GalleryFolders`.
    """
    gallery = request.gallery
    for_protector = isinstance(protector, EndpointSpec) and protector.address is None and _may_have_matcher(request)
    if gallery is None or (invader.address is not None and not for_protector):
        yield protector, invader
        return
    with gallery_folders(root) as folders:
        await _write(gallery.split, folders, on_written)
        enrolled = ("--gallery", str(folders.enrolled))
        if isinstance(protector, EndpointSpec) and for_protector:
            protector = replace(protector, arguments=(*enrolled, *_matchers(_named_features(request.source_models))))
        invader = replace(invader, arguments=(*enrolled, *_of_invader(request, gallery, folders)))
        yield protector, invader


async def _write(split: Split, folders: GalleryFolders, on_written: Callable[[int, int], None]) -> None:
    parts = (folders.enrolled, split.enrolled), (folders.impostors, split.impostors)
    photos = [(folder, photo) for folder, part in parts for of_identity in part.values() for photo in of_identity]
    left, done = iter(photos), count(1)

    async def write_on() -> None:
        for folder, photo in left:
            await asyncio.to_thread(folders.write, folder, photo)
            on_written(next(done), len(photos))

    try:
        async with asyncio.TaskGroup() as writers:  # of one photo each, so that an interruption need not wait for all
            for _ in range(os.cpu_count() or 1):  # synthetic photos are drawn, most of it outside of the interpreter's lock
                writers.create_task(write_on())
    except ExceptionGroup as errors:
        raise first_of(errors) from errors


def _may_have_matcher(request: RunRequest) -> bool:
    """Whether a source model may be one: the paper's and the embedded ones are not."""
    names = [member for name in request.source_models or () for member in members(name)]
    return not {*MODELS, *EMBEDDED_MODELS}.issuperset(names)


def _of_invader(request: RunRequest, gallery: GalleryRequest, folders: GalleryFolders) -> tuple[str, ...]:
    # Of cloaks that are enrolled it is shown, too, what the networks that they were crafted with make of them.
    if request.enrolling_conditions:
        arguments: tuple[str, ...] = ("--matchers", ALL_CLASSIFIERS)
    else:
        arguments = _matchers([*gallery.matchers, *_named_features(request.target_models)])
    if gallery.thresholds:
        arguments += ("--impostors", str(folders.impostors), "--thresholds", ",".join(gallery.thresholds))
    if gallery.given_thresholds:
        arguments += ("--given-thresholds", ",".join(gallery.given_thresholds))
    return arguments


def _named_features(models: tuple[str, ...] | None) -> list[str]:
    """The classifiers whose features are asked for as matchers of their own."""
    names = [member for name in models or () for member in members(name)]
    return [network_of(name) for name in names if name.endswith(FEATURES)]


def _matchers(classifiers: list[str]) -> tuple[str, ...]:
    return ("--matchers", ",".join(dict.fromkeys(classifiers))) if classifiers else ()
