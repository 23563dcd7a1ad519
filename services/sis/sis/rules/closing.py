"""When a school has submitted its days."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class ClosingPolicy:
    """Whether and when the clock closes days."""

    clock: bool
    at: time
    lease_seconds: int

    def latest_due(self, school_time: datetime) -> date:
        """The last day whose rows may close days at ``school_time``: today from the closing time on, else yesterday."""
        today = school_time.date()
        return today if school_time.time() >= self.at else today - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """One day to close; implied if only a later day says so."""

    on: date
    implied: bool


def days_to_close(
    instructional: Iterable[date],
    *,
    through: date,
    closed: Collection[date],
    with_rows: Collection[date],
    said: bool,
) -> list[ClosedDay]:
    """All open instructional days up to and including ``through``, ascending.

    A day without rows is implied, except the last one if somebody ``said`` that it is submitted: that is the day meant
    when ``through`` itself is not instructional.
    """
    due = sorted(day for day in set(instructional) if day <= through)
    meant = due[-1] if due and said else None
    return [ClosedDay(day, day not in with_rows and day != meant) for day in due if day not in closed]
