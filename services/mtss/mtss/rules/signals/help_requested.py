"""Requests for help in the last days, whoever asked: answered or not, that somebody saw a need stays a signal."""

from mtss.rules.facts import Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, whole
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many requests for help within so many calendar days, up to each day, itself included."""
    happened = timeline.happened(facts.help_requests.student, facts.help_requests.day)
    return Measure(timeline.in_last_days(happened, int(clause["window_days"])), timeline.year > 0)


def evidence(at: Moment) -> Evidence:
    """How many, and counted through which day."""
    return {
        "requests": int(at.measure.amount[at.row, at.student]),
        "through": day_of(at.timeline.days[at.row]).isoformat(),
    }


def suppose(going: Going) -> Supposed | None:
    """As many on the next school day as are missing to the entry."""
    if going.stands or not len(going.days):
        return None
    least = max(int(going.clause["entry.at_least"]) - int(going.amount[0]), 1)
    return Supposed("help_requests", least, least, {"help_requests": [(going.days[0],)] * least})


SIGNAL = Signal(
    name="help_requested",
    reads="support_plan",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    numbers={"window_days": whole(1, 400), "entry.at_least": whole(1, 100)},
    may={"exit.below": whole(1, 100), "exit.days_in_a_row": whole(1, 400)},
)
