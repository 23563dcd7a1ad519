"""Requests for help in the last days, whoever asked: answered or not, that somebody saw a need stays a signal."""

from mtss.rules.facts import Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Evidence, Measure, Moment, Signal, on_the_next_day, whole
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


SIGNAL = Signal(
    name="help_requested",
    reads="support_plan",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=on_the_next_day("help_requests"),
    numbers={"window_days": whole(1, 400), "entry.at_least": whole(1, 100)},
    may={"exit.below": whole(1, 100), "exit.days_in_a_row": whole(1, 400)},
)
