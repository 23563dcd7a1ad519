"""The school year: instructional days and days off, counted in weeks from the first day."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

INSTRUCTIONAL_DAYS = 180
USUAL_DAY = 120
"""Without other wishes the sample stands at about this instructional day."""

_WEEKDAYS = 5
# Week of the year and weekday. For a year that starts in late August these fall on Labor Day, an autumn day, Thanksgiving,
# two weeks of winter, two long weekends and the spring week; they move with the first day, so every year looks alike.
_DAYS_OFF = frozenset(
    [(2, 0), (7, 0), (13, 3), (13, 4), (21, 0), (24, 0)]
    + [(week, weekday) for week in (17, 18, 30) for weekday in range(_WEEKDAYS)]
)


@dataclass(frozen=True)
class SchoolYear:
    """One school year that begins on ``starts``, or on the Monday after it if that is a weekend."""

    starts: date

    @cached_property
    def _weekdays(self) -> list[tuple[date, bool]]:
        monday = self.starts - timedelta(days=self.starts.weekday())
        if self.starts.weekday() >= _WEEKDAYS:
            monday += timedelta(weeks=1)
        found: list[tuple[date, bool]] = []
        open_days = week = 0
        while open_days < INSTRUCTIONAL_DAYS:
            for weekday in range(_WEEKDAYS):
                day = monday + timedelta(weeks=week, days=weekday)
                if day >= self.starts and open_days < INSTRUCTIONAL_DAYS:
                    instructional = (week, weekday) not in _DAYS_OFF
                    open_days += instructional
                    found.append((day, instructional))
            week += 1
        return found

    @cached_property
    def days(self) -> list[date]:
        """Every instructional day, ascending."""
        return [day for day, instructional in self._weekdays if instructional]

    @cached_property
    def days_off(self) -> list[date]:
        """Every weekday without school between the first and the last day."""
        return [day for day, instructional in self._weekdays if not instructional]

    @property
    def number(self) -> int:
        """The calendar year in which the school year ends."""
        return self.days[-1].year

    def days_through(self, through: date) -> int:
        """How many instructional days lie on or before ``through``."""
        return bisect_right(self.days, through)

    def session(self, index: int) -> str:
        """The name of the semester that the day with this index belongs to."""
        half = "Fall" if index < INSTRUCTIONAL_DAYS // 2 else "Spring"
        return f"{self.days[0].year}-{self.number} {half} Semester"


def last_weekday_before(today: date) -> date:
    """The newest Monday to Friday before ``today``."""
    since = {0: 3, 6: 2}.get(today.weekday(), 1)
    return today - timedelta(days=since)


def usual_start(today: date) -> date:
    """The Monday from which the last weekday before ``today`` is an instructional day, and the one nearest to the 120th."""
    through = last_weekday_before(today)
    monday = through - timedelta(days=through.weekday())
    return min(
        (monday - timedelta(weeks=weeks) for weeks in range(20, 36)), key=lambda starts: _distance(starts, through)
    )


def _distance(starts: date, through: date) -> tuple[bool, int]:
    year = SchoolYear(starts)
    return through not in year.days, abs(year.days_through(through) - USUAL_DAY)
