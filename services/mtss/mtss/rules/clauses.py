"""When each clause of a policy stands, day by day, for many students at once.

A clause stands from its entry day until its exit day, so in closed form: where the last entry day is later than the last
exit day. No loop runs over days or students.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import NEVER, Facts, Flags, Ints, Scores
from mtss.rules.policy import AttendancePolicy, SurveyPolicy
from mtss.rules.timeline import Small, Timeline, carry, rows_at

Marks: TypeAlias = NDArray[np.int8]

UNKNOWN, FINE, LOW = 0, 1, 2
"""What the last complete score said."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """Absence in the school year so far, and whether it calls for support."""

    hundredths_absent: Ints
    days_enrolled: Ints
    days_below: Ints
    """How many days in a row the share stayed under the exit, as far as days are known."""
    stands: Flags
    severe: Flags


def attendance_of(timeline: Timeline, policy: AttendancePolicy) -> Attendance:
    """Whether at least the entry share of enrolled days was missed, until the exit share held long enough.

    Shares are compared exactly: hundredths of days missed against percent times whole days. Before ``minimum_days``
    of the school year, and on days not closed, nothing is known: such days neither begin nor end anything.
    """
    absent, enrolled = year_to_date(timeline, timeline.absent), year_to_date(timeline, timeline.known)
    telling = timeline.known & (enrolled >= policy.minimum_days)
    below = telling & (absent < policy.exit_below_percent * enrolled)
    run = np.cumsum(below, axis=0, dtype=np.int32)
    run -= np.maximum.accumulate(np.where(telling & ~below, run, np.int32(0)), axis=0)
    left = carry(below & (run == policy.exit_days))
    return Attendance(
        hundredths_absent=absent,
        days_enrolled=enrolled,
        days_below=run,
        stands=carry(telling & (absent >= policy.entry_percent * enrolled)) > left,
        severe=carry(telling & (absent >= policy.severe_percent * enrolled)) > left,
    )


def year_to_date(timeline: Timeline, amount: Ints | Flags) -> Ints:
    """The sum of ``amount`` over the days of each day's own school year, up to and including that day."""
    total = np.zeros(amount.shape, np.int32)
    for year, rows in timeline.rows_of_year.items():
        mine = timeline.year[rows] == year
        total[rows] += np.cumsum(amount[rows] * mine, axis=0, dtype=np.int32) * mine
    return total


def adult_support_of(timeline: Timeline, scores: Scores, policy: SurveyPolicy) -> Marks:
    """What the last complete score up to each day said: ``LOW`` at or under the cut, else ``FINE``.

    A prorated score moves nothing. Of two scores of one day the low one is heard: neither is later than the other.
    Means are quotients of small whole numbers, so comparing them as floats is exact.
    """
    marks = np.zeros(timeline.known.shape, np.int8)
    rows, found = rows_at(timeline.days, scores.day)
    low = scores.mean <= policy.at_most
    complete = np.flatnonzero(found & (scores.prorated == 0))
    order = complete[np.argsort(low[complete], kind="stable")]
    marks[rows[order], scores.student[order]] = np.where(low[order], LOW, FINE)
    asked = np.unique(scores.student[complete])
    last = carry(marks[:, asked] > UNKNOWN)
    heard = np.take_along_axis(marks[:, asked], np.maximum(last - 1, 0), axis=0)
    marks[:, asked] = np.where(last > 0, heard, np.int8(UNKNOWN))
    return marks


def referrals_of(timeline: Timeline, facts: Facts) -> Small:
    """How many referrals each student had in the school year of each instructional day, up to that day.

    A school year begins with the first instructional day that a school of the student gives it, so what happens in the
    summer belongs to no year.
    """
    count = np.zeros(timeline.known.shape, np.int16)
    rows, found = rows_at(timeline.days, facts.referrals.day)
    referred, column = np.unique(facts.referrals.student[found], return_inverse=True)
    happened = np.zeros((len(timeline.days), len(referred)), np.int16)
    np.add.at(happened, (rows[found], column), 1)
    year_at = timeline.year[:, referred]
    for year, span in timeline.rows_of_year.items():
        begun = timeline.days[:, None] >= _first_days(facts, year)[referred]
        so_far = np.cumsum(happened * begun, axis=0, dtype=np.int16)
        count[span, referred] += so_far[span] * (year_at[span] == year)
    return count


def _first_days(facts: Facts, year: int) -> Ints:
    """For each student the first day of ``year`` at any of their schools."""
    of_school = np.full(len(facts.schools), NEVER, np.int32)
    mine = facts.calendar.year == year
    np.minimum.at(of_school, facts.calendar.school[mine], facts.calendar.day[mine])
    first = np.full(facts.students, NEVER, np.int32)
    shown = facts.enrolments.exit > facts.enrolments.entry
    np.minimum.at(first, facts.enrolments.student[shown], of_school[facts.enrolments.school[shown]])
    return first
