"""What the signals of attendance say of some students, brought from one day to the next. Each says the same as its closed form.

A measure has ``who`` it is about, what is known (``telling``), an ``amount``, and for shares of how many days (``of``). It is
``quiet`` on a day on which nothing that rests on it can change.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Flags
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import MOST_MISSED, Bytes
from mtss.rules.rehearsal.ground import Ground, Who

_NARROW = np.iinfo(np.uint16)


def narrowest(most: int) -> Any:
    """The type that holds every whole number from 0 to ``most``, 16 or 32 bits wide."""
    return np.uint16 if most <= _NARROW.max else np.uint32


class Measure(ABC):
    """What one signal says day by day."""

    quiet = False
    unit = 1
    """So many of the amount are one of what the clause's numbers count."""
    amount: NDArray[Any]
    most_days: int | None = None
    """A share is never of more days than this."""

    def __init__(self, ground: Ground, clause: Clause, who: Who = None) -> None:
        self.ground, self.clause, self.who = ground, clause, who
        self.size = ground.size if who is None else len(who)
        self.telling: Flags = np.zeros(self.size, np.bool_)

    @property
    def of(self) -> NDArray[Any] | None:
        """For shares: of how many days."""
        return None

    @abstractmethod
    def turn(self) -> None:
        """Hear what there is to hear today."""

    def tells(self) -> Flags:
        """Of all students at hand whether anything is known."""
        return self.telling

    def of_mine(self, flags: Flags) -> Flags:
        """The part of ``flags`` that is about ``who``."""
        return flags if self.who is None else flags[self.who]

    def ask_only_who_may_be(self) -> None:
        """Know nothing of students in a grade that is exempt."""
        if self.ground.asked is not None:
            self.telling &= self.of_mine(self.ground.asked)


class Share(Measure):
    """Hundredths of days missed, of how many enrolled days; the sums are those of the school year."""

    enrolled: NDArray[Any]

    def __init__(self, ground: Ground, clause: Clause) -> None:
        super().__init__(ground, clause)
        self.most_days = self._most_days()
        self._minimum = int(clause["minimum_data.enrolled_days"])
        self._kind = narrowest(MOST_MISSED * self.most_days)
        self._today: Bytes = np.zeros(self.size, np.uint8)
        self._sums = {year: self._nothing() for year in ground.district.begins}
        self._known8 = ground.known.view(np.uint8)

    @property
    def of(self) -> NDArray[Any]:
        """Enrolled days."""
        return self.enrolled

    def turn(self) -> None:
        """Add today, and tell of those who have the minimum of days."""
        self.quiet = not self.ground.is_school_day
        if self.quiet:
            return
        np.multiply(self.ground.missed(self.clause.texts["counts"]), self._known8, out=self._today)
        self.add()
        np.greater_equal(self.enrolled, self._minimum, out=self.telling)
        self.telling &= self.ground.known
        self.ask_only_who_may_be()

    def add(self) -> None:
        """Add today to what was missed and enrolled in the year that it is a day of."""
        for year, mine in self.ground.of_year:
            missed, enrolled = self._sums[year]
            enrolled += self.ground.known & mine
            missed += self.counted(self._today * mine, enrolled)
        self.amount, self.enrolled = self._sums[self.ground.of_year[0][0]]
        for year, mine in self.ground.of_year[1:]:
            missed, enrolled = self._sums[year]
            self.amount = np.where(mine, missed, self.amount)
            self.enrolled = np.where(mine, enrolled, self.enrolled)

    def counted(self, today: Bytes, enrolled: NDArray[Any]) -> Bytes:
        """What counts of what was missed today."""
        return today

    def _nothing(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.zeros(self.size, self._kind), np.zeros(self.size, np.uint16)

    def _most_days(self) -> int:
        years = self.ground.tables.years
        return max(
            (sum(year in each for each in years) for year in {year for each in years for year in each}), default=0
        )


class FirstDays(Share):
    """The same over so many first enrolled days of the school year."""

    def add(self) -> None:
        """Add today, if it is one of the first."""
        super().add()
        self.enrolled = np.minimum(self.enrolled, int(self.clause["window_days"]))

    def counted(self, today: Bytes, enrolled: NDArray[Any]) -> Bytes:
        """What was missed on one of the first days."""
        return today * (enrolled <= int(self.clause["window_days"]))


class LastDays(Share):
    """The same over so many of the student's last enrolled days, whatever the school year."""

    def __init__(self, ground: Ground, clause: Clause) -> None:
        super().__init__(ground, clause)
        self.amount, self.enrolled = self._nothing()
        self._recent: Bytes = np.zeros((int(clause["window_days"]), self.size), np.uint8)
        self._place, self._everyone = np.zeros(self.size, np.intp), np.arange(self.size)

    def add(self) -> None:
        """What is missed today comes in for what was missed so many enrolled days ago."""
        length, at = len(self._recent), (self._place, self._everyone)
        out = self._recent[at]
        self._recent[at] = np.where(self.ground.known, self._today, out)
        self.amount += self._today
        self.amount -= out * self._known8
        self.enrolled += self._known8
        np.minimum(self.enrolled, length, out=self.enrolled)
        self._place += self._known8
        self._place[self._place == length] = 0

    def _most_days(self) -> int:
        return min(int(self.clause["window_days"]) + 1, self.ground.rows)
