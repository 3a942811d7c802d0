"""All checks, in the order in which they run."""

from dataclasses import replace
from types import ModuleType
from typing import Any

from conformance.both import bad_requests, cancellation, determinism, enrolment, galleries, health, kinds, lists
from conformance.check import Check
from conformance.invader import bad_requests as invader_bad_requests
from conformance.invader import budget as invader_budget
from conformance.invader import determinism as invader_determinism
from conformance.invader import disclosure, faces, image_formats, matchers, ranking
from conformance.invader import galleries as invader_galleries
from conformance.invader import lists as invader_lists
from conformance.invader.service import Invader
from conformance.protector import bad_requests as protector_bad_requests
from conformance.protector import budget as protector_budget
from conformance.protector import cost, ensembles, placement, probe, storage, stream
from conformance.protector import determinism as protector_determinism
from conformance.protector import galleries as protector_galleries
from conformance.protector import lists as protector_lists
from conformance.protector.service import Protector
from conformance.service import Service

# What comes with errors and beside answers is looked at once there were some; a budget is spent, if it is to be, at the end.
# What a library says of a method that is not there comes after error texts: it names a path, that of the method.
_THEMES: dict[type[Service], tuple[ModuleType, ...]] = {
    Protector: (
        *(protector_lists, lists, kinds, probe, protector_budget, cost, stream, storage, protector_determinism, determinism),
        *(ensembles, placement, protector_galleries, galleries, protector_bad_requests, bad_requests, enrolment),
        *(cancellation, health),
    ),
    Invader: (
        *(invader_lists, lists, kinds, faces, ranking, matchers, image_formats, invader_determinism, determinism),
        *(invader_galleries, galleries, invader_bad_requests, bad_requests, enrolment, cancellation, health),
        *(disclosure, invader_budget),
    ),
}


def _checks_of(service: type[Service]) -> tuple[Check[Any], ...]:
    found = (each for theme in _THEMES[service] for each in vars(theme).values() if isinstance(each, Check))
    return tuple(replace(each, id=f"{service.role}.{each.id}") for each in found)


CHECKS: dict[type[Service], tuple[Check[Any], ...]] = {service: _checks_of(service) for service in _THEMES}
ALL_CHECKS = tuple(check for checks in CHECKS.values() for check in checks)
