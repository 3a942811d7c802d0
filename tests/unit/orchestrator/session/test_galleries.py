"""What services that are started are told of galleries; those that run are told nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.experiment.grid import MODELS
from orchestrator.faces.data_set import Photo
from orchestrator.faces.folder import FaceFolder
from orchestrator.faces.split import Split, SplitSizes
from orchestrator.run_folder.galleries import left_galleries
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.galleries import given_galleries
from orchestrator.session.planning import GalleryRequest, RunRequest

ADA, EVE = (Photo(name, "1.jpg", name.encode) for name in ("ada", "eve"))
SPLIT = Split(SplitSizes(1, 0, 1), FaceFolder(Path("faces"), {}, (), {}), {"ada": (ADA,)}, {"eve": (EVE,)}, (), ())
PROTECTOR, INVADER = EndpointSpec("protector", None, None), EndpointSpec("invader", None, None)
RUNNING = EndpointSpec("invader", "localhost:1", None)


Names = tuple[str, ...] | None


def request(gallery: GalleryRequest | None, *, sources: Names = None, targets: Names = None) -> RunRequest:
    return RunRequest(SPLIT.faces, sources, targets, ("bim",), (4,), None, None, 0, gallery=gallery)


def stated(arguments: Sequence[str]) -> dict[str, str]:
    assert len(arguments) % 2 == 0
    return dict(zip(arguments[::2], arguments[1::2], strict=True))


async def test_a_started_invader_enrols_the_photos_and_calibrates_its_thresholds(tmp_path: Path) -> None:
    gallery = GalleryRequest(SPLIT, False, ("facenet",), ("fpir:0.1", "fmr:0.01"))
    written: list[tuple[int, int]] = []
    asked = request(gallery, targets=("senet50-features", "facenet-features", "facenet"))
    async with given_galleries(asked, PROTECTOR, INVADER, root=tmp_path, on_written=lambda *each: written.append(each)) as (
        protector,
        invader,
    ):
        assert protector == PROTECTOR, "the default source models are no matchers"
        arguments = stated(invader.arguments)
        assert arguments.keys() == {"--gallery", "--impostors", "--thresholds", "--matchers"}
        assert (arguments["--matchers"], arguments["--thresholds"]) == ("facenet,senet50", "fpir:0.1,fmr:0.01")
        assert (Path(arguments["--gallery"]) / ADA.key).read_bytes() == b"ada"
        assert (Path(arguments["--impostors"]) / EVE.key).read_bytes() == b"eve"
    assert written == [(1, 2), (2, 2)]
    assert left_galleries(tmp_path) == []


async def test_a_photo_that_cannot_be_read_is_the_error_whatever_is_written_beside_it(tmp_path: Path) -> None:
    def gone() -> bytes:
        raise FileNotFoundError(2, "No such file or directory", "bob/1.jpg")

    split = replace(SPLIT, enrolled={"ada": (ADA,), "bob": (Photo("bob", "1.jpg", gone),), "eve": (EVE,)})
    with pytest.raises(OrchestratorError, match=r"bob/1\.jpg: the gallery cannot be made: No such file or directory"):
        async with given_galleries(request(GalleryRequest(split)), PROTECTOR, INVADER, root=tmp_path):
            pass
    assert left_galleries(tmp_path) == []


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        (None, False),
        (MODELS, False),
        (("facenet", "facenet+senet50", "compact-senet"), False),
        (("facenet", "dlib"), True),
        (("facenet+resnet50-features",), True),
    ],
)
async def test_a_started_protector_is_told_where_a_source_model_may_be_a_matcher(
    tmp_path: Path, sources: tuple[str, ...] | None, told: bool
) -> None:
    asked = request(GalleryRequest(SPLIT), sources=sources)
    async with given_galleries(asked, PROTECTOR, RUNNING, root=tmp_path) as (protector, _):
        assert isinstance(protector, EndpointSpec)
        arguments = stated(protector.arguments)
        assert ("--gallery" in arguments) is told
        assert arguments.get("--matchers") == ("resnet50" if sources == ("facenet+resnet50-features",) else None)
        assert "--impostors" not in arguments
        assert bool(left_galleries(tmp_path)) is told, "nothing is written for services that run"


async def test_without_a_gallery_nobody_is_told_anything(tmp_path: Path) -> None:
    async with given_galleries(request(None, sources=("dlib",)), PROTECTOR, INVADER, root=tmp_path) as services:
        assert services == (PROTECTOR, INVADER)


async def test_impostors_are_of_no_use_without_a_threshold(tmp_path: Path) -> None:
    async with given_galleries(request(GalleryRequest(SPLIT)), PROTECTOR, INVADER, root=tmp_path) as (_, invader):
        assert stated(invader.arguments).keys() == {"--gallery"}
