"""Office discipline referrals in one school year, or in the last days: a student's part in one incident is one."""

import numpy as np

from mtss.rules.facts import NEVER, Facts, Ints
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import (
    FIRST_SCHOOL_DAYS,
    LAST_DAYS,
    LAST_SCHOOL_DAYS,
    Measure,
    counted,
    in_window,
    on_the_next_day,
    whole,
)
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many referrals up to each day. What happens in the summer belongs to no school year.

    A school year begins with the first instructional day that a school of the student gives it.
    """
    return measured(timeline, facts, clause, timeline.happened(facts.referrals.student, facts.referrals.day))


def measured(timeline: Timeline, facts: Facts, clause: Clause, happened: Ints, unit: int = 1) -> Measure:
    """How much of what ``happened`` on each day there was up to each day, in the clause's window."""
    window, running = clause.texts["window"], None
    if window == LAST_DAYS:
        amount = timeline.in_last_days(happened, int(clause["window_days"]))
    elif window == LAST_SCHOOL_DAYS:
        amount = timeline.in_last_school_days(happened, int(clause["window_days"]))
    else:
        first = int(clause["window_days"]) if window == FIRST_SCHOOL_DAYS else None
        running = None if first is None else timeline.year_to_date(timeline.known)
        whose = np.flatnonzero(happened.any(axis=0)).astype(np.int32)
        amount = _in_school_year(timeline, facts, happened, whose, first)
    return Measure(amount, timeline.year > 0, unit=unit, running=running)


def _in_school_year(timeline: Timeline, facts: Facts, happened: Ints, whose: Ints, first: int | None) -> Ints:
    """In each school year so far; with ``first`` in no more than so many of its days."""
    so_much = np.zeros(timeline.known.shape, np.int32)
    year_at, mine = timeline.year[:, whose], happened[:, whose]
    for year, span in timeline.rows_of_year.items():
        counts = timeline.days[:, None] >= first_days(facts, year)[whose]
        if first is not None:
            counts &= timeline.in_first_school_days(year, first)[:, whose]
        so_far = np.cumsum(mine * counts, axis=0, dtype=np.int32)
        so_much[span, whose] += so_far[span] * (year_at[span] == year)
    return so_much


def first_days(facts: Facts, year: int) -> Ints:
    """For each student the first day of ``year`` at any of their schools."""
    of_school = np.full(len(facts.schools), NEVER, np.int32)
    mine = facts.calendar.year == year
    np.minimum.at(of_school, facts.calendar.school[mine], facts.calendar.day[mine])
    first = np.full(facts.students, NEVER, np.int32)
    shown = facts.enrolments.exit > facts.enrolments.entry
    np.minimum.at(first, facts.enrolments.student[shown], of_school[facts.enrolments.school[shown]])
    return first


SIGNAL = in_window(
    "referrals",
    whole(1, 1000),
    reads="discipline",
    measure=measure,
    evidence=counted("referrals"),
    suppose=on_the_next_day("referrals"),
)
