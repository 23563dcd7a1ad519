"""Which of a student's enrolments counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One stay at one school; entry and exit days both count, exit = entry is a no-show."""

    school_id: str
    entry_on: date
    exit_on: date | None
    primary: bool

    @property
    def is_no_show(self) -> bool:
        """Whether the student never came."""
        return self.exit_on == self.entry_on

    def is_open(self, today: date) -> bool:
        """Whether the stay has not ended before ``today``."""
        return not self.is_no_show and (self.exit_on is None or self.exit_on >= today)


def counting(enrolments: Iterable[Enrolment], today: date) -> Enrolment | None:
    """The enrolment that counts: an open one before an ended one, then the primary school, then the latest entry."""
    return max(
        (one for one in enrolments if not one.is_no_show),
        key=lambda one: (one.is_open(today), one.primary, one.entry_on, one.school_id),
        default=None,
    )
