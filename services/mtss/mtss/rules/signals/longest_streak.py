"""The most school days in a row that were missed whole in the school year, however long ago."""

import numpy as np

from mtss.rules.facts import Facts
from mtss.rules.policy.document import Clause
from mtss.rules.signals import absence_streak
from mtss.rules.signals.attendance_share import COUNTED
from mtss.rules.signals.kinds import Measure, Signal, counted, whole
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """The longest streak of the school year up to each day; it only grows, so it ends with the school year."""
    run = absence_streak.measure(timeline, facts, clause).amount
    longest = np.zeros_like(run)
    for year, rows in timeline.rows_of_year.items():
        known = timeline.known[rows] & (timeline.year[rows] == year)
        so_far = np.maximum.accumulate(np.where(known, run[rows], 0), axis=0)
        longest[rows] = np.where(known, so_far, longest[rows])
    return Measure(longest, timeline.known, running=run)


SIGNAL = Signal(
    name="longest_streak",
    reads="education_record",
    entry="at_least",
    measure=measure,
    evidence=counted("longest_days_in_a_row"),
    suppose=absence_streak.suppose,
    texts={"counts": frozenset(COUNTED)},
    numbers={"entry.at_least": whole(1, 200)},
)
