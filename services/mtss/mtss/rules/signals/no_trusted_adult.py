"""In how many surveys in a row, up to the last one, a student named no adult at school whom they would go to.

The subscale is one yes or no, such as ``trusted_adult`` of our instrument *belonging-9*. Nobody is named to Trellis: that there is
somebody is all that is asked.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mtss.rules.facts import Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, shows, whole
from mtss.rules.signals.survey_drop import carried, heard_of
from mtss.rules.timeline import Timeline

NO, YES = 1.0, 2.0
"""How such a question is scored."""


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many of the last complete answers in a row were no; nothing is known before the first."""
    heard = heard_of(facts, clause)
    place, first = np.arange(len(heard)), np.ones(len(heard), np.bool_)
    first[1:] = np.diff(facts.scores.student[heard]) != 0
    before = np.where(facts.scores.mean[heard] == NO, np.where(first, place - 1, -1), place)
    in_a_row = place - np.maximum.accumulate(before)
    return Measure(carried(timeline, facts, heard, in_a_row), carried(timeline, facts, heard, place >= 0))


def evidence(at: Moment) -> Evidence:
    """How many, and when the last one was answered."""
    scores, heard = at.facts.scores, heard_of(at.facts, at.clause)
    mine = heard[(scores.student[heard] == at.student) & (scores.day[heard] <= at.timeline.days[at.row])]
    return {
        "surveys": int(at.measure.amount[at.row, at.student]),
        "answered_on": day_of(scores.day[mine[-1]]).isoformat() if len(mine) else None,
    }


def shown(holds: bool | None, evidence: Mapping[str, Any]) -> Iterator[str]:
    """Nobody was named, though in fewer surveys than the clause asks for: that is no strength."""
    yield "too_few" if holds is False and evidence["surveys"] else next(shows(holds, evidence))


def suppose(going: Going) -> Supposed | None:
    """As many surveys on the next school days as are missing to the entry; or one that names somebody."""
    missing = 1 if going.stands else int(going.clause["entry.at_least"]) - int(going.now[0])
    if missing > len(going.days):
        return None
    subscale, answer = going.clause.texts["subscale"], YES if going.stands else NO
    place = going.facts.subscales.index(subscale)
    scores = [(day, place, answer, 1, 1, 0) for day in going.days[:missing]]
    return Supposed("surveys", missing, missing, {"scores": scores}, f"{subscale} {answer}")


SIGNAL = Signal(
    name="no_trusted_adult",
    reads="support_plan",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    texts={"subscale": frozenset()},
    numbers={"entry.at_least": whole(1, 20)},
    shows=shown,
)
