"""A run whose cloaks are whole photos: the box is kept, and pasted into its photo before anything else is done to it."""

import asyncio
import io
import json
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from deid.invader.v1 import invader_pb2
from numpy.typing import NDArray
from rich.console import Console

from orchestrator.cloaks.kept import KeptCloaks
from orchestrator.commands.report import report
from orchestrator.errors import InputError, OrchestratorError, UnusableServiceError
from orchestrator.experiment.cloak import PhotoBox
from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.experiment.placement import Placement
from orchestrator.faces.folder import read_face_folder
from orchestrator.pictures.conditions import under_condition
from orchestrator.report.facts import reproduction
from orchestrator.report.run import read_run
from orchestrator.run_folder.folder import RunFolder
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.dry_run import dry_run
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import RunRequest, replay_request
from orchestrator.session.summary import RunResult
from orchestrator.store.store import Store
from rpc.images.decoding import decoded_image, encode_png
from rpc.images.limits import ImageLimits
from tests.support.bench import manifest
from tests.support.conforming import IDENTITIES, ConformingInvader, ConformingProtector, Context, Pixels
from tests.support.mutants_protector import BoxBesideTheFace

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
CONDITIONS = parse_conditions("png,jpeg:95,jpeg:95+resize:20+jpeg:75")
HEIGHT, WIDTH = 30, 41
BOX = PhotoBox(10, 7, 21, 16, WIDTH, HEIGHT)  # the half in the middle


