"""Days of exclusion from class or school in one school year or the first days of it, or in the last days, by the actions that the clause names.

An action counts once, with all its days on the day that the SIS gives it: no source says on which days they were served.
"""

import numpy as np

from common.events.sis import plain
from mtss.rules.facts import ANY_ACTION, Facts, Flags
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import (
    FIRST_SCHOOL_DAYS,
    LAST_DAYS,
    LAST_SCHOOL_DAYS,
    Going,
    Measure,
    Supposed,
    broken,
    counted,
    in_window,
)
from mtss.rules.signals.referrals import measured
from mtss.rules.timeline import Timeline

HUNDREDTHS = 100
"""Of a day."""


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many days of exclusion up to each day: those served, or as long as nobody says so those proposed."""
    each, counts = facts.exclusions, counting(facts, clause)
    happened = timeline.happened(each.student[counts], each.day[counts], each.hundredths[counts])
    return measured(timeline, facts, clause, happened, HUNDREDTHS)


def counting(facts: Facts, clause: Clause) -> Flags:
    """Which of the exclusions are of an action that the clause names."""
    named = {plain(code) for code in clause.lists["actions"].codes}
    counts: Flags = np.array([*(not named.isdisjoint(codes) for codes in facts.actions), True])
    return counts[facts.exclusions.action]


def suppose(going: Going) -> Supposed | None:
    """One action on the next school day, of as many days as are missing to the entry."""
    if going.stands or not len(going.days):
        return None
    if going.clause.texts["window"] == FIRST_SCHOOL_DAYS and going.running >= going.clause["window_days"]:
        return None
    hundredths = max(int(going.clause["entry.at_least"] * HUNDREDTHS) - int(going.amount[0]), 1)
    days = hundredths / HUNDREDTHS
    return Supposed("exclusions", days, days, {"exclusions": [(going.days[0], hundredths, ANY_ACTION)]})


SIGNAL = in_window(
    "excluded_days",
    broken("0.1", "400"),
    timed=(LAST_DAYS, LAST_SCHOOL_DAYS, FIRST_SCHOOL_DAYS),
    reads="discipline",
    measure=measure,
    evidence=counted("days_excluded"),
    suppose=suppose,
    lists=frozenset({"actions"}),
)
