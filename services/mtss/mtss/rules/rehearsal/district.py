"""A district's recorded days in the shape that a rehearsal runs over: one byte a student and day, and rare things apart.

Rows are days, ascending; a day on which only a survey was answered has a row too. A million students over 180 days are 180 MB.
It knows no policy, so that many can run over it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import EXCUSED, TARDY, UNEXCUSED, Facts, Flags, Floats, HelpRequests, Ints, Referrals
from mtss.rules.policy.document import Clause, Codes, Policy
from mtss.rules.signals.excluded_days import counting
from mtss.rules.signals.referrals import first_days
from mtss.rules.timeline import Small, Timeline, of_what_counts, rows_at, timeline_of

Bytes: TypeAlias = NDArray[np.uint8]

MOST_MISSED = 100
"""Up to here a byte is hundredths of a day missed, on a day that the school closed."""
OPEN_DAY, OFF_COURSE, NOT_THERE = 253, 254, 255
"""An instructional day not closed; one before the student's first closed day or after the last; a day not enrolled or without school."""
KIND_OF = {"all": None, "unexcused": UNEXCUSED, "excused": EXCUSED}
"""Which absences a clause may count, and their kind."""


@dataclass(frozen=True, slots=True)
class Stays:
    """Where a student is from a row on: columns of equal length, by student and then row. Before the first: nowhere."""

    student: Ints
    row: Ints
    school: Ints
    """Its place in ``District.schools``; one more than the last for nowhere."""
    grade: Ints
    """Its place in ``District.grades``; one more than the last for none."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Things that happened to students, by student and then row; ``value`` is what was measured, or how much it was."""

    student: Ints
    row: Ints
    value: Floats


@dataclass(frozen=True, slots=True)
class District:
    """All that a rehearsal reads."""

    days: Ints
    """The day of each row, counted from 1970-01-01."""
    schools: tuple[str, ...]
    grades: tuple[str, ...]
    missed: Mapping[str, Bytes]
    """By what is counted (``all``, ``unexcused``, ``excused``): hundredths of days missed, or one of the codes; rows x students."""
    year: Small
    """The school year of each instructional day, else 0; rows x (schools + 1), the last being nowhere."""
    begins: Mapping[int, Ints]
    """For each school year the row of its first day at any school of each student; as many as there are rows if none."""
    stays: Stays
    referrals: Happened
    help_requests: Happened
    tardies: Happened
    """One a closed day that was begun late."""
    exclusions: Mapping[Codes, Happened]
    """By the codes that are counted: the hundredths of a day of each action."""
    scores: Mapping[str, Happened]
    """By subscale: the mean of each complete score, one a student and day."""

    @property
    def students(self) -> int:
        """How many students."""
        return int(self.missed["all"].shape[1])


def district_of(facts: Facts, policies: Iterable[Policy]) -> District:
    """The district that ``facts`` know now, with all that ``policies`` listen to."""
    clauses = [(policy, clause) for policy in policies for clause in policy.clauses.values()]
    timeline = timeline_of(facts, replace(clauses[0][0], variants=(), exempt_grades=frozenset()))
    counts = sorted({"all"} | {clause.texts["counts"] for _, clause in clauses if "counts" in clause.texts})
    subscales = sorted({clause.texts["subscale"] for _, clause in clauses if "subscale" in clause.texts})
    return District(
        days=timeline.days,
        schools=facts.schools,
        grades=facts.grades,
        missed={each: _bytes(timeline, timeline.absent_of(facts, KIND_OF[each])) for each in counts},
        year=_year_of_schools(timeline, len(facts.schools)),
        begins=_begins(timeline, facts),
        stays=_stays(timeline, facts),
        referrals=_each_one(timeline, facts.referrals),
        help_requests=_each_one(timeline, facts.help_requests),
        tardies=_tardies(timeline, facts),
        exclusions={
            clause.lists["actions"]: _exclusions(timeline, facts, clause)
            for _, clause in clauses
            if "actions" in clause.lists
        },
        scores={each: _scores(timeline, facts, each) for each in subscales},
    )


def _bytes(timeline: Timeline, absent: Ints) -> Bytes:
    instructional = timeline.year > 0
    missed = np.where(timeline.known, absent, np.where(instructional, OPEN_DAY, NOT_THERE)).astype(np.uint8)
    missed[instructional & ~timeline.on_course] = OFF_COURSE
    return missed


def _year_of_schools(timeline: Timeline, schools: int) -> Small:
    year: Small = np.zeros((len(timeline.days), schools + 1), np.int16)
    year[np.arange(len(timeline.days))[:, None], timeline.school] = timeline.year
    return year


def _begins(timeline: Timeline, facts: Facts) -> dict[int, Ints]:
    years = timeline.rows_of_year
    return {year: np.searchsorted(timeline.days, first_days(facts, year)).astype(np.int32) for year in years}


def _stays(timeline: Timeline, facts: Facts) -> Stays:
    grade = of_what_counts(timeline.days, facts, facts.enrolments.grade, nobody=len(facts.grades))
    moved = np.ones(grade.shape, np.bool_)
    moved[1:] = (timeline.school[1:] != timeline.school[:-1]) | (grade[1:] != grade[:-1])
    student, row = (each.astype(np.int32) for each in np.nonzero(moved.T))
    return Stays(student, row, *(each[row, student].astype(np.int32) for each in (timeline.school, grade)))


def _each_one(timeline: Timeline, of: Referrals | HelpRequests) -> Happened:
    rows, found = rows_at(timeline.days, of.day)
    return _happened(rows, found, of.student, np.ones(len(rows)))


def _exclusions(timeline: Timeline, facts: Facts, clause: Clause) -> Happened:
    each = facts.exclusions
    rows, found = rows_at(timeline.days, each.day)
    return _happened(rows, found & counting(facts, clause), each.student, each.hundredths.astype(np.float64))


def _tardies(timeline: Timeline, facts: Facts) -> Happened:
    student, row = (each.astype(np.int32) for each in np.nonzero(timeline.of_kind(facts, TARDY).T))
    return Happened(student, row, np.ones(len(row)))


def _scores(timeline: Timeline, facts: Facts, subscale: str) -> Happened:
    scores = facts.scores
    rows, found = rows_at(timeline.days, scores.day)
    heard = found & (scores.prorated == 0) & facts.of_subscale(subscale)
    every = _happened(rows, heard, scores.student, scores.mean)
    # Of two scores of one day the low one is heard: the first, as they are sorted.
    first = np.ones(len(every.row), np.bool_)
    first[1:] = (every.student[1:] != every.student[:-1]) | (every.row[1:] != every.row[:-1])
    return Happened(every.student[first], every.row[first], every.value[first])


def _happened(rows: Ints, which: Flags, students: Ints, values: Any) -> Happened:
    rows, students, values = rows[which], students[which], values[which]
    order = np.lexsort((values, rows, students))
    return Happened(students[order], rows[order], values[order])