class CountingInvader(ConformingInvader):
    budget = 100_000

    def __init__(self) -> None:
        super().__init__()
        self.pictures: Counter[bytes] = Counter()
        self.enough = asyncio.Event()
        self.cut_after = -1  # pictures

    async def Classify(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:  # noqa: N802
        self.pictures[request.image] += 1
        if self.pictures.total() == self.cut_after:
            self.enough.set()
        return await super().Classify(request, context)


@dataclass
class Setting:
    root: Path
    protector: ConformingProtector = field(default_factory=ConformingProtector)
    invader: CountingInvader = field(default_factory=CountingInvader)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(0)
        for identity in sorted(IDENTITIES)[:3]:
            photo = self.faces / identity / "0.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            photo.write_bytes(encode_png(generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)))

    @property
    def faces(self) -> Path:
        return self.root / "faces"

    def request(self, **changes: Any) -> RunRequest:
        fields: dict[str, Any] = {
            "faces": read_face_folder(self.faces),
            "source_models": ("first",),
            "target_models": ("first", "second"),
            "methods": ("bim",),
            "epsilons": (4, 32),
            "ks": (1, 3),
            "subjects": 3,
            "seed": 0,
            "conditions": CONDITIONS,
            "placement": Placement.PHOTO,
        }
        return RunRequest(**(fields | changes))

    async def run(self, name: str, **changes: Any) -> RunResult:
        request = self.request(**changes)
        async with self.protector.serving() as protector, self.invader.serving() as invader:
            return await evaluate(
                request,
                protector=EndpointSpec("protector", protector, None),
                invader=EndpointSpec("invader", invader, None),
                folder=RunFolder(self.root / name),
                keep_cloaks=True,
                subjects_in_flight=2,
                console=Console(file=io.StringIO()),
            )

    async def replay(self, of: str, name: str, *, at_hand: Path | None) -> RunResult:
        run = read_run(self.root / of)
        kept = KeptCloaks(RunFolder(run.root), run.manifest, run.grid, Store(run.store, run=run.digest, create=False))
        if at_hand is not None:
            kept.in_photos_of(read_face_folder(at_hand))
        async with self.invader.serving() as invader:
            return await evaluate(
                replay_request(kept, None, ("first", "second")),
                protector=kept,
                invader=EndpointSpec("invader", invader, None),
                folder=RunFolder(self.root / name),
                keep_cloaks=True,
                subjects_in_flight=1,
                console=Console(file=io.StringIO()),
            )

    def photo(self, name: str) -> Pixels:
        return decoded_image((self.faces / name).read_bytes(), limits=ImageLimits())

    def cloaked_photos(self, name: str) -> Counter[bytes]:
        """What is to be sent of the cloaks that a run recorded and kept, pasted by hand."""
        folder, expected = RunFolder(self.root / name), Counter[bytes]()
        with sqlite3.connect(folder.observations) as connection:
            rows = connection.execute(f"SELECT probe, cloak_sha256, {', '.join(PhotoBox._fields)} FROM cloaks").fetchall()
        for probe, digest, *box in rows:
            kept = folder.kept_cloak(digest)
            assert kept is not None
            expected.update(self.sent(probe, kept, PhotoBox(*box), CONDITIONS).values())
        return expected

    def sent(self, probe: str, kept: bytes, box: PhotoBox, conditions: tuple[Condition, ...]) -> Mapping[Condition, bytes]:
        photo = self.photo(probe).copy()
        photo[box.top : box.top + box.height, box.left : box.left + box.width] = decoded_image(kept, limits=ImageLimits())
        return {condition: under_condition(encode_png(photo), condition) for condition in conditions}


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def digests(pictures: Counter[bytes]) -> Counter[str]:
    return Counter({sha256(picture).hexdigest(): times for picture, times in pictures.items()})


async def test_what_the_invader_is_sent_is_the_photo_with_the_box_in_it_under_each_condition(setting: Setting) -> None:
    assert (await setting.run("run")).complete
    assert digests(setting.invader.pictures) == digests(setting.cloaked_photos("run"))
    with sqlite3.connect(setting.root / "run" / "observations.sqlite") as connection:
        boxes = set(connection.execute(f"SELECT {', '.join(PhotoBox._fields)} FROM cloaks"))
    assert boxes == {tuple(BOX)}


async def test_outside_the_box_the_photo_is_what_it_was_and_within_it_keeps_the_budget(setting: Setting) -> None:
    await setting.run("run", conditions=parse_conditions("png"))
    photos = [setting.photo(f"{identity}/0.png").astype(np.int64) for identity in sorted(IDENTITIES)[:3]]
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[BOX.top : BOX.top + BOX.height, BOX.left : BOX.left + BOX.width] = False
    changes = []
    for picture in setting.invader.pictures:
        pixels = decoded_image(picture, limits=ImageLimits()).astype(np.int64)
        change = min((np.abs(pixels - photo) for photo in photos), key=lambda each: float(each.sum()))
        assert not change[outside].any()
        changes.append(int(change.max()))
    assert {0, 4, 32} <= set(changes) <= set(range(33))


async def test_the_plan_says_so_and_a_run_of_crops_is_another(setting: Setting) -> None:
    await setting.run("run")
    stated = manifest(setting.root / "run")
    jsonschema.validate(stated, json.loads(SCHEMA.read_text()))
    assert stated["protocol"]["placement"] == "photo"
    with pytest.raises(InputError, match=r"what differs: protocol.placement: 'photo' then, 'crop' now"):
        await setting.run("run", placement=Placement.CROP)


async def test_without_conditions_it_is_the_paper_s_storage_alone(setting: Setting) -> None:
    await setting.run("run", conditions=None)
    assert manifest(setting.root / "run")["protocol"]["grid"]["conditions"] == ["jpeg:95"]


def test_a_whole_photo_is_not_read_whole(setting: Setting) -> None:
    with pytest.raises(InputError) as failure:
        setting.request(conditions=parse_conditions("jpeg:95@full"))
    assert str(failure.value) == (
        "--conditions: jpeg:95@full: expected no @full beside --placement photo: in a whole photo the face is to be found "
        "first"
    )


async def test_a_protector_of_crops_alone_is_refused_before_a_folder_is_made(setting: Setting) -> None:
    setting.protector.placements = ()
    with pytest.raises(InputError) as failure:
        await setting.run("run")
    said = re.sub(r" at 127.0.0.1:\d+", "", str(failure.value))
    assert said == "--placement: expected what the protector offers (crop), got photo"
    assert not (setting.root / "run").exists()


@pytest.mark.parametrize("seed", range(2))
async def test_a_run_that_is_broken_off_at_some_moment_resumes_to_the_same_figures(setting: Setting, seed: int) -> None:
    await setting.run("whole")
    undisturbed = (setting.root / "whole" / "psr.csv").read_bytes()
    shown = setting.invader.pictures.total()
    setting.invader.pictures.clear()
    setting.invader.cut_after = random.Random(seed).randrange(1, shown)
    running = asyncio.create_task(setting.run("broken"))
    await setting.invader.enough.wait()
    running.cancel()
    with suppress(asyncio.CancelledError, OrchestratorError):
        await running
    assert (await setting.run("broken")).complete
    assert (setting.root / "broken" / "psr.csv").read_bytes() == undisturbed


async def test_kept_boxes_are_replayed_in_their_photos(setting: Setting) -> None:
    await setting.run("run")
    shown = digests(setting.invader.pictures)
    setting.invader.pictures.clear()
    assert (await setting.replay("run", "again", at_hand=setting.faces)).complete
    assert digests(setting.invader.pictures) == shown
    assert (setting.root / "again" / "psr.csv").read_bytes() == (setting.root / "run" / "psr.csv").read_bytes()
    assert manifest(setting.root / "again")["protocol"]["placement"] == "photo"


async def test_a_photo_that_changed_since_is_no_place_for_a_kept_box(setting: Setting) -> None:
    await setting.run("run")
    name = f"{min(IDENTITIES)}/0.png"
    (setting.faces / name).write_bytes(encode_png(np.zeros((HEIGHT, WIDTH, 3), np.uint8)))
    with pytest.raises(InputError) as failure:
        await setting.replay("run", "again", at_hand=setting.faces)
    assert str(failure.value) == f"--faces: {name}: expected the photo that RUN was made with, got another"


async def test_a_box_that_does_not_fit_into_its_photo_ends_the_run(setting: Setting) -> None:
    setting.protector = BoxBesideTheFace()
    with pytest.raises(UnusableServiceError, match="expected a box within 41 x 30 pixels, got 21 x 16 at 31, 7"):
        await setting.run("run")


async def test_a_box_in_a_photo_of_another_size_ends_the_run(setting: Setting) -> None:
    class Wider(ConformingProtector):
        def place(self, photo: Pixels, method: str) -> dict[str, int]:
            return super().place(photo, method) | {"photo_width": WIDTH + 1}

    setting.protector = Wider()
    with pytest.raises(UnusableServiceError, match="expected one in a photo of 41 x 30 pixels, got 42 x 30"):
        await setting.run("run")


async def test_a_cloaked_photo_in_which_no_face_is_found_any_more_is_an_outcome(setting: Setting) -> None:
    class Blinded(CountingInvader):
        def has_face(self, photo: NDArray[np.uint8], request: invader_pb2.ClassifyRequest) -> bool:
            return bool(photo.shape[0] == HEIGHT)

    setting.invader = Blinded()
    assert (await setting.run("run")).complete
    with sqlite3.connect(setting.root / "run" / "observations.sqlite") as connection:
        found = set(connection.execute("SELECT DISTINCT condition, outcome FROM observations WHERE outcome = 'no_face'"))
    assert found == {("jpeg:95+resize:20+jpeg:75", "no_face")}


async def test_the_report_says_what_a_cloak_is_and_shows_its_box(setting: Setting) -> None:
    await setting.run("run")
    page = report(setting.root / "run", with_pictures=True).read_text()
    assert "Cloaks in whole photos." in page
    assert "27 % of the photograph’s pixels in the median" in page
    assert "Shown is the box of the face alone" in page
    command = reproduction(read_run(setting.root / "run")).command
    assert "--placement photo" in command
    with sqlite3.connect(setting.root / "run" / "observations.sqlite") as connection:
        measured = connection.execute("SELECT count(*) FROM cloaks WHERE ssim IS NOT NULL").fetchone()
    assert measured == (15,), "of the boxes: three subjects, control, two of noise and two of bim"


async def test_the_report_of_crops_is_silent_about_photos(setting: Setting) -> None:
    await setting.run("run", placement=Placement.CROP)
    page = report(setting.root / "run", with_pictures=True).read_text()
    assert "whole photo" not in page
    assert "--placement" not in reproduction(read_run(setting.root / "run")).command


async def test_a_dry_run_tries_whole_photos(setting: Setting) -> None:
    text = io.StringIO()
    async with setting.protector.serving() as protector, setting.invader.serving() as invader:
        setting.invader.budget = 100_000
        await dry_run(
            setting.request(),
            protector=EndpointSpec("protector", protector, None),
            invader=EndpointSpec("invader", invader, None),
            keep_cloaks=True,
            console=Console(file=text, width=500),
        )
    assert "placement      photo: each cloak is the whole photo" in text.getvalue()
