"""How long rejected rows are kept, and when silence is worth a word."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta


@dataclass(frozen=True, slots=True)
class ArrivalPolicy:
    """How long and how much of what arrived is kept, and at which ages silence is told."""

    rejected_days: int
    rejected_bytes: int
    rejected_most: int
    history_days: int
    submitted_by: time
    alert_school_days: Sequence[int]
    reasons_shown: int

    def latest_due(self, school_time: datetime) -> date:
        """The last day that should have been submitted at ``school_time``."""
        today = school_time.date()
        return today if school_time.time() >= self.submitted_by else today - timedelta(days=1)

    def reached(self, age: int) -> int | None:
        """The highest of the set ages, in school days, that ``age`` has come to; ``None`` below the first."""
        return max((step for step in self.alert_school_days if age >= step), default=None)
