"""Facts become the district that a rehearsal runs over, with all that some policies listen to."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from mtss.rules.facts import Facts, Ints
from mtss.rules.policy.document import Clause, Policy
from mtss.rules.rehearsal.district import (
    NOT_THERE,
    OFF_COURSE,
    OPEN_DAY,
    Bytes,
    District,
    Happened,
    Heard,
    Stays,
    heard_by,
)
from mtss.rules.signals import SIGNALS
from mtss.rules.signals.attendance_share import COUNTED
from mtss.rules.timeline import Small, Timeline, first_days, of_what_counts, timeline_of


def district_of(facts: Facts, policies: Iterable[Policy]) -> District:
    """The district that ``facts`` know now, with all that ``policies`` listen to."""
    clauses = [(policy, clause) for policy in policies for clause in policy.clauses.values()]
    timeline = timeline_of(facts, replace(clauses[0][0], variants=(), exempt_grades=frozenset()))
    counts = sorted({"all"} | {clause.texts["counts"] for _, clause in clauses if "counts" in clause.texts})
    return District(
        days=timeline.days,
        schools=facts.schools,
        grades=facts.grades,
        missed={each: _bytes(timeline, timeline.absent_of(facts, COUNTED[each])) for each in counts},
        year=_year_of_schools(timeline, len(facts.schools)),
        begins=_begins(timeline, facts),
        stays=_stays(timeline, facts),
        happened=dict(_happened(timeline, facts, [clause for _, clause in clauses])),
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


def _happened(timeline: Timeline, facts: Facts, clauses: Iterable[Clause]) -> Iterator[tuple[Heard, Happened]]:
    for heard, clause in {heard_by(clause): clause for clause in clauses}.items():
        recorded = SIGNALS[clause.signal].recorded
        if recorded is not None:
            yield heard, recorded(timeline, facts, clause)
