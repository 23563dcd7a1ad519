"""A made-up district half way through its year: who misses what is drawn, and the same every time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from random import Random
from uuid import UUID

from common.events import AttendanceKind, AttendanceRecorded, SchoolCalendarSet, SchoolDayClosed, StudentEnrolled

SCHOOL_YEAR = 2026
_CLOSED, _OPEN = 90, 90


def _weekdays(first: date, days: int) -> list[date]:
    found = (first + timedelta(days=n) for n in count())
    return [next(day for day in found if day.weekday() < 5) for _ in range(days)]


DAYS = _weekdays(date(SCHOOL_YEAR - 1, 8, 18), _CLOSED + _OPEN)
CLOSED_DAYS, OPEN_DAYS = DAYS[:_CLOSED], DAYS[_CLOSED:]


@dataclass
class District:
    """Schools of equal size, ninety days closed and ninety to come."""

    schools: int
    students_of_each: int
    draw: Random = field(default_factory=lambda: Random(1))
    revisions: Iterator[int] = field(default_factory=lambda: count(1))
    absent: set[tuple[int, date]] = field(default_factory=set)

    def __post_init__(self) -> None:
        everyone = range(self.schools * self.students_of_each)
        self.students = [UUID(int=self.draw.getrandbits(128), version=4) for _ in everyone]
        self.misses = [self.draw.betavariate(1.3, 18) for _ in everyone]  # a mean of 7 in 100, some far more
        self.absent |= {
            (student, day) for day in CLOSED_DAYS for student in everyone if self.draw.random() < self.misses[student]
        }

    def school(self, student: int) -> str:
        """The school of the student at this place."""
        return f"25590{student // self.students_of_each + 1:04}"

    def roster(self) -> Iterator[StudentEnrolled | SchoolCalendarSet]:
        """Calendars and enrolments."""
        for first in range(0, len(self.students), self.students_of_each):
            yield SchoolCalendarSet(
                revision=next(self.revisions),
                school_id=self.school(first),
                school_year=SCHOOL_YEAR,
                instructional_days=tuple(DAYS),
            )
        for place, student in enumerate(self.students):
            yield StudentEnrolled(
                revision=next(self.revisions), student_id=student, school_id=self.school(place), entry_on=DAYS[0]
            )

    def absences(self) -> Iterator[AttendanceRecorded]:
        """What was missed on the days that are closed."""
        for student, day in sorted(self.absent):
            yield self.recorded(student, day, missed=100)

    def closings(self, school: int) -> list[SchoolDayClosed]:
        """The closing of each day of one school."""
        school_id = self.school(school * self.students_of_each)
        return [SchoolDayClosed(revision=next(self.revisions), school_id=school_id, on=day) for day in CLOSED_DAYS]

    def corrections(self) -> Iterator[tuple[int, date, int]]:
        """Student, closed day and the hundredths missed after all; as often taken back as added, no day twice."""
        taken_back = self.draw.sample(sorted(self.absent), len(self.absent))
        known = set(self.absent)
        for student, day in taken_back:
            yield student, day, 0
            while True:
                added = self.draw.randrange(len(self.students)), self.draw.choice(CLOSED_DAYS)
                if added not in known:
                    break
            known.add(added)
            yield *added, 100

    def later(self) -> Iterator[tuple[int, date, int]]:
        """What is missed day after day from now on: nearly one in ten, so that every day has many rows."""
        for day in OPEN_DAYS:
            for student in self.draw.sample(range(len(self.students)), len(self.students) // 11):
                yield student, day, 100

    def stream(self, events: int) -> Iterator[AttendanceRecorded]:
        """So many events as they come in the second half of the year; every fifth corrects a closed day."""
        corrections, later = self.corrections(), self.later()
        for number in range(events):
            yield self.recorded(*next(later if number % 5 else corrections))

    def recorded(self, student: int, day: date, missed: int) -> AttendanceRecorded:
        """The fact of one student and day."""
        return AttendanceRecorded(
            revision=next(self.revisions),
            student_id=self.students[student],
            school_id=self.school(student),
            on=day,
            hundredths_absent=missed,
            kind=AttendanceKind.UNEXCUSED if missed else AttendanceKind.PRESENT,
        )
