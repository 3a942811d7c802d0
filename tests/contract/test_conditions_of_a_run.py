"""A run under several conditions: cloaks are crafted once, and asked about once under each."""

import asyncio
import csv
import io
import random
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deid.invader.v1 import invader_pb2
from deid.protector.v1 import protector_pb2
from rich.console import Console

from orchestrator.errors import OrchestratorError
from orchestrator.experiment.condition import Condition, parse_conditions
from orchestrator.faces.folder import read_face_folder
from orchestrator.pictures.conditions import under_condition
from orchestrator.run_folder.folder import RunFolder
from orchestrator.run_folder.pictures import kept_pictures
from orchestrator.services.endpoint import EndpointSpec
from orchestrator.session.evaluate import evaluate
from orchestrator.session.planning import RunRequest
from orchestrator.session.summary import RunResult
from rpc.images.decoding import encode_png
from tests.support.bench import manifest
from tests.support.conforming import IDENTITIES, ConformingInvader, ConformingProtector, Context

EIGHT = parse_conditions(
    "jpeg:95,png,jpeg:95@full,jpeg:95+jpeg:50,jpeg:95+resize:12,png+blur:1,png+bits:4+median:3,jpeg:30+webp:50@full"
)
ONE = parse_conditions("jpeg:95")


class CountingProtector(ConformingProtector):
    def __init__(self) -> None:
        super().__init__()
        self.requests: list[protector_pb2.CraftRequest] = []

    async def Craft(  # noqa: N802
        self, request: protector_pb2.CraftRequest, context: Context
    ) -> AsyncIterator[protector_pb2.CraftResponse]:
        self.requests.append(request)
        async for response in super().Craft(request, context):
            yield response


class CountingInvader(ConformingInvader):
    budget = 100_000

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[tuple[str, int]] = Counter()  # by the digest of a picture and the region
        self.enough = asyncio.Event()
        self.cut_after = -1  # questions

    async def Classify(self, request: invader_pb2.ClassifyRequest, context: Context) -> invader_pb2.ClassifyResponse:  # noqa: N802
        self.asked[sha256(request.image).hexdigest(), request.region] += 1
        if self.asked.total() == self.cut_after:
            self.enough.set()
        return await super().Classify(request, context)


