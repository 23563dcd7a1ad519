"""The mean of one survey subscale, as the last complete score said. A prorated score moves nothing."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from mtss.rules.facts import Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, broken, shows
from mtss.rules.timeline import Timeline, carry, rows_at


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """The mean last heard. Of two scores of one day the low one is heard: neither is later than the other.

    Means are quotients of small whole numbers, so comparing them as floats is exact.
    """
    scores = facts.scores
    mean, telling = np.zeros(timeline.known.shape), np.zeros(timeline.known.shape, np.bool_)
    rows, found = rows_at(timeline.days, scores.day)
    complete = np.flatnonzero(found & (scores.prorated == 0) & facts.of_subscale(clause.texts["subscale"]))
    order = complete[np.argsort(-scores.mean[complete], kind="stable")]
    mean[rows[order], scores.student[order]] = scores.mean[order]
    telling[rows[order], scores.student[order]] = True
    asked = np.unique(scores.student[complete])
    last = carry(telling[:, asked])
    mean[:, asked] = np.take_along_axis(mean[:, asked], np.maximum(last - 1, 0), axis=0)
    telling[:, asked] = last > 0
    return Measure(mean, telling)


def evidence(at: Moment) -> Evidence:
    """The score that is heard; without a complete one, the last that there is."""
    scores = at.facts.scores
    mine = (scores.student == at.student) & (scores.day <= at.timeline.days[at.row])
    mine &= at.facts.of_subscale(at.clause.texts["subscale"])
    complete = mine & (scores.prorated == 0)
    heard = np.flatnonzero(complete if complete.any() else mine)
    if not len(heard):
        return {"mean": None, "items_answered": 0}
    last = heard[np.lexsort((-scores.mean[heard], scores.day[heard]))[-1]]
    return {
        "mean": float(scores.mean[last]),
        "items_answered": int(scores.answered[last]),
        "items": int(scores.items[last]),
        "prorated": bool(scores.prorated[last]),
        "answered_on": day_of(scores.day[last]).isoformat(),
    }


def shown(holds: bool | None, evidence: Mapping[str, Any]) -> Iterator[str]:
    """What was answered; and where that was not enough, whether anything was."""
    yield from shows(holds, evidence) if holds is not None or evidence["mean"] is None else ("in_part",)


def suppose(going: Going) -> Supposed | None:
    """A fully answered survey on the next school day: the highest mean that enters, or the lowest that leaves."""
    clause, subscale = going.clause, going.clause.texts["subscale"]
    mean = clause["entry.at_most"]
    if going.stands:
        mean = clause["exit.above" if "exit.above" in clause.numbers else "entry.at_most"] + GRAIN
    if mean > most_of(clause) or not len(going.days):
        return None
    score = (going.days[0], going.facts.subscales.index(subscale), float(mean), 1, 1, 0)
    further = float(mean if going.stands else -mean)
    return Supposed("score_of", float(mean), further, {"scores": [score]}, f"{subscale} {going.stands}")


GRAIN, LEAST, MOST = Decimal("0.01"), Decimal(1), Decimal(7)
"""To so many places means are shown; and the lowest and the highest of any scale."""
SCALE = {"scale.most": broken(str(LEAST + 1), str(MOST))}
"""The highest mean that the instrument allows."""


def most_of(clause: Clause) -> Decimal:
    """The highest mean of the scale; of any scale, where the clause leaves that out."""
    return clause["scale.most"] if "scale.most" in clause.numbers else MOST


def wrong(clause: Clause) -> Iterator[tuple[str, str]]:
    """An entry that no mean is above, or an exit."""
    for path, why in (("entry.at_most", "always holds"), ("exit.above", "is never passed, so the clause never ends")):
        if path in clause.numbers and clause[path] >= most_of(clause):
            yield path, f"{why}: the scale goes no higher"


SIGNAL = Signal(
    name="survey_level",
    reads="support_plan",
    entry="at_most",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    texts={"subscale": frozenset()},
    numbers={"entry.at_most": broken(str(LEAST), str(MOST))},
    may={"exit.above": broken(str(LEAST), str(MOST)), **SCALE},
    wrong=wrong,
    shows=shown,
)
