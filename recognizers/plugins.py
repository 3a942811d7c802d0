"""Plug-ins: what installed distributions offer by entry points. One that is broken does not keep the others away.

A plug-in is code that its operator has installed, and is as trusted as that: it runs in the service's process.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from command_line.memory import memory_advice
from recognizers.errors import RecognizerError

OWN_DISTRIBUTION = "face-deid-bench"
NAMES = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")

T = TypeVar("T")


class PluginError(RecognizerError):
    """What an entry point names is no plug-in of its kind; the message says what was expected and what came."""


@dataclass(frozen=True)
class Found(Generic[T]):
    """The plug-ins of one kind."""

    usable: Mapping[str, T]  # by name, sorted
    own: frozenset[str]  # the names of this project's own
    refused: tuple[str, ...]  # why, a message for each


@dataclass(frozen=True)
class _Candidate:
    distribution: str  # as it is to be printed
    own: bool
    entry: EntryPoint

    def __str__(self) -> str:
        return f"{self.entry.name} of {self.distribution} ({self.entry.value})"


def installed_plugins(group: str, accept: Callable[[str, object], T]) -> Found[T]:
    """Loads all that this interpreter can import and that is offered under an entry point group; see `find_plugins`.

    Raises:
        PluginError: not even this project's own are offered, or memory does not suffice to load one of them.
    """
    found = find_plugins(group, accept, installed=distributions())
    if not found.own:
        raise PluginError(
            f"{group}: expected the entry points of {OWN_DISTRIBUTION}, got none: it is not installed, or was before it had "
            "any. Install it again: `make setup`, or `pip install --no-deps --editable .`"
        )
    return found


def find_plugins(group: str, accept: Callable[[str, object], T], *, installed: Iterable[Distribution]) -> Found[T]:
    """Loads all that distributions offer under an entry point group.

    A name that several distributions claim is nobody's, lest the order of installation decide; but this project's own names
    cannot be taken from it.

    Args:
        group: of the entry points.
        accept: makes the plug-in of its name and what the entry point names, or raises `PluginError`. What else it raises
            is taken for the plug-in's own fault.
        installed: the distributions to look at, those that imports find first before others of the same name.
    """
    refused: list[str] = []
    candidates = sorted(_candidates(group, installed, refused), key=str)
    usable: dict[str, T] = {}
    for candidate in candidates:
        purpose = "loaded"
        try:
            _check_name(candidate, candidates)
            loaded = candidate.entry.load()
            purpose = "used"
            usable[candidate.entry.name] = accept(candidate.entry.name, loaded)
        except (Exception, SystemExit) as error:  # whatever its module does when it is imported or tried
            advice = memory_advice(error)
            if advice and candidate.own:  # without it, this project's own names would be unknown
                raise PluginError(f"{candidate}: {advice}") from error
            reason = str(error) if isinstance(error, PluginError) else f"cannot be {purpose}: {_described(error)}"
            refused.append(f"{candidate}: {advice or reason}")
    own = frozenset(candidate.entry.name for candidate in candidates if candidate.own)
    return Found(MappingProxyType(dict(sorted(usable.items()))), own, tuple(refused))


def _candidates(group: str, installed: Iterable[Distribution], refused: list[str]) -> Iterator[_Candidate]:
    seen = set()
    for distribution in installed:
        normalised, printed = _identity(distribution)
        if normalised and normalised in seen:
            continue  # found twice on the path; the first is the one that imports find
        seen.add(normalised)
        try:
            entries = distribution.entry_points.select(group=group)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the parser of a damaged file stumbles over
            if _may_offer(distribution, group):
                refused.append(f"all of {printed}: its entry_points.txt cannot be read: {_described(error)}")
            continue
        for entry in entries:
            yield _Candidate(printed, normalised == OWN_DISTRIBUTION, entry)


def _identity(distribution: Distribution) -> tuple[str, str]:
    """A distribution's normalised name, empty where it cannot be had, and what to print for it."""
    try:
        name: str | None = distribution.name  # None where its metadata lack it
        version = distribution.version
    except (Exception, SystemExit):  # noqa: BLE001 - in another encoding than UTF-8, for one
        return "", "a distribution whose metadata cannot be read"
    return re.sub(r"[-_.]+", "-", name or "").lower(), f"{name} {version}" if name else "a distribution without a name"


def _may_offer(distribution: Distribution, group: str) -> bool:
    """Whether a damaged entry_points.txt speaks of a group, or cannot be read so far as to tell."""
    try:
        return f"[{group}]" in (distribution.read_text("entry_points.txt") or "")
    except (Exception, SystemExit):  # noqa: BLE001 - the same damage
        return True


def _check_name(candidate: _Candidate, candidates: Sequence[_Candidate]) -> None:
    if not NAMES.fullmatch(candidate.entry.name):
        raise PluginError(f"expected a name of at most 40 of a-z, 0-9, '.', '_' and '-', got {candidate.entry.name!r}")
    others = [other for other in candidates if other is not candidate and other.entry.name == candidate.entry.name]
    if others and not (candidate.own and not any(other.own for other in others)):
        raise PluginError(f"the name is claimed by {', '.join(other.distribution for other in others)} too; keep one")


def accept_class(name: str, loaded: object, *kinds: type) -> type[Any]:
    """A concrete class derived from one of the kinds, whose `name` is that of its entry point.

    Raises:
        PluginError: it is not.
    """
    expected = " or ".join(kind.__name__ for kind in kinds)
    if not isinstance(loaded, type) or not issubclass(loaded, kinds):
        got = f"the class {loaded.__name__}" if isinstance(loaded, type) else f"an object of {type(loaded).__name__}"
        raise PluginError(f"expected a class derived from {expected}, got {got}")
    if missing := sorted(getattr(loaded, "__abstractmethods__", ())):
        raise PluginError(f"expected all of {expected}, but {loaded.__name__} lacks {', '.join(missing)}")
    if (stated := getattr(loaded, "name", None)) != name:
        raise PluginError(f"expected {loaded.__name__}.name to be that of the entry point, {name!r}, got {stated!r}")
    return loaded


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
