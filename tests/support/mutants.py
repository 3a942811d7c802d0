"""Services that are wrong in one way each, and the check of the conformance suite that must find it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from unittest.mock import patch

from rpc import interceptor
from tests.support.conforming import Conforming

Service = TypeVar("Service", bound=Conforming)


@dataclass(frozen=True)
class Mutant:
    """A service that is wrong."""

    wrong: str  # in what; a sentence
    caught_by: str  # id of a check
    service: type[Conforming]

    def __str__(self) -> str:
        return self.service.__name__


MUTANTS: list[Mutant] = []


def mutant(caught_by: str) -> Callable[[type[Service]], type[Service]]:
    """Makes a mutant of a service, whose docstring says what is wrong with it."""

    def register(service: type[Service]) -> type[Service]:
        MUTANTS.append(Mutant((service.__doc__ or "").strip(), caught_by, service))
        return service

    return register


@contextmanager
def unbounded_envelopes() -> Iterator[None]:
    """Within it our server parses whatever it is sent, as others do, and refuses nothing before."""
    with patch.object(interceptor, "image_fields", return_value=None):
        yield
