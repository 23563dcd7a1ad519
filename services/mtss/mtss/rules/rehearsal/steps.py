"""Where clauses stand, brought from one day to the next: row by row what ``mtss.rules.clauses`` says of all days at once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Flags
from mtss.rules.policy.conditions import Condition
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.ground import Ground, Number
from mtss.rules.rehearsal.measures import Measure, narrowest
from mtss.rules.signals import SIGNALS

_COMPARED: Mapping[str, Any] = {
    "at_least": np.greater_equal,
    "at_most": np.less_equal,
    "below": np.less,
    "above": np.greater,
}
_HUNDREDTHS = 100
_MOST_RUN = 254
"""A run of days is counted in one byte, and no further than this, where no policy asks for as many."""


class Reached:
    """Who reaches a number of the policy, of those of whom the measure tells."""

    def __init__(self, measure: Measure, number: Number, compared: str) -> None:
        self._measure, self._number, self._compare = measure, number, _COMPARED[compared]
        self.flags: Flags = np.zeros(measure.size, np.bool_)
        # Both sides of a share are products: hundredths of days with the scale, percent with days. Neither may overflow.
        most = (measure.most_days or 0) * max(_HUNDREDTHS * number.scale, *number.values)
        self._kind = np.uint32 if number.varies else narrowest(most)
        self._amount, self._limit = np.zeros((2, measure.size if measure.most_days else 0), self._kind)

    def turn(self) -> None:
        """Compare what is measured today."""
        amount, limit = self._measure.amount, self._number.at(self._measure.who)
        if self._measure.of is not None:
            amount = self._scaled(amount)
            limit = self._product(self._measure.of, limit, self._limit)
        else:
            amount = amount * self._number.scale if self._number.scale > 1 else amount
            limit = limit * self._measure.unit
        self._compare(amount, limit, out=self.flags)
        np.bitwise_and(self.flags, self._measure.telling, out=self.flags)

    def _scaled(self, amount: NDArray[Any]) -> NDArray[Any]:
        return self._product(amount, self._number.scale, self._amount) if self._number.scale > 1 else amount

    def _product(self, one: NDArray[Any], other: Any, out: NDArray[Any]) -> NDArray[Any]:
        product: NDArray[Any] = np.multiply(one, self._kind(other) if isinstance(other, int) else other, out=out)
        return product


class Leaving:
    """How many telling days in a row the exit was met, and who leaves today. Days that tell nothing neither count nor reset."""

    def __init__(self, ground: Ground, measure: Measure, reached: Reached, enough: Number | None) -> None:
        self._ground, self._measure, self._reached, self._enough = ground, measure, reached, enough
        most = max(enough.values) if enough else 1
        self._kind = np.uint8 if most < _MOST_RUN else np.uint16
        self._row = -1
        self.run: NDArray[Any] = np.zeros(measure.size, self._kind)
        self.left: Flags = np.zeros(measure.size, np.bool_)
        self._keep = np.zeros(measure.size, np.uint8)

    def enough(self) -> Any:
        """After how many days somebody leaves."""
        return self._enough.at(self._measure.who) if self._enough else 1

    def turn(self, enters: Flags) -> None:
        """Count today, once for all clauses with this exit."""
        if self._row == self._ground.row:
            return
        self._row = self._ground.row
        self._reached.turn()
        leaves, keep, run = self._reached.flags, self._keep, self.run
        if self._kind is np.uint8 and self._row > _MOST_RUN:
            np.minimum(run, _MOST_RUN, out=run)
        np.greater(self._measure.telling, leaves, out=keep.view(np.bool_))
        np.bitwise_xor(keep, 1, out=keep)
        np.add(run, leaves.view(np.uint8), out=run)
        np.multiply(run, keep, out=run)
        np.equal(run, self.enough(), out=self.left)
        np.bitwise_and(self.left, leaves, out=self.left)


class Lapsing(Leaving):
    """Without an exit: who tells today and does not enter leaves."""

    def __init__(self, ground: Ground, measure: Measure, entry: Reached) -> None:
        super().__init__(ground, measure, entry, None)
        self.run = self.left.view(np.uint8)

    def turn(self, enters: Flags) -> None:
        """See who lapses today."""
        np.greater(self._measure.telling, enters, out=self.left)


class Standing:
    """Where one clause stands."""

    def __init__(self, ground: Ground, clause: Clause, measure: Measure, entry: Reached, leaving: Leaving) -> None:
        self.clause, self.measure, self._ground, self._entry, self._leaving = clause, measure, ground, entry, leaving
        self.stands: Flags = np.zeros(ground.size, np.bool_)
        """Of all students at hand."""
        self._mine = self.stands if measure.who is None else np.zeros(measure.size, np.bool_)
        self._least = ground.number(clause, _DWELL) if _DWELL in clause.numbers else None
        self._held = np.zeros(measure.size if self._least else 0, np.int32)

    def turn(self) -> None:
        """Begin or end today."""
        if self.measure.quiet:
            return
        self._entry.turn()
        self._leaving.turn(self._entry.flags)
        if self._least is None:
            np.bitwise_or(self._mine, self._entry.flags, out=self._mine)
            np.greater(self._mine, self._leaving.left, out=self._mine)
        else:
            self._dwell(self._least.at(self.measure.who))
        if self.measure.who is not None:
            self.stands[self.measure.who] = self._mine

    def _dwell(self, least: Any) -> None:
        """No exit before it stood for so many instructional days."""
        enters, held, there = self._entry.flags, self._held, self.measure.of_mine(self._ground.there)
        leaves = (self._leaving.run >= self._leaving.enough()) & (held >= least) & ~enters
        self._mine[:] = (enters | (held > 0)) & ~(leaves & there)
        self._held = np.where(self._mine, held + (there | (held == 0)), 0)


_DWELL, _DAYS = "minimum_dwell.days", "exit.days_in_a_row"


class Clauses:
    """All clauses of a policy over some students. What several have in common is measured once."""

    def __init__(self, ground: Ground, clauses: Mapping[str, Clause]) -> None:
        self._ground = ground
        self._measures: dict[Any, Measure] = {}
        self._leaving: dict[Any, Leaving] = {}
        self.each = {name: self._standing(clause) for name, clause in clauses.items()}

    def turn(self) -> None:
        """Bring all to today."""
        for measure in self._measures.values():
            measure.turn()
        for standing in self.each.values():
            standing.turn()

    def _standing(self, clause: Clause) -> Standing:
        signal, key = SIGNALS[clause.signal], (clause.measured_by, _DWELL in clause.numbers)
        if key not in self._measures:
            self._measures[key] = signal.rehearsed[clause.texts.get("window")](self._ground, clause)
        measure = self._measures[key]
        entry = Reached(measure, self._ground.number(clause, f"entry.{signal.entry}"), signal.entry)
        return Standing(self._ground, clause, measure, entry, self._left(clause, key, measure, entry))

    def _left(self, clause: Clause, of: Any, measure: Measure, entry: Reached) -> Leaving:
        compared = SIGNALS[clause.signal].exit
        if f"exit.{compared}" not in clause.numbers:
            return Lapsing(self._ground, measure, entry)
        number = self._ground.number(clause, f"exit.{compared}")
        enough = self._ground.number(clause, _DAYS) if _DAYS in clause.numbers else None
        key = (of, number.scale, number.values, enough and enough.values)
        if key not in self._leaving:
            self._leaving[key] = Leaving(self._ground, measure, Reached(measure, number, compared), enough)
        return self._leaving[key]


class Holds:
    """Whether a condition holds.

    No condition negates. So what Kleene's logic calls true is what holds among the clauses that are true, and what it does
    not call false is what holds among those that may be.
    """

    def __init__(self, condition: Condition, size: int) -> None:
        self._condition = condition
        self._parts = [Holds(part, size) for part in condition.parts]
        self._flags: Flags = np.zeros(size, np.bool_)
        self._true = np.zeros(size if condition.join == "at_least" else 0, np.min_scalar_type(len(self._parts)))

    def among(self, clauses: Mapping[str, Flags]) -> Flags:
        """Whether it holds where these clauses do."""
        if self._condition.join == "clause":
            return clauses[self._condition.clause]
        parts = [part.among(clauses) for part in self._parts]
        if self._condition.join == "at_least":
            return self._at_least(parts)
        np.copyto(self._flags, parts[0])
        for part in parts[1:]:
            _JOINED[self._condition.join](self._flags, part, out=self._flags)
        return self._flags

    def _at_least(self, parts: list[Flags]) -> Flags:
        self._true.fill(0)
        for part in parts:
            np.add(self._true, part.view(np.uint8), out=self._true)
        return np.greater_equal(self._true, self._condition.count, out=self._flags)


_JOINED: Mapping[str, Any] = {"all": np.bitwise_and, "any": np.bitwise_or}
