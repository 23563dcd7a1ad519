"""School days that were begun late, in one school year or in the last days. A day that is not closed yet says nothing."""

from collections.abc import Iterator

import numpy as np

from mtss.rules.facts import TARDY, Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, whole, wrong_window
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many closed days were begun late, up to each day."""
    late = timeline.of_kind(facts, TARDY)
    if clause.texts["window"] == "last_days":
        return Measure(timeline.in_last_days(late.astype(np.int16), int(clause["window_days"])), timeline.known)
    return Measure(timeline.year_to_date(late), timeline.known)


def evidence(at: Moment) -> Evidence:
    """How many, and counted through which day."""
    return {
        "tardies": int(at.measure.amount[at.row, at.student]),
        "school_year": int(at.timeline.year[at.row, at.student]),
        "through": day_of(at.timeline.days[at.row]).isoformat(),
    }


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


def wrong(clause: Clause) -> Iterator[tuple[str, str]]:
    """A window without its length."""
    return wrong_window(clause, ("last_days",))


SIGNAL = Signal(
    name="tardies",
    reads="education_record",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    texts={"window": frozenset({"school_year", "last_days"})},
    numbers={"entry.at_least": whole(1, 400)},
    may={"window_days": whole(1, 400), "exit.below": whole(1, 400), "exit.days_in_a_row": whole(1, 400)},
    wrong=wrong,
)
