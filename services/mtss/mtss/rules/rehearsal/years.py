"""How the school years of students ended, and when it was certain that they would."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtss.rules.facts import Flags, Ints
from mtss.rules.rehearsal.comparison import Decides, YearEnd
from mtss.rules.rehearsal.district import District
from mtss.rules.rehearsal.ground import Ground, Tables
from mtss.rules.rehearsal.outcome import TARGETED, Outcome

_AT_ONCE = 32_768


@dataclass(frozen=True, slots=True)
class Years:
    """School years of students with at least one counted day: columns of equal length, by year and then student."""

    student: Ints
    first: Ints
    """The row of the first counted day."""
    seen: Ints
    """The row of the day with which so many first days had counted as were asked for; as many as there are rows if never."""
    last: Ints
    enrolled: Ints
    """Days."""
    missed: Ints
    """Hundredths of days."""
    crossed: Sequence[Ints]
    """For each way in which a year may end the row of the day on which it was certain; as many as there are rows if never.

    That is the day on which what was missed reached the share of all days that the student was enrolled in the year.
    """


def years_of(
    district: District, tables: Tables, years: Sequence[int], ends: Sequence[YearEnd], first_days: int
) -> Years:
    """Every one of these school years of every student."""
    groups = [
        _Group(district, tables, years, ends, first_days, first) for first in range(0, district.students, _AT_ONCE)
    ]
    nothing = (np.zeros(0, np.int32),) * (6 + len(ends))
    parts = [nothing, *(group.part(year) for year in range(len(years)) for group in groups)]
    student, first, seen, last, enrolled, missed, *crossed = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return Years(student, first, seen, last, enrolled, missed, crossed)


class _Group:
    """The students from ``first`` on, over all days twice: how each year ended, then when that was certain."""

    def __init__(
        self,
        district: District,
        tables: Tables,
        years: Sequence[int],
        ends: Sequence[YearEnd],
        first_days: int,
        first: int,
    ) -> None:
        self.first, self._years, self._ends, self._first_days = first, list(years), ends, first_days
        self._ground_of = district, tables, first, min(first + _AT_ONCE, district.students)
        shape, self._rows = (len(years), self._ground_of[3] - first), len(district.days)
        self._begun, self._seen = (np.full(shape, self._rows, np.int32) for _ in range(2))
        self._last = np.zeros(shape, np.int32)
        self._enrolled, self._missed = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        self._crossed = np.full((len(ends), *shape), self._rows, np.int32)
        self._add_up()
        self._cross()

    def _days(self) -> Iterator[tuple[int, int, Flags, Any]]:
        """Each day and year: its row, the year's place, which students' day counts, and what was missed on it."""
        ground = Ground(*self._ground_of)
        for row in range(ground.rows):
            ground.turn(row)
            for year, mine in ground.of_year:
                if year in self._years:
                    counts = ground.known & mine
                    yield row, self._years.index(year), counts, ground.missed("all") * counts

    def _add_up(self) -> None:
        for row, year, counts, missed in self._days():
            self._enrolled[year] += counts
            self._missed[year] += missed
            self._last[year][counts] = row
            self._begun[year][counts & (self._begun[year] == self._rows)] = row
            self._seen[year][counts & (self._enrolled[year] == self._first_days)] = row

    def _cross(self) -> None:
        so_far = np.zeros_like(self._missed)
        for row, year, counts, missed in self._days():
            so_far[year] += missed
            for place, end in enumerate(self._ends):
                crossed = self._crossed[place][year]
                reached = so_far[year] >= end.percent * self._enrolled[year]
                crossed[counts & reached & (crossed == self._rows)] = row

    def part(self, year: int) -> tuple[Ints, ...]:
        """The columns of one year."""
        there = np.flatnonzero(self._enrolled[year])
        columns = (self._begun, self._seen, self._last, self._enrolled, self._missed, *self._crossed)
        return (there + self.first).astype(np.int32), *(each[year][there] for each in columns)


def decided(years: Years, outcome: Outcome, state: int = TARGETED, decides: Decides = "every_day") -> Ints:
    """The row of the first day of each year on which students were in ``state``; as many as there are rows if on none.

    ``decides``: on which days of each year that is looked at.
    """
    rows, stood = len(outcome.days), outcome.episodes(state)
    since = {"every_day": years.first, "first_days_of_year": years.seen, "last_day_of_year": years.last}[decides]
    # Times of one student follow each other: the first that ends after the year began is the one, if it began in time.
    width = np.int64(rows + 2)
    ends = stood.student * width + stood.exit
    found = np.searchsorted(ends, years.student * width + since, side="right")
    at = np.minimum(found, max(len(ends) - 1, 0))
    if not len(ends):
        return np.full(len(years.student), rows, np.int32)
    mine = (found < len(ends)) & (stood.student[at] == years.student) & (stood.entry[at] <= years.last)
    return np.where(mine, np.maximum(stood.entry[at], since), rows).astype(np.int32)
