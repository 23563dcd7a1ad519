"""When each clause of a policy stands, day by day, for many students at once.

A clause stands from its entry day until its exit day, so in closed form: where the last entry day is later than the last
exit day. No loop runs over days or students.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np

from mtss.rules.facts import Facts, Flags, Ints
from mtss.rules.policy import FALSE, TRUE, UNKNOWN, Clause, Policy, Truth
from mtss.rules.policy.document import scale_of
from mtss.rules.signals import SIGNALS, Measure
from mtss.rules.timeline import Timeline, carry, in_a_row


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one clause stands, and what it rests on."""

    measure: Measure
    stands: Flags
    days_leaving: Ints
    """How many days in a row the exit has been met, as far as days are known."""

    def truth(self, at: Any = ...) -> Truth:
        """True where it stands; elsewhere false where something is known, else unknown. Of all days and students, or ``at`` some."""
        stands, telling = self.stands[at], self.measure.telling[at]
        return np.where(stands, np.int8(TRUE), np.where(telling, np.int8(FALSE), np.int8(UNKNOWN)))


@dataclass(slots=True)
class Reading:
    """One policy over some facts. What several clauses have in common is computed once."""

    policy: Policy
    facts: Facts
    timeline: Timeline
    _measures: dict[Any, Measure] = field(default_factory=dict)
    _leaving: dict[Any, tuple[Ints, Ints]] = field(default_factory=dict)

    def stand(self, clause: Clause) -> Stand:
        """Where ``clause`` stands. Days on which nothing is known neither begin nor end anything."""
        signal = SIGNALS[clause.signal]
        key = clause.measured_by
        if key not in self._measures:
            self._measures[key] = self._heard(signal.measure(self.timeline, self.facts, clause))
        measure = self._measures[key]
        enters = self._reaches(measure, clause, f"entry.{signal.entry}", signal.entry)
        days_leaving, left = self._left(measure, clause, enters, signal.exit)
        if "minimum_dwell.days" in clause.numbers:
            return Stand(measure, self._dwelling(clause, enters, days_leaving), days_leaving)
        return Stand(measure, carry(enters) > left, days_leaving)

    def _heard(self, measure: Measure) -> Measure:
        exempt = self.timeline.exempt
        return measure if exempt is None else replace(measure, telling=measure.telling & ~exempt)

    def _left(self, measure: Measure, clause: Clause, enters: Flags, compared: str) -> tuple[Ints, Ints]:
        path = f"exit.{compared}"
        if path not in clause.numbers:
            leaves = measure.telling & ~enters
            return leaves.astype(np.int32), carry(leaves)
        numbers = (path, "exit.days_in_a_row")
        key = (clause.measured_by, *(self._values(clause, each) for each in numbers if each in clause.numbers))
        if key not in self._leaving:
            leaves = self._reaches(measure, clause, path, compared)
            run = in_a_row(measure.telling, leaves)
            self._leaving[key] = run, carry(leaves & (run == self._whole(clause, "exit.days_in_a_row", 1)))
        return self._leaving[key]

    def _reaches(self, measure: Measure, clause: Clause, path: str, compared: str) -> Flags:
        number, scale = self._number(clause, path)
        amount = measure.amount if scale == 1 else measure.amount * scale
        limit = number * (measure.unit if measure.of is None else measure.of)
        reached: Flags = measure.telling & _COMPARED[compared](amount, limit)
        return reached

    def _whole(self, clause: Clause, path: str, otherwise: int) -> Any:
        return self._number(clause, path)[0] if path in clause.numbers else otherwise

    def _number(self, clause: Clause, path: str) -> tuple[Any, int]:
        """A number in units or in parts, so that it is whole: one for all, or one for each day and student."""
        values = self._values(clause, path)
        scale = scale_of(values)
        of_variant = [int(value * scale) for value in values]
        if self.timeline.variant is None:
            return of_variant[0], scale
        return np.array(of_variant, np.int32)[self.timeline.variant], scale

    def _values(self, clause: Clause, path: str) -> tuple[Decimal, ...]:
        usual, full = clause[path], f"clauses.{clause.name}.{path}"
        return usual, *(each.number_at(full, usual) for each in self.timeline.variants)

    def _dwelling(self, clause: Clause, enters: Flags, days_leaving: Ints) -> Flags:
        """As without a minimum dwell, but no exit before the clause stood for so many instructional days."""
        least = self._whole(clause, "minimum_dwell.days", 0)
        enough = self._whole(clause, "exit.days_in_a_row", 1)
        stands, held = np.zeros(enters.shape, np.bool_), np.zeros(enters.shape[1], np.int32)
        for row in range(len(enters)):
            instructional = self.timeline.year[row] > 0
            leaves = (days_leaving[row] >= _at(enough, row)) & (held >= _at(least, row)) & ~enters[row]
            now = (enters[row] | (held > 0)) & ~(leaves & instructional)
            held = np.where(now, held + (instructional | (held == 0)), 0)
            stands[row] = now
        return stands


def _at(number: Any, row: int) -> Any:
    return number[row] if isinstance(number, np.ndarray) else number


_COMPARED: Mapping[str, Any] = {
    "at_least": np.greater_equal,
    "at_most": np.less_equal,
    "below": np.less,
    "above": np.greater,
}
