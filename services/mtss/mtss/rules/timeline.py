"""Days of students as day-major arrays, one row a day and one column a student: the ground on which clauses stand."""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import DATED, NEVER, Absences, Calendar, Closed, Facts, Flags, Ints
from mtss.rules.policy.document import Policy, Variant

Small: TypeAlias = NDArray[np.int16]

LAST_DAYS, LAST_SCHOOL_DAYS, FIRST_SCHOOL_DAYS = "last_days", "last_school_days", "first_school_days"
"""Windows: so many calendar days; so many of the student's own enrolled days, the last, or the first of a school year."""
OPEN, CLOSED, IMPLIED = 0, 1, 2
"""Whether a school has submitted a day, or a later day implied it."""


@dataclass(frozen=True, slots=True)
class Coming:
    """Where each student's days go on: the rest of a school year is supposed to be closed from the day after ``last`` on."""

    last: Ints
    year: Ints


@dataclass(frozen=True, slots=True)
class Timeline:
    """Which school counts on each day of each student, and what is known of that day."""

    days: Ints
    """Every day on which anything may happen, ascending; the rows of all other arrays."""
    school: Small
    """The school of the enrolment that counts; one more than the last if there is none."""
    year: Small
    """The school year of an instructional day of that school, else 0."""
    closing: Small
    """``OPEN``, ``CLOSED`` or ``IMPLIED``; ``OPEN`` on every day that is not instructional."""
    known: Flags
    """Instructional and closed: the days that count as enrolled."""
    on_course: Flags
    """Instructional days from the first closed day to the last: the days that have a tier."""
    absent: Ints
    """Hundredths of a day missed, 0 wherever nothing is known."""
    rows_of_year: dict[int, slice]
    """For each school year the rows within which all its days lie."""
    variants: tuple[Variant, ...] = ()
    """What the policy says otherwise for some of these days."""
    variant: Small | None = None
    """Which of them counts, from 1, and 0 for none; ``None`` where there are none."""
    exempt: Flags | None = None
    """Days in a grade of which the policy knows nothing; ``None`` where there are none."""

    def year_to_date(self, amount: Ints | Flags) -> Ints:
        """The sum of ``amount`` over the days of each day's own school year, up to and including that day."""
        total = np.zeros(amount.shape, np.int32)
        for year, rows in self.rows_of_year.items():
            mine = self.year[rows] == year
            total[rows] += np.cumsum(amount[rows] * mine, axis=0, dtype=np.int32) * mine
        return total

    def happened(self, students: Ints, days: Ints, much: Ints | None = None) -> Ints:
        """How often something happened to each student on each day, or how much of it."""
        found = np.zeros(self.known.shape, np.int32)
        rows, known = rows_at(self.days, days)
        np.add.at(found, (rows[known], students[known]), 1 if much is None else much[known])
        return found

    def carried(self, students: Ints, days: Ints, values: NDArray[Any]) -> NDArray[Any]:
        """What each of some ``values`` brings, from its day until the next of that student; 0 before the first."""
        rows, found = rows_at(self.days, days)
        row, student = rows[found], students[found]
        on_day, any_heard = np.zeros(self.known.shape, values.dtype), np.zeros(self.known.shape, np.bool_)
        on_day[row, student], any_heard[row, student] = values[found], True
        asked = np.unique(student)
        last = np.maximum(carry(any_heard[:, asked]) - 1, 0)
        on_day[:, asked] = np.take_along_axis(on_day[:, asked], last, axis=0)
        return on_day

    def in_last_days(self, happened: Ints, length: int) -> Ints:
        """How much within so many calendar days, the day itself included."""
        total = np.concatenate(
            (np.zeros((1, happened.shape[1]), np.int32), np.cumsum(happened, axis=0, dtype=np.int32))
        )
        before = np.searchsorted(self.days, self.days - length, side="right")
        within: Ints = total[1:] - total[before]
        return within

    def in_last_school_days(self, happened: Ints, length: int) -> Ints:
        """How much since so many of the student's enrolled days, whatever the school year; those before the first are none."""
        enrolled = np.cumsum(self.known, axis=0, dtype=np.int32)
        total = np.cumsum(happened, axis=0, dtype=np.int32)
        # How much up to each enrolled day, by the number of that day; in front the nothing before the first.
        by_day = np.zeros((len(enrolled) + 1, enrolled.shape[1]), np.int32)
        rows, students = np.nonzero(self.known)
        by_day[enrolled[rows, students], students] = total[rows, students]
        within: Ints = total - np.take_along_axis(by_day, np.maximum(enrolled - length, 0), axis=0)
        return within

    def in_first_school_days(self, year: int, length: int) -> Flags:
        """Days before which fewer than ``length`` days were enrolled in this school year, those of other years too."""
        enrolled = self.known & (self.year == year)
        within: Flags = np.cumsum(enrolled, axis=0, dtype=np.int32) - enrolled < length
        return within

    def of_kind(self, facts: Facts, kind: int) -> Flags:
        """Which closed days were of one kind."""
        found: Flags = np.zeros(self.known.shape, np.bool_)
        found[_counted(self.days, facts.absences, self.school, self.known, facts.absences.kind == kind)[:2]] = True
        return found

    def absent_of(self, facts: Facts, kind: int | None) -> Ints:
        """Hundredths of a day missed, of one kind or of all."""
        if kind is None:
            return self.absent
        mine = facts.absences.kind == kind
        return _absent(self.days, facts.absences, self.school, self.known, mine)


