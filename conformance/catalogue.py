"""All checks, in the order in which they run."""

from types import ModuleType
from typing import Any

from conformance.check import Check
from conformance.invader import bad_input as invader_bad_input
from conformance.invader import budget as invader_budget
from conformance.invader import determinism as invader_determinism
from conformance.invader import disclosure, faces, ranking, understood
from conformance.invader import lifetime as invader_lifetime
from conformance.invader import lists as invader_lists
from conformance.invader.service import Invader
from conformance.protector import bad_input, budget, determinism, lifetime, lists, probe, storage, stream
from conformance.protector.service import Protector


def _checks_of(*themes: ModuleType) -> tuple[Check[Any], ...]:
    return tuple(each for theme in themes for each in vars(theme).values() if isinstance(each, Check))


PROTECTOR_CHECKS: tuple[Check[Protector], ...] = _checks_of(
    lists, probe, budget, stream, storage, determinism, bad_input, lifetime
)
# The texts of errors are looked at once there were errors; a budget is spent, if it is to be, at the very end.
INVADER_CHECKS: tuple[Check[Invader], ...] = _checks_of(
    invader_lists,
    faces,
    ranking,
    understood,
    invader_determinism,
    invader_bad_input,
    invader_lifetime,
    disclosure,
    invader_budget,
)
ALL_CHECKS: tuple[Check[Any], ...] = (*PROTECTOR_CHECKS, *INVADER_CHECKS)
KNOWN = tuple(check.id for check in ALL_CHECKS)
