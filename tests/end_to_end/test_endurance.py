"""An evaluation of hundreds of subjects holds as much memory at its end as near its beginning."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from deid.protector.v1 import protector_pb2

from tests.support.fakes import FakeInvader, FakeProtector
from tests.support.figure import Tell
from tests.support.plans import write_faces

SUBJECTS, SETTLED_AFTER = 450, 200
MAX_GROWTH = 1.1
IDENTITIES = tuple(f"n{number:04d}" for number in range(SUBJECTS))


class WatchingProtector(FakeProtector):
    """Answers at once, and looks at the memory of whoever asks it."""

    asking: int  # process id
    memory: list[int]  # KiB, by craft call

    async def Craft(self, request: protector_pb2.CraftRequest, context: Any) -> AsyncIterator[protector_pb2.CraftResponse]:  # noqa: N802
        self.memory.append(_memory(self.asking))
        async for response in super().Craft(request, context):
            yield response


def _memory(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


@pytest.mark.thorough("orchestrator/", "rpc/")
async def test_memory_is_flat_from_the_200th_subject_on(tmp_path: Path, tell: Tell) -> None:
    protector = WatchingProtector({"facenet": IDENTITIES})
    protector.memory = []
    invader = FakeInvader(dict.fromkeys(("facenet", "senet50"), IDENTITIES))
    faces = write_faces(tmp_path / "faces", IDENTITIES)
    async with protector.serving() as protector_address, invader.serving() as invader_address:
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "orchestrator", "evaluate", "--faces", str(faces), "--run", str(tmp_path / "run")),
            *("--protector", protector_address, "--invader", invader_address, "--subjects", str(SUBJECTS)),
            *("--source-models", "facenet", "--target-models", "facenet,senet50", "--methods", "bim", "--epsilons", "8"),
            *("--k", "1", "--conditions", "png", "--no-report"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        protector.asking = process.pid
        said, _ = await process.communicate()
        seconds = time.monotonic() - begun
    assert process.returncode == 0, said.decode()
    assert len(protector.memory) == SUBJECTS, "one call a subject"
    settled = protector.memory[SETTLED_AFTER]
    most = max(protector.memory[SETTLED_AFTER:])
    observations = SUBJECTS * 6
    tell(
        f"{observations} observations of {SUBJECTS} subjects: {observations / seconds:.0f} a second, "
        f"{settled / 1024:.0f} MiB at subject {SETTLED_AFTER}, {most / 1024:.0f} MiB at most from there on"
    )
    assert most <= MAX_GROWTH * settled