def timeline_of(facts: Facts, policy: Policy, coming: Coming | None = None) -> Timeline:
    """The days of every student, up to the last day that any of their schools closed, or is supposed to close."""
    days = _axis(facts, facts.closed if coming is None else facts.calendar)
    year_at, closing_at = _schools(days, facts.calendar, facts.closed, len(facts.schools))
    school = of_what_counts(days, facts, facts.enrolments.school, nobody=len(facts.schools))
    year = np.take_along_axis(year_at, school, axis=1)
    closing = np.take_along_axis(closing_at, school, axis=1)
    if coming is not None:
        supposed = np.where(year == coming.year, np.int16(CLOSED), np.int16(OPEN))
        closing = np.where(days[:, None] > coming.last, supposed, closing)
    known = closing > OPEN
    return Timeline(
        days=days,
        school=school,
        year=year,
        closing=closing,
        known=known,
        on_course=_between_first_and_last(known, year > 0),
        absent=_absent(days, facts.absences, school, known),
        rows_of_year=_rows_of_years(year_at),
        **_otherwise(days, facts, policy),
    )


def under(timeline: Timeline, facts: Facts, policy: Policy) -> Timeline:
    """The same days under another policy, which may say otherwise for other grades and schools."""
    nothing: dict[str, Any] = {"variants": (), "variant": None, "exempt": None}
    return replace(timeline, **(nothing | _otherwise(timeline.days, facts, policy)))


def _otherwise(days: Ints, facts: Facts, policy: Policy) -> dict[str, Any]:
    """Where the policy says something else, by the grade and the school of the enrolment that counts."""
    found: dict[str, Any] = {}
    grades = [facts.grades[grade] for grade in facts.enrolments.grade]
    if policy.variants:
        schools = [facts.schools[school] for school in facts.enrolments.school]
        of_each = [policy.variant_of(*both) for both in zip(grades, schools, strict=True)]
        variants = tuple({each for each in of_each if each is not None})
        places = [0 if each is None else variants.index(each) + 1 for each in of_each]
        if variants:
            found = {
                "variants": variants,
                "variant": of_what_counts(days, facts, np.array(places, np.int32), nobody=0),
            }
    if policy.exempt_grades.intersection(grades):
        exempt = np.array([grade in policy.exempt_grades for grade in grades], np.int32)
        found["exempt"] = of_what_counts(days, facts, exempt, nobody=0) > 0
    return found


def first_days(facts: Facts, year: int) -> Ints:
    """For each student the first day of ``year`` at any of their schools."""
    of_school = np.full(len(facts.schools), NEVER, np.int32)
    mine = facts.calendar.year == year
    np.minimum.at(of_school, facts.calendar.school[mine], facts.calendar.day[mine])
    first = np.full(facts.students, NEVER, np.int32)
    shown = facts.enrolments.exit > facts.enrolments.entry
    np.minimum.at(first, facts.enrolments.student[shown], of_school[facts.enrolments.school[shown]])
    return first


def carry(marked: Flags) -> Ints:
    """For each row the last marked row up to it, counted from 1; 0 before the first."""
    carried: Ints = np.maximum.accumulate(numbered(marked), axis=0)
    return carried


def numbered(marked: Flags) -> Ints:
    """The number of each marked row, counted from 1; 0 where nothing is marked."""
    rows = np.arange(1, len(marked) + 1, dtype=np.int32)[:, None]
    return np.where(marked, rows, np.int32(0))


