"""School days that were begun late, in one school year or the first days of it, or in the last days. A day that is not closed yet says nothing."""

import numpy as np

from mtss.rules.facts import TARDY, Facts, Ints
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import (
    FIRST_SCHOOL_DAYS,
    LAST_DAYS,
    LAST_SCHOOL_DAYS,
    Going,
    Measure,
    Supposed,
    counted,
    in_window,
    whole,
)
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many closed days were begun late, up to each day."""
    late, window = timeline.of_kind(facts, TARDY).astype(np.int32), clause.texts["window"]
    if window == LAST_DAYS:
        return Measure(timeline.in_last_days(late, int(clause["window_days"])), timeline.known)
    if window == LAST_SCHOOL_DAYS:
        return Measure(timeline.in_last_school_days(late, int(clause["window_days"])), timeline.known)
    if window == FIRST_SCHOOL_DAYS:
        enrolled = timeline.year_to_date(timeline.known)
        first = timeline.year_to_date(late * (enrolled <= int(clause["window_days"])))
        return Measure(first, timeline.known, running=enrolled)
    return Measure(timeline.year_to_date(late), timeline.known)


def suppose(going: Going) -> Supposed | None:
    """The fewest days, all from the next school day on, that must be begun late for the entry to be reached on some day."""
    needed = np.maximum(int(going.clause["entry.at_least"]) - going.amount.astype(np.int64), 1)
    further = _may_be_late(going)
    enough = going.telling & (needed <= further)
    if going.stands or not enough.any():
        return None
    least = int(needed[enough].min())
    rows = zip(going.school[:least], going.days[:least], strict=True)
    return Supposed("tardies", least, least, {"absences": [(school, day, 0, TARDY) for school, day in rows]})


def _may_be_late(going: Going) -> Ints:
    """By each coming day, how many of the days until then count if they are begun late. In last days none has left them yet."""
    further, window = np.arange(1, len(going.days) + 1, dtype=np.int32), going.clause.texts["window"]
    if window == "school_year" or not len(going.days):
        return further
    length = int(going.clause["window_days"])
    if window == FIRST_SCHOOL_DAYS:
        may: Ints = np.minimum(further, length - int(going.running))
        return may
    passed = going.days - going.days[0] if window == LAST_DAYS else further - 1
    return further * (passed < length)


SIGNAL = in_window(
    "tardies",
    whole(1, 400),
    timed=(LAST_DAYS, LAST_SCHOOL_DAYS, FIRST_SCHOOL_DAYS),
    minimum="entry.at_least",
    reads="education_record",
    measure=measure,
    evidence=counted("tardies"),
    suppose=suppose,
)
