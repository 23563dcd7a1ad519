"""The same for what happens to few students on few days: surveys, referrals, requests for help, exclusions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Flags, Ints
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import Happened, heard_by
from mtss.rules.rehearsal.ground import ByRow, Ground, Places
from mtss.rules.rehearsal.measures import Measure
from mtss.rules.timeline import FIRST_SCHOOL_DAYS


class Sparse(Measure):
    """What is known of those to whom something ever happened: nothing that a clause could stand on is known of others."""

    def __init__(self, ground: Ground, clause: Clause) -> None:
        happened = self.heard(ground.district.happened[heard_by(clause)], clause)
        self.happened = ByRow(happened, ("value",), ground.rows, ground.first, ground.end)
        to_whom = np.zeros(ground.size, np.bool_)
        to_whom[self.happened.student] = True
        self.mine: Places = np.flatnonzero(to_whom)
        super().__init__(ground, clause, self.mine)
        self.place: Places = np.cumsum(to_whom)[self.happened.student] - 1

    def heard(self, happened: Happened, clause: Clause) -> Happened:
        """What the clause hears of what happened: all of it."""
        return happened


class Level(Sparse):
    """The mean last heard."""

    def __init__(self, ground: Ground, clause: Clause) -> None:
        super().__init__(ground, clause)
        self._heard, self.amount = np.zeros(self.size, np.bool_), np.zeros(self.size)
        self._settled, self._settles = False, "minimum_dwell.days" not in clause.numbers

    def turn(self) -> None:
        """Hear who answered today."""
        which = self.happened.at(self.ground.row)
        now = which.start < which.stop or self.ground.rules_moved
        # A day longer than something changed: only the first of the days that leave is an exit.
        self.quiet = self._settled and not now
        self._settled = self._settles and not now
        self.hear(self.place[which], self.happened.columns[0][which])
        np.copyto(self.telling, self._heard)
        self.ask_only_who_may_be()

    def hear(self, places: Places, means: NDArray[Any]) -> None:
        """Each student answers at most once a day."""
        self.amount[places] = means
        self._heard[places] = True

    def tells(self) -> Flags:
        """Of who never answered nothing is known."""
        telling: Flags = np.zeros(self.ground.size, np.bool_)
        telling[self.mine] = self.telling
        return telling


class Count(Sparse):
    """How much in the school year, or in its first days."""

    def __init__(self, ground: Ground, clause: Clause, *, unit: int = 1, closed: bool = False) -> None:
        """``closed``: only closed days say anything."""
        super().__init__(ground, clause)
        self.unit, self._closed = unit, closed
        self.amount = np.zeros(self.size, np.int32)
        self._much = self.happened.columns[0].astype(np.int32)
        self._sums = {year: np.zeros(self.size, np.int32) for year in ground.district.begins}
        self._begins = {year: row[ground.first : ground.end][self.mine] for year, row in ground.district.begins.items()}
        self._first = int(clause["window_days"]) if clause.texts.get("window") == FIRST_SCHOOL_DAYS else None
        self._enrolled = {year: np.zeros(self.size, np.int32) for year in ground.district.begins}
        self.quiet = not self.size

    def turn(self) -> None:
        """Count, and tell on instructional days."""
        if not self.quiet:
            which = self.happened.at(self.ground.row)
            self.count(self.place[which], self._much[which])
            np.copyto(self.telling, self.days()[self.mine])
            self.ask_only_who_may_be()

    def count(self, places: Places, much: Ints) -> None:
        """Count those of today for each school year that they are of."""
        for year, so_far in self._sums.items():
            counts = self.are_of(year, places)
            if self._first is not None:
                counts &= self._enrolled[year][places] < self._first
            np.add.at(so_far, places[counts], much[counts])
        for year, mine in self.ground.of_year:
            self.amount = np.where(mine[self.mine], self._sums[year], self.amount)
            self._enrolled[year] += (mine & self.ground.known)[self.mine]

    def are_of(self, year: int, places: Places) -> Flags:
        """Whether what happens today counts for a school year: it has begun for the student."""
        begun: Flags = self._begins[year][places] <= self.ground.row
        return begun

    def tells(self) -> Flags:
        """That there was none is known too."""
        return self.days() if self.ground.asked is None else self.days() & self.ground.asked

    def days(self) -> Flags:
        """Of whom today says something: all who have school, or whose school closed the day."""
        return self.ground.known if self._closed else self.ground.there


class RecentCount(Count):
    """How much in so many last calendar days, the day itself included."""

    def __init__(self, ground: Ground, clause: Clause, **how: Any) -> None:
        super().__init__(ground, clause, **how)
        days = ground.district.days
        until = np.searchsorted(days, days[self.happened.row] + int(clause["window_days"]))
        order = np.argsort(until, kind="stable")
        self._over, self._over_much = self.place[order], self._much[order]
        self._until = np.searchsorted(until[order], np.arange(ground.rows + 1))

    def count(self, places: Places, much: Ints) -> None:
        """Count those of today, and no more those that are too long ago."""
        np.add.at(self.amount, places, much)
        over = slice(*self._until[self.ground.row : self.ground.row + 2])
        np.subtract.at(self.amount, self._over[over], self._over_much[over])


class RecentSchoolCount(Count):
    """How much since so many of the student's enrolled days, whatever the school year."""

    def __init__(self, ground: Ground, clause: Clause, **how: Any) -> None:
        super().__init__(ground, clause, **how)
        self._recent = np.zeros((int(clause["window_days"]), self.size), np.int32)
        self._since_school = np.zeros(self.size, np.int32)
        self._place, self._everyone = np.zeros(self.size, np.intp), np.arange(self.size)

    def count(self, places: Places, much: Ints) -> None:
        """What happened since the last enrolled day goes with the next one; so it leaves the window with it."""
        np.add.at(self.amount, places, much)
        np.add.at(self._since_school, places, much)
        known, at = self.ground.known[self.mine], (self._place, self._everyone)
        out = self._recent[at]
        self.amount -= out * known
        self._recent[at] = np.where(known, self._since_school, out)
        self._since_school[known] = 0
        self._place = (self._place + known) % len(self._recent)


class CountOfDays(Count):
    """How many school days in the school year that they are of."""

    def are_of(self, year: int, places: Places) -> Flags:
        """Whether today is a day of that school year."""
        now = dict(self.ground.of_year).get(year)
        return np.zeros(len(places), np.bool_) if now is None else now[self.mine][places]