def in_a_row(telling: Flags, marked: Flags) -> Ints:
    """How many telling days in a row, up to each day, are marked. Others neither count nor reset."""
    run = np.cumsum(marked, axis=0, dtype=np.int32)
    run -= np.maximum.accumulate(np.where(telling & ~marked, run, np.int32(0)), axis=0)
    return run


def rows_at(days: Ints, wanted: Ints) -> tuple[Ints, Flags]:
    """The row of each wanted day, and whether there is one."""
    rows = np.searchsorted(days, wanted).astype(np.int32)
    inside = rows < len(days)
    rows[~inside] = 0
    return rows, inside & (days[rows] == wanted)


def _axis(facts: Facts, until: Closed | Calendar) -> Ints:
    # Days of what happens to single students have rows of their own, so that their order among school days is exact.
    last = until.day.max(initial=0)
    of_students = (getattr(facts, name).day for name in DATED if name != "absences")
    days = np.unique(np.concatenate((facts.calendar.day, *of_students)))
    # At least one row, though nobody has a tier on it: then no step has to ask whether there is any.
    return days[: max(int(np.searchsorted(days, last, side="right")), 1)] if len(days) else np.zeros(1, np.int32)


def _schools(days: Ints, calendar: Calendar, closed: Closed, schools: int) -> tuple[Small, Small]:
    # One column more than there are schools: the days of a student who is nowhere.
    year_at = np.zeros((len(days), schools + 1), np.int16)
    rows, found = rows_at(days, calendar.day)
    # A day that two calendars of a school name belongs to the later year: the last assignment stays.
    order = np.flatnonzero(found)[np.argsort(calendar.year[found], kind="stable")]
    year_at[rows[order], calendar.school[order]] = calendar.year[order]
    closing_at = np.zeros_like(year_at)
    rows, found = rows_at(days, closed.day)
    closing_at[rows[found], closed.school[found]] = np.where(closed.implied[found], IMPLIED, CLOSED)
    return year_at, np.where(year_at > 0, closing_at, np.int16(OPEN))


def of_what_counts(days: Ints, facts: Facts, of_enrolment: Ints, *, nobody: int) -> Small:
    """What is said of the enrolment that counts on each day: of those that cover it the primary one, else the latest entry."""
    enrolments, found = facts.enrolments, np.full((len(days), facts.students), nobody, np.int16)
    shown = enrolments.exit > enrolments.entry
    order = np.lexsort((enrolments.school, enrolments.entry, enrolments.primary, enrolments.student))
    order = order[shown[order]]
    student = enrolments.student[order]
    rank = np.arange(len(order)) - np.searchsorted(student, student)
    # As many passes as the student with the most enrolments has; a stronger enrolment overwrites a weaker one.
    for each in range(int(rank.max(initial=-1)) + 1):
        at = order[rank == each]
        columns: Any = slice(None) if len(at) == facts.students else enrolments.student[at]
        covers = (days[:, None] >= enrolments.entry[at]) & (days[:, None] <= enrolments.exit[at])
        found[:, columns] = np.where(covers, of_enrolment[at].astype(np.int16), found[:, columns])
    return found


def _between_first_and_last(known: Flags, instructional: Flags) -> Flags:
    begun = carry(known) > 0
    ahead = carry(known[::-1])[::-1] > 0
    return begun & ahead & instructional


def _absent(days: Ints, absences: Absences, school: Small, known: Flags, mine: Flags | None = None) -> Ints:
    absent = np.zeros(known.shape, np.int32)
    row, student, which = _counted(days, absences, school, known, mine)
    absent[row, student] = absences.hundredths[which]
    return absent


def _counted(
    days: Ints, absences: Absences, school: Small, known: Flags, mine: Flags | None
) -> tuple[Ints, Ints, Ints]:
    """The row, the student and the place of each absence of a closed day of the school that counts."""
    rows, found = rows_at(days, absences.day)
    if mine is not None:
        found &= mine
    which = np.flatnonzero(found).astype(np.int32)
    row, student = rows[which], absences.student[which]
    counts = (school[row, student] == absences.school[which]) & known[row, student]
    return row[counts], student[counts], which[counts]


def _rows_of_years(year_at: Small) -> dict[int, slice]:
    spans = {}
    for year in np.unique(year_at[year_at > 0]):
        rows = np.flatnonzero((year_at == year).any(axis=1))
        spans[int(year)] = slice(int(rows[0]), int(rows[-1]) + 1)
    return spans
