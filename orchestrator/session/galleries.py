"""Gives services that are started the photos that they are to enrol."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from orchestrator.cloaks.source import CloakSource
from orchestrator.experiment.grid import EMBEDDED_MODELS, FEATURES, MODELS, members, network_of
from orchestrator.run_folder.galleries import GalleryFolders, gallery_folders
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.planning import GalleryRequest, RunRequest


@contextmanager
def given_galleries(
    request: RunRequest, protector: EndpointSpec | CloakSource, invader: EndpointSpec, *, root: Path
) -> Iterator[tuple[EndpointSpec | CloakSource, EndpointSpec]]:
    """Protector and invader with the arguments that those need that are started; the photos are within `root` meanwhile.

    Raises:
        OrchestratorError: see `gallery_folders`.
    """
    gallery = request.gallery
    for_protector = isinstance(protector, EndpointSpec) and protector.address is None and _may_have_matcher(request)
    if gallery is None or (invader.address is not None and not for_protector):
        yield protector, invader
        return
    with gallery_folders(gallery.split, root) as folders:
        enrolled = ("--gallery", str(folders.enrolled))
        if isinstance(protector, EndpointSpec) and for_protector:
            protector = replace(protector, arguments=(*enrolled, *_matchers(_named_features(request.source_models))))
        invader = replace(invader, arguments=(*enrolled, *_of_invader(request, gallery, folders)))
        yield protector, invader


def _may_have_matcher(request: RunRequest) -> bool:
    """Whether a source model may be one: the paper's and the embedded ones are not."""
    names = [member for name in request.source_models or () for member in members(name)]
    return not {*MODELS, *EMBEDDED_MODELS}.issuperset(names)


def _of_invader(request: RunRequest, gallery: GalleryRequest, folders: GalleryFolders) -> tuple[str, ...]:
    arguments = _matchers([*gallery.matchers, *_named_features(request.target_models)])
    if folders.impostors is not None and gallery.thresholds:
        arguments += ("--impostors", str(folders.impostors), "--thresholds", ",".join(gallery.thresholds))
    return arguments


def _named_features(models: tuple[str, ...] | None) -> list[str]:
    """The classifiers whose features are asked for as matchers of their own."""
    names = [member for name in models or () for member in members(name)]
    return [network_of(name) for name in names if name.endswith(FEATURES)]


def _matchers(classifiers: list[str]) -> tuple[str, ...]:
    return ("--matchers", ",".join(dict.fromkeys(classifiers))) if classifiers else ()
