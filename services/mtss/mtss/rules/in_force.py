"""Which policy is in force on which day, after each adoption so far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    again: int | None = None
    """Where it counts again since another was taken back: the number under which it was adopted."""

    @property
    def origin(self) -> int:
        """The number under which the policy was adopted to count on this day."""
        return self.number if self.again is None else self.again

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

    def taken_back(self) -> Step | None:
        """The step with which the policy that counts last began to, if to take it back lets another count again."""
        standing = self.counting()
        for step in reversed(standing):
            began = next(each for each in standing if each.origin == step.origin)
            before = self._before(began.origin, began.first_day) if began.origin else []
            if any(each.policy.version != began.policy.version for each in before):
                return began
        return None

    def without(self, origin: int, first_day: int, *, tells_families: bool = True) -> "InForce":
        """As it would be with one adoption more, by which from a day on counts again what counted before ``origin``."""
        again = (
            replace(each, number=self.number + 1, tells_families=tells_families, again=each.origin)
            for each in self._before(origin, first_day)
        )
        return InForce((*self.steps, *again))

    def _before(self, origin: int, first_day: int) -> Sequence[Step]:
        """What counted from ``first_day`` on before the adoption ``origin``."""
        counted = self.until(origin - 1).counting()
        at_first = [each for each in counted if each.first_day <= first_day][-1]
        later = (each for each in counted if each.first_day > first_day)
        return [replace(at_first, first_day=first_day), *later]

    def after(self, policy: Policy, first_day: int, *, tells_families: bool = True) -> "InForce":
        """As it would be with one adoption more."""
        return InForce((*self.steps, Step(self.number + 1, first_day, policy, tells_families)))

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
