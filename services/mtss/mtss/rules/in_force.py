"""Which policy is in force on which day, after each adoption so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from mtss.rules.courses import EVER, Policies
from mtss.rules.facts import Ints, day_of
from mtss.rules.policy import Policy


@dataclass(frozen=True, slots=True)
class Step:
    """A policy that was adopted, and the first day on which it counts. Adoptions are numbered from 1; 0 counted ever."""

    number: int
    first_day: int
    policy: Policy
    tells_families: bool = True
    """Whether families are told of what the adoption itself changes."""

    @property
    def began_on(self) -> date | None:
        """That first day; ``None`` if it counted ever."""
        return None if self.first_day == EVER else day_of(self.first_day)


@dataclass(frozen=True, slots=True)
class InForce:
    """Every adoption so far, in their order. A later one replaces all others from its first day on."""

    steps: tuple[Step, ...]

    @property
    def number(self) -> int:
        """The number of the last adoption."""
        return self.steps[-1].number

    @property
    def every(self) -> Policies:
        """Every policy that ever counted: of no use but to know what to read."""
        return [(step.first_day, step.policy) for step in self.steps]

    def counting(self) -> Sequence[Step]:
        """What counts on some day, by its first day."""
        standing: list[Step] = []
        for step in self.steps:
            standing = [*(each for each in standing if each.first_day < step.first_day), step]
        return standing

    def policies(self) -> Policies:
        """As :func:`mtss.rules.follow` takes them."""
        return [(step.first_day, step.policy) for step in self.counting()]

    def until(self, number: int) -> "InForce":
        """As it was after the adoption ``number``."""
        return InForce(tuple(step for step in self.steps if step.number <= number))

    def on(self, day: int) -> Step:
        """What counts on a day."""
        return [step for step in self.counting() if step.first_day <= day][-1]

    def reached(self, days: Ints) -> Ints:
        """For each day the number of the adoption that counts on it."""
        counting = self.counting()
        place = np.searchsorted(np.array([step.first_day for step in counting]), days, side="right")
        return np.array([step.number for step in counting], np.int32)[place - 1]

    def taken_back(self) -> tuple[Step, Step] | None:
        """Reverting the policy that counts last: the step with which it began to, and the one that counts again.

        ``None`` where no other policy counts before it. Steps of the same policy are one: to take back the later would change
        nothing.
        """
        *earlier, began = self.counting()
        while earlier and earlier[-1].policy.version == began.policy.version:
            began = earlier.pop()
        return (began, earlier[-1]) if earlier else None

    def after(self, policy: Policy, first_day: int) -> "InForce":
        """As it would be with one adoption more."""
        return InForce((*self.steps, Step(self.number + 1, first_day, policy)))

    def named(self, version: str) -> Policy | None:
        """The policy of a version, if it ever was in force."""
        return next((step.policy for step in self.steps if step.policy.version == version), None)

    def signals_of(self, clause: str) -> frozenset[str]:
        """What a clause of that name listens to, in any policy that ever was in force."""
        policies = (step.policy for step in self.steps)
        return frozenset(policy.clauses[clause].signal for policy in policies if clause in policy.clauses)


def since_ever(policy: Policy) -> InForce:
    """One policy, before any other was adopted."""
    return InForce((Step(0, EVER, policy),))