@dataclass
class Setting:
    root: Path
    protector: CountingProtector = field(default_factory=CountingProtector)
    invader: CountingInvader = field(default_factory=CountingInvader)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(0)
        for identity in sorted(IDENTITIES)[:3]:
            photo = self.root / "faces" / identity / "0.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            photo.write_bytes(encode_png(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)))

    async def run(self, name: str, conditions: tuple[Condition, ...] | None, **changes: Any) -> RunResult:
        request = RunRequest(
            faces=read_face_folder(self.root / "faces"),
            source_models=("first",),
            target_models=("first", "second"),
            methods=("bim", "illc"),
            epsilons=(4, 32),
            ks=(1, 3),
            subjects=3,
            seed=0,
            conditions=conditions,
        )
        async with self.protector.serving() as protector, self.invader.serving() as invader:
            return await evaluate(
                request,
                protector=EndpointSpec("protector", protector, None),
                invader=EndpointSpec("invader", invader, None),
                folder=RunFolder(self.root / name),
                keep_cloaks=True,
                subjects_in_flight=2,
                console=Console(file=io.StringIO()),
                **changes,
            )

    def rows(self, name: str) -> dict[tuple[str, ...], dict[str, str]]:
        with (self.root / name / "psr.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {tuple(row[key] for key in ("condition", "method", "epsilon", "target_model", "k")): row for row in rows}


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


async def test_cloaks_are_crafted_once_for_all_conditions_and_asked_about_once_under_each(setting: Setting) -> None:
    one = await setting.run("one", ONE)
    crafted, setting.protector.requests = setting.protector.requests, []
    asked = setting.invader.asked.total()
    setting.invader.asked.clear()
    eight = await setting.run("eight", EIGHT)
    assert one.complete
    assert eight.complete
    assert len(setting.protector.requests) == len(crafted) == 3
    assert {request.storage.WhichOneof("format") for request in setting.protector.requests} == {"png"}
    assert setting.invader.asked.total() == 8 * asked
    rows = setting.rows("eight")
    assert {key: row for key, row in rows.items() if key[0] == "jpeg:95"} == setting.rows("one")
    assert {key[0] for key in rows} == set(map(str, EIGHT))


async def test_what_the_invader_is_sent_is_the_kept_cloak_under_each_condition(setting: Setting) -> None:
    await setting.run("eight", EIGHT)
    regions = {"detected": invader_pb2.REGION_DETECTED, "full": invader_pb2.REGION_FULL}
    cloaks = {path.stem: path.read_bytes() for path in kept_pictures(RunFolder(setting.root / "eight"))}
    expected: Counter[tuple[str, int]] = Counter()
    with sqlite3.connect(setting.root / "eight" / "observations.sqlite") as connection:
        for (digest,) in connection.execute("SELECT cloak_sha256 FROM cloaks"):
            for condition in EIGHT:
                picture = under_condition(cloaks[digest], condition)
                expected[sha256(picture).hexdigest(), regions[condition.region]] += 1
        recorded = Counter(
            (digest, regions["full" if "@full" in condition else "detected"])
            for condition, digest in connection.execute("SELECT condition, picture_sha256 FROM observations")
        )
    assert setting.invader.asked == expected
    assert recorded == Counter({picture: 2 * times for picture, times in expected.items()}), "two target models"


@pytest.mark.parametrize("seed", range(3))
async def test_a_run_that_is_broken_off_at_some_moment_resumes_to_the_same_figures(setting: Setting, seed: int) -> None:
    await setting.run("whole", EIGHT)
    undisturbed = (setting.root / "whole" / "psr.csv").read_bytes()
    questions = setting.invader.asked.total()
    setting.invader.asked.clear()
    setting.invader.cut_after = random.Random(seed).randrange(1, questions)
    running = asyncio.create_task(setting.run("broken", EIGHT))
    await setting.invader.enough.wait()
    running.cancel()
    with suppress(asyncio.CancelledError, OrchestratorError):
        await running
    assert not (setting.root / "broken" / "psr.csv").exists()
    assert (await setting.run("broken", EIGHT)).complete
    assert (setting.root / "broken" / "psr.csv").read_bytes() == undisturbed


async def test_a_spent_budget_shortens_all_conditions_alike(setting: Setting) -> None:
    setting.invader.budget = 8 * 20  # of 33 cloaks
    assert not (await setting.run("short", EIGHT, allow_incomplete=True)).complete
    with sqlite3.connect(setting.root / "short" / "observations.sqlite") as connection:
        found = dict(connection.execute("SELECT condition, count(*) FROM observations GROUP BY condition"))
    assert sum(found.values()) == 2 * 8 * 20
    assert max(found.values()) - min(found.values()) <= 2 * 8, "at most those of the cloaks that were being shown"


@pytest.mark.parametrize(
    ("region", "conditions", "lacking"),
    [
        (invader_pb2.REGION_DETECTED, ["jpeg:95", "png"], {"jpeg:95@full": "full"}),
        (invader_pb2.REGION_FULL, ["jpeg:95@full"], {"jpeg:95": "detected", "png": "detected"}),
    ],
)
async def test_the_paper_s_conditions_are_the_default_as_far_as_the_invader_has_their_regions(
    setting: Setting, region: "invader_pb2.Region.ValueType", conditions: list[str], lacking: dict[str, str]
) -> None:
    setting.invader.regions = (region,)
    assert (await setting.run("run", None)).complete
    assert {asked for _, asked in setting.invader.asked} == {region}
    assert {condition for condition, *_ in setting.rows("run")} == set(conditions)
    stated = manifest(setting.root / "run")
    assert stated["protocol"]["grid"]["conditions"] == conditions
    said = [re.sub(r" at 127.0.0.1:\d+", "", sentence) for sentence in stated["outcome"]["missing_models"]]
    assert said == [
        f"condition {condition}: first of the invader does not have the region {missing}"
        for condition, missing in lacking.items()
    ]
