"""Attendance rows: the usual shapes, with half days, two rows on a day, late corrections and deletions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from trial.sample.chance import Draws, generator
from trial.sample.families import Student
from trial.sample.schools import School
from trial.sample.year import INSTRUCTIONAL_DAYS, SchoolYear

EVENTS = "studentSchoolAttendanceEvents"
DELETES = f"{EVENTS}.deletes"

_CATEGORY = "uri://ed-fi.org/AttendanceEventCategoryDescriptor#"
_MONDAY, _FRIDAY = 0, 4

Line = tuple[str, str]
"""The name of a file and a line for it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a day: its category and the fraction of the day, if one is given."""

    category: str
    fraction: float | None
    reason: str | None = None


_FULL_EXCUSED = Row("Excused Absence", 1.0)
_FULL_UNEXCUSED = Row("Unexcused Absence", 1.0)
_EXCLUDED = Row("Excused Absence", 1.0, "Out-of-school suspension")
_LATE = Row("Tardy", None)
_DAYS: tuple[tuple[float, tuple[Row, ...]], ...] = (
    (0.48, (_FULL_EXCUSED,)),
    (0.78, (_FULL_UNEXCUSED,)),
    (0.85, (Row("Partial", 0.5),)),
    (0.91, (Row("Excused Absence", 0.5),)),
    (0.95, (Row("Early departure", 0.25),)),
    (0.975, (_LATE, Row("Excused Absence", 0.5))),
    (1.0, (_FULL_EXCUSED, Row("Partial", 0.5))),
)
# What became of a full day reported as missed; the rest stayed as it was.
_TAKEN_BACK, _HALVED, _EXCUSED_LATER, _HEARD_LATE = 0.015, 0.03, 0.06, 0.07
_MOST_DAYS_LATE = 12


def chances(seed: int, student: Student, year: SchoolYear) -> NDArray[np.float64]:
    """For each day of the year how likely the student is to be absent."""
    draws = Draws(seed, "shape", student.index, count=8)
    kind, share, flu_week = draws.share(), draws.share(), 19 + draws.below(2)
    days = np.full(INSTRUCTIONAL_DAYS, 0.004 + 0.016 * share)
    if kind < 0.24:
        days[:] = 0.025 + 0.025 * share
    elif kind < 0.275:
        weekdays = np.array([day.weekday() for day in year.days])
        days[weekdays == _MONDAY] = 0.30 + 0.15 * share
        days[weekdays == _FRIDAY] = 0.08
    elif kind < 0.30:
        days[:] = np.linspace(0.01, 0.10 + 0.12 * share, INSTRUCTIONAL_DAYS)
    elif kind < 0.325:
        days[:] = 0.11 + 0.16 * share
    flu = slice(5 * flu_week, 5 * flu_week + 5)
    days[flu] += 0.12
    return days


@dataclass(frozen=True)
class Register:
    """Writes down what was known of attendance on ``through``."""

    seed: int
    year: SchoolYear
    through: date

    def lines(self, number: int, students: Sequence[Student], excluded: Mapping[int, set[int]]) -> Iterator[Line]:
        """The lines of one group of students; ``excluded`` holds the days of suspension by student index."""
        shape = len(students), INSTRUCTIONAL_DAYS
        share, kind, fate = generator(self.seed, "attendance", number).random((3, *shape))
        absent = share < np.stack([chances(self.seed, student, self.year) for student in students])
        late = share > 0.988
        reported = self.year.days_through(self.through)
        happened = (absent | late)[:, :reported]
        for at, student in enumerate(students):
            if student.plan:
                yield from self._planned(student, student.plan.absent, kind[at], reported)
                continue
            suspended = excluded.get(student.index, set())
            days = np.flatnonzero(happened[at]).tolist()
            for day in sorted({*days, *(day for day in suspended if day < reported)}) if suspended else days:
                school = student.school_on(day)
                if school is None:
                    continue
                if day in suspended:
                    yield self._line(student, school, day, _EXCLUDED)
                elif absent[at, day]:
                    yield from self._missed(student, school, day, float(kind[at, day]), float(fate[at, day]))
                else:
                    yield self._line(student, school, day, _LATE)

    def _planned(
        self, student: Student, absent: Mapping[int, int], kind: NDArray[np.float64], reported: int
    ) -> Iterator[Line]:
        for day, hundredths in absent.items():
            if day <= reported:
                category = "Excused Absence" if kind[day - 1] < 0.6 else "Unexcused Absence"
                yield self._line(student, student.spells[0].school, day - 1, Row(category, hundredths / 100))

    def _missed(self, student: Student, school: School, day: int, kind: float, fate: float) -> Iterator[Line]:
        rows = next(rows for limit, rows in _DAYS if kind < limit)
        changed = 1 + int(fate * 1_000_003) % _MOST_DAYS_LATE
        if rows not in ((_FULL_EXCUSED,), (_FULL_UNEXCUSED,)) or fate >= _HEARD_LATE:
            for row in rows:
                yield self._line(student, school, day, row)
            return
        heard = self.year.days[day] + timedelta(days=changed)
        if fate >= _EXCUSED_LATER:
            if heard <= self.through:
                yield self._line(student, school, day, rows[0], changed)
            return
        yield self._line(student, school, day, rows[0])
        if heard > self.through:
            return
        if fate < _TAKEN_BACK:
            yield self._deletion(student, school, day, rows[0], changed)
        elif fate < _HALVED:
            yield self._line(student, school, day, Row(rows[0].category, 0.5), changed)
        elif rows[0] is _FULL_UNEXCUSED:
            yield self._deletion(student, school, day, rows[0], changed)
            yield self._line(student, school, day, Row("Excused Absence", 1.0, "Note from home"), changed)

    def _line(self, student: Student, school: School, day: int, row: Row, later: int = 0) -> Line:
        fraction = "" if row.fraction is None else f',"eventDuration":{row.fraction}'
        reason = f',"attendanceEventReason":"{row.reason}"' if row.reason else ""
        return EVENTS, f"{self._key(student, school, day, row)}{fraction}{reason}{self._known(day, later)}"

    def _deletion(self, student: Student, school: School, day: int, row: Row, later: int) -> Line:
        return DELETES, self._key(student, school, day, row) + self._known(day, later)

    def _key(self, student: Student, school: School, day: int, row: Row) -> str:
        return (
            f'{{"studentReference":{{"studentUniqueId":"{student.number}"}},"schoolReference":{{"schoolId":{school.id}}},'
            f'"sessionReference":{{"schoolId":{school.id},"schoolYear":{self.year.number},'
            f'"sessionName":"{self.year.session(day)}"}},"eventDate":"{self.year.days[day]}",'
            f'"attendanceEventCategoryDescriptor":"{_CATEGORY}{row.category}"'
        )

    def _known(self, day: int, later: int) -> str:
        return (
            f',"_lastModifiedDate":"{self.year.days[day] + timedelta(days=later)}T{"16" if later else "15"}:30:00Z"}}\n'
        )
