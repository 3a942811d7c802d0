"""A case: one search for a cloak, the answers that were given to it, and what follows from them alone. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.condition import Condition

UNCHANGED = 0  # in place of a budget: the picture without a cloak


class Finding(StrEnum):
    """What became of the person in one recognizer's answer about one picture."""

    NAMED = "named"  # among the first k
    NOT_NAMED = "not named"
    NO_FACE = "no face"  # found in the picture that is searched
    NOT_ENROLLED = "not enrolled"  # no face was found in any picture that was to be enrolled


@dataclass(frozen=True)
class Answer:
    """One recognizer's answer about one picture under one condition."""

    recognizer: str
    condition: Condition
    budget: int  # levels; UNCHANGED
    searched: str  # the name of the picture that is searched
    finding: Finding
    first: str = ""  # whom it named first; empty without a face
    reaches: bool | None = None  # whether a name that was given reaches the recognizer's own threshold; None: it has none

    @property
    def key(self) -> tuple[str, Condition, str]:
        """What it is about, whatever the budget."""
        return self.recognizer, self.condition, self.searched


@dataclass(frozen=True)
class Case:
    """A search for the smallest budget at which no recognizer that is asked names the person."""

    photos: tuple[str, ...]  # that wear the cloak, by name
    searched: tuple[str, ...]  # pictures that are searched, by name; the photos themselves if the carrier is the probe
    carrier: Carrier
    k: int
    conditions: tuple[Condition, ...]
    budgets: tuple[int, ...]  # that were crafted, ascending
    asked: tuple[str, ...]
    held_out: tuple[str, ...]
    sources: tuple[str, ...]
    answers: tuple[Answer, ...] = ()

    def with_answers(self, answers: Iterable[Answer]) -> "Case":
        """The case after further answers."""
        return replace(self, answers=(*self.answers, *answers))

    def of(self, recognizers: Iterable[str], *, budget: int) -> tuple[Answer, ...]:
        """The answers of some recognizers at one budget."""
        names = frozenset(recognizers)
        return tuple(each for each in self.answers if each.budget == budget and each.recognizer in names)

    @cached_property
    def looked_at(self) -> tuple[int, ...]:
        """The budgets that the asked recognizers were all asked about, ascending, without UNCHANGED."""
        whole = len(self.asked) * len(self.conditions) * len(self.searched)
        return tuple(budget for budget in self.budgets if len(self.of(self.asked, budget=budget)) == whole)

    @cached_property
    def found(self) -> int | None:
        """The smallest budget that was looked at and at which nobody who is asked names the person; None: there is none.

        Without anybody who knows the person there is nothing to find.
        """
        if not self.known_to(self.asked):
            return None
        return next((budget for budget in self.looked_at if not self.naming(self.asked, budget=budget)), None)

    @cached_property
    def is_settled(self) -> bool:
        """Whether no further budget has to be looked at."""
        return self.found is not None or self.looked_at == self.budgets or not self.known_to(self.asked)

    def known_to(self, recognizers: Iterable[str]) -> tuple[str, ...]:
        """Of some recognizers, those that name the person without a cloak, under some condition."""
        return tuple(name for name in recognizers if self.naming((name,), budget=UNCHANGED))

    def naming(self, recognizers: Iterable[str], *, budget: int) -> tuple[str, ...]:
        """Of some recognizers, those that name the person at a budget, under any condition and by any picture."""
        named = {each.recognizer for each in self.of(recognizers, budget=budget) if each.finding is Finding.NAMED}
        return tuple(name for name in recognizers if name in named)

    def void(self, recognizers: Iterable[str]) -> tuple[Answer, ...]:
        """Answers without a cloak that do not name the person, of recognizers that elsewhere do: it says nothing."""
        known = self.known_to(recognizers)
        return tuple(each for each in self.of(known, budget=UNCHANGED) if each.finding is not Finding.NAMED)

    def relapsing(self) -> tuple[str, ...]:
        """The asked recognizers that named the person at a larger budget and did not, of the same, at a smaller one."""
        silent: set[object] = set()
        found: set[str] = set()
        for budget in self.looked_at:
            for each in self.of(self.asked, budget=budget):
                if each.finding is not Finding.NAMED:
                    silent.add(each.key)
                elif each.key in silent:
                    found.add(each.recognizer)
        return tuple(name for name in self.asked if name in found)
