"""Office discipline referrals in one school year, or in the last days: a student's part in one incident is one."""

from collections.abc import Iterator

import numpy as np

from mtss.rules.facts import NEVER, Facts, Ints, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, whole, wrong_window
from mtss.rules.timeline import Small, Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many referrals up to each day. What happens in the summer belongs to no school year.

    A school year begins with the first instructional day that a school of the student gives it.
    """
    happened = timeline.happened(facts.referrals.student, facts.referrals.day)
    if clause.texts["window"] == "last_days":
        amount = timeline.in_last_days(happened, int(clause["window_days"]))
    else:
        amount = _in_school_year(timeline, facts, happened, np.flatnonzero(happened.any(axis=0)).astype(np.int32))
    return Measure(amount, timeline.year > 0)


def _in_school_year(timeline: Timeline, facts: Facts, happened: Small, referred: Ints) -> Small:
    counted: Small = np.zeros(timeline.known.shape, np.int16)
    year_at, mine = timeline.year[:, referred], happened[:, referred]
    for year, span in timeline.rows_of_year.items():
        begun = timeline.days[:, None] >= first_days(facts, year)[referred]
        so_far = np.cumsum(mine * begun, axis=0, dtype=np.int16)
        counted[span, referred] += so_far[span] * (year_at[span] == year)
    return counted


def first_days(facts: Facts, year: int) -> Ints:
    """For each student the first day of ``year`` at any of their schools."""
    of_school = np.full(len(facts.schools), NEVER, np.int32)
    mine = facts.calendar.year == year
    np.minimum.at(of_school, facts.calendar.school[mine], facts.calendar.day[mine])
    first = np.full(facts.students, NEVER, np.int32)
    shown = facts.enrolments.exit > facts.enrolments.entry
    np.minimum.at(first, facts.enrolments.student[shown], of_school[facts.enrolments.school[shown]])
    return first


def evidence(at: Moment) -> Evidence:
    """How many, and counted through which day."""
    return {
        "referrals": int(at.measure.amount[at.row, at.student]),
        "school_year": int(at.timeline.year[at.row, at.student]),
        "through": day_of(at.timeline.days[at.row]).isoformat(),
    }


def suppose(going: Going) -> Supposed | None:
    """As many on the next school day as are missing to the entry."""
    if going.stands or not len(going.days):
        return None
    least = max(int(going.clause["entry.at_least"]) - int(going.amount[0]), 1)
    return Supposed("referrals", least, least, {"referrals": [(going.days[0],)] * least})


def wrong(clause: Clause) -> Iterator[tuple[str, str]]:
    """A window without its length."""
    return wrong_window(clause, ("last_days",))


SIGNAL = Signal(
    name="referrals",
    reads="discipline",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    texts={"window": frozenset({"school_year", "last_days"})},
    numbers={"entry.at_least": whole(1, 1000)},
    may={"window_days": whole(1, 400), "exit.below": whole(1, 1000), "exit.days_in_a_row": whole(1, 400)},
    wrong=wrong,
)
