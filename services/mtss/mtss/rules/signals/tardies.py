"""School days that were begun late, in one school year or in the last days. A day that is not closed yet says nothing."""

import numpy as np

from mtss.rules.facts import TARDY, Facts
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Going, Measure, Supposed, counted, in_window, whole
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many closed days were begun late, up to each day."""
    late = timeline.of_kind(facts, TARDY)
    if clause.texts["window"] == "last_days":
        return Measure(timeline.in_last_days(late.astype(np.int32), int(clause["window_days"])), timeline.known)
    return Measure(timeline.year_to_date(late), timeline.known)


def suppose(going: Going) -> Supposed | None:
    """The fewest days, all from the next school day on, that must be begun late for the entry to be reached on some day."""
    needed = np.maximum(int(going.clause["entry.at_least"]) - going.amount.astype(np.int64), 1)
    further = np.arange(1, len(going.days) + 1)
    if going.clause.texts["window"] == "last_days" and len(going.days):
        further = further * (going.days - going.days[0] < int(going.clause["window_days"]))
    enough = going.telling & (needed <= further)
    if going.stands or not enough.any():
        return None
    least = int(needed[enough].min())
    rows = zip(going.school[:least], going.days[:least], strict=True)
    return Supposed("tardies", least, least, {"absences": [(school, day, 0, TARDY) for school, day in rows]})


SIGNAL = in_window(
    "tardies",
    whole(1, 400),
    minimum="entry.at_least",
    reads="education_record",
    measure=measure,
    evidence=counted("tardies"),
    suppose=suppose,
)
