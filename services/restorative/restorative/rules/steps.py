"""What a step is, and how one is taken: ``decide(conference, step, today=…)`` gives what it becomes, or refuses by name."""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from common.errors import DomainError
from restorative.rules.conference import Conference, State


class StepOutOfOrder(DomainError):
    """A conference that is {state} cannot take the step {step}."""


class InTheFuture(DomainError):
    """The day of the step {step} has not come yet."""

    status = 422


class TooEarly(DomainError):
    """The day of the step {step} is before {earliest}."""

    status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; ``possible_in`` are the states in which it may be taken, ``on`` the day it was taken, if it has one."""

    name: ClassVar[str]
    possible_in: ClassVar[frozenset[State]]

    on: date | None = None

    def changes_nothing(self, conference: Conference) -> bool:
        """Whether it is without effect whatever the state."""
        return False

    def of(self, conference: Conference) -> Conference:
        """What the conference becomes."""
        raise NotImplementedError

    def not_before(self, earliest: date | None, what: str) -> None:
        """Refuse a day before ``earliest``."""
        if self.on is not None and earliest is not None and self.on < earliest:
            raise TooEarly(step=self.name, earliest=what)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedStep(Step):
    """A step that always has a day."""

    on: date


def decide(conference: Conference, step: Step, *, today: date) -> Conference:
    """What ``conference`` becomes by ``step``; the same object where nothing changes.

    Raises:
        StepOutOfOrder: not in this state.
        InTheFuture: its day has not come.
        DomainError: what the step itself needs is missing.
    """
    if step.changes_nothing(conference):
        return conference
    if conference.state not in step.possible_in:
        raise StepOutOfOrder(step=step.name, state=conference.state.value)
    if step.on is not None and step.on > today:
        raise InTheFuture(step=step.name)
    return step.of(conference)
