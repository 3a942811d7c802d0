"""How many subjects a plan has, by what the services know and what was asked for."""

from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.experiment.plan import Plan
from orchestrator.faces.synthetic import read_synthetic_faces
from orchestrator.services.invader import InvaderClient
from orchestrator.services.protector import ProtectorClient
from orchestrator.session.planning import RunRequest, make_plan
from tests.support.fakes import FakeInvader, FakeProtector

FACES = read_synthetic_faces("synthetic:identities=25,photographs=1")
IDENTITIES = tuple(sorted(FACES.identities))


async def planned(**changes: Any) -> Plan:
    """The plan of a wish for 25 identities that both services know."""
    fields: dict[str, Any] = {
        "faces": FACES,
        "source_models": ("facenet",),
        "target_models": ("facenet",),
        "methods": ("bim",),
        "epsilons": (4,),
        "ks": (1,),
        "subjects": None,
        "seed": 0,
    }
    protector, invader = FakeProtector({"facenet": IDENTITIES}), FakeInvader({"facenet": IDENTITIES}, lambda *_: 1)
    async with protector.serving() as protector_address, invader.serving() as invader_address:
        protector_client, invader_client = ProtectorClient(protector_address), InvaderClient(invader_address)
        try:
            return (await make_plan(RunRequest(**(fields | changes)), protector_client, invader_client)).plan
        finally:
            await protector_client.close()
            await invader_client.close()


@pytest.mark.parametrize(
    ("asked", "halfwidth", "subjects"),
    [(None, None, 16), (7, None, 7), (None, 2.0, 25), (7, 2.0, 7)],
)
async def test_a_run_until_its_intervals_are_narrow_may_draw_all_unless_fewer_are_asked_for(
    asked: int | None, halfwidth: float | None, subjects: int
) -> None:
    plan = await planned(subjects=asked, until_halfwidth=halfwidth)
    assert (plan.subjects, plan.until_halfwidth) == (subjects, halfwidth)


async def test_more_subjects_than_there_are_is_refused_in_either_kind_of_run() -> None:
    for halfwidth in (None, 2.0):
        with pytest.raises(InputError, match=r"^--subjects: expected at most 25 .* got 26$"):
            await planned(subjects=26, until_halfwidth=halfwidth)
