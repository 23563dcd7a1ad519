"""Absences by plan: on every school day from the 20th on, a few students reach 10 percent of their enrolled days.

Whoever looks at the sample on any day of the year finds students who have just become targeted; left to chance, a small
district would have weeks without one. Each plan is one student who is enrolled the whole year: absences pile up until the
entry day, then the student is back every day until the clause has ended, and may slide again.

Source of the rule: domain.md's default policy, entry at 10 percent of at least 20 days, exit at the 20th day in a row
under 8 percent. Days are counted from 1, the student's first enrolled day; amounts are hundredths of a day.
"""

from dataclasses import dataclass, field
from functools import cache

ENTRIES_A_DAY = 3
_MINIMUM_DAYS = 20
_EXIT_RUN = 20
_WEEK = 7


@dataclass(slots=True)
class Plan:
    """One student's year: how much of which day is missed, and the days on which 10 percent is reached."""

    absent: dict[int, int] = field(default_factory=dict)
    entries: list[int] = field(default_factory=list)
    free_after: int = 0
    """The day on which the clause of the last entry has ended."""

    def enter(self, day: int) -> bool:
        """Plan the absences that make ``day`` an entry day; false, and nothing planned, if there is no room."""
        missed = sum(self.absent.values())
        # Just before the entry day: under 10 percent, and one more day reaches it. Full and half days always can.
        brink = max(missed, -(-(10 * day - 100) // 50) * 50)
        chosen: dict[int, int] = {}
        latest = day - 1
        while brink > missed:
            amount = 50 if brink - missed == 50 else 100
            first_safe = brink // 10 + 1
            absent_on = latest if self.entries else max(first_safe, latest - _WEEK + 1)
            if absent_on < max(first_safe, self.free_after + 1) or absent_on > latest:
                return False
            chosen[absent_on] = amount
            brink -= amount
            latest = absent_on - 1
        self.absent |= dict(sorted(chosen.items())) | {day: 100}
        self.entries.append(day)
        self.free_after = self._day_under(8, since=day) + _EXIT_RUN - 1
        return True

    def _day_under(self, percent: int, *, since: int) -> int:
        return max(since, sum(self.absent.values()) // percent + 1)


@cache
def plans(days: int) -> tuple[Plan, ...]:
    """Students such that on each day from the 20th through ``days`` three of them reach 10 percent: 180 for 180 days."""
    made: list[Plan] = []
    for day in range(_MINIMUM_DAYS, days + 1):
        entered = 0
        for plan in made:
            if entered < ENTRIES_A_DAY and plan.free_after < day:
                entered += plan.enter(day)
        while entered < ENTRIES_A_DAY:
            made.append(Plan())
            entered += made[-1].enter(day)
    return tuple(made)
