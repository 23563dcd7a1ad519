"""School days in a row, up to the last closed one, that were missed whole. Each school year begins anew."""

import numpy as np

from mtss.rules.facts import Facts
from mtss.rules.policy.document import Clause
from mtss.rules.signals.attendance_share import COUNTED, days_missed
from mtss.rules.signals.kinds import Going, Measure, Signal, Supposed, counted, whole
from mtss.rules.timeline import Timeline, in_a_row

WHOLE_DAY = 100
"""In hundredths: who came for a part of a day came."""


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many closed days in a row, up to each day, were missed whole; a day that was left open neither counts nor resets."""
    missed = timeline.absent_of(facts, COUNTED[clause.texts["counts"]]) == WHOLE_DAY
    run = np.zeros(missed.shape, np.int32)
    for year, rows in timeline.rows_of_year.items():
        known = timeline.known[rows] & (timeline.year[rows] == year)
        run[rows] = np.where(known, in_a_row(known, missed[rows] & known), run[rows])
    return Measure(run, timeline.known, running=run)


def suppose(going: Going) -> Supposed | None:
    """As many further days as are missing to the entry, counted from the streak that is still going on."""
    least = max(int(going.clause["entry.at_least"]) - int(going.running), 1)
    if going.stands or least > len(going.days):
        return None
    return days_missed(going, least)


SIGNAL = Signal(
    name="absence_streak",
    reads="education_record",
    entry="at_least",
    measure=measure,
    evidence=counted("days_in_a_row"),
    suppose=suppose,
    texts={"counts": frozenset(COUNTED)},
    numbers={"entry.at_least": whole(1, 200)},
    may={"exit.below": whole(1, 200), "exit.days_in_a_row": whole(1, 400)},
)
