"""How far the mean of one survey subscale fell from one wave to the next, in what chance alone makes of such a difference.

The unit is the standard error of a difference: SD · √2 · √(1 − reliability), so that a drop of 1.96 and more is reliable at the
level of 5 percent (Jacobson and Truax 1991). Both numbers are of the instrument in use, and stand in the policy.
"""

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Facts, Ints, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, broken
from mtss.rules.signals.survey_level import GRAIN, LEAST, SCALE, most_of
from mtss.rules.timeline import Timeline, carry, rows_at


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """The drop between the last two complete scores, as :mod:`survey_level` hears them; nothing is known before the second."""
    scores, heard = facts.scores, heard_of(facts, clause)
    again = np.zeros(len(heard), np.bool_)
    again[1:] = np.diff(scores.student[heard]) == 0
    drops = np.where(again, np.roll(scores.mean[heard], 1) - scores.mean[heard], 0.0) / unit_of(clause)
    amount, telling, running = (carried(timeline, facts, heard, of) for of in (drops, again, scores.mean[heard]))
    return Measure(amount, telling, running=running)


def carried(timeline: Timeline, facts: Facts, heard: Ints, values: NDArray[Any]) -> NDArray[Any]:
    """What each of some scores brings, from its day until the next of that student; 0 before the first."""
    rows, found = rows_at(timeline.days, facts.scores.day[heard])
    row, student = rows[found], facts.scores.student[heard][found]
    on_day, any_heard = np.zeros(timeline.known.shape, values.dtype), np.zeros(timeline.known.shape, np.bool_)
    on_day[row, student], any_heard[row, student] = values[found], True
    asked = np.unique(student)
    last = np.maximum(carry(any_heard[:, asked]) - 1, 0)
    on_day[:, asked] = np.take_along_axis(on_day[:, asked], last, axis=0)
    return on_day


def unit_of(clause: Clause) -> float:
    """The standard error of a difference between two waves."""
    return float(clause["scale.sd"] * (2 * (1 - clause["scale.reliability"])).sqrt())


def heard_of(facts: Facts, clause: Clause) -> Ints:
    """Complete scores by student and day; of two of one day the low one."""
    scores = facts.scores
    complete = np.flatnonzero((scores.prorated == 0) & facts.of_subscale(clause.texts["subscale"]))
    columns = (scores.mean[complete], scores.day[complete], scores.student[complete])
    heard = complete[np.lexsort(columns)]
    first = np.ones(len(heard), np.bool_)
    first[1:] = (np.diff(scores.student[heard]) != 0) | (np.diff(scores.day[heard]) != 0)
    found: Ints = heard[first].astype(np.int32)
    return found


def evidence(at: Moment) -> Evidence:
    """The last two scores; fewer, where there are none or one."""
    scores = at.facts.scores
    heard = heard_of(at.facts, at.clause)
    mine = heard[(scores.student[heard] == at.student) & (scores.day[heard] <= at.timeline.days[at.row])]
    before, last = ([None, None, *mine])[-2:]
    return {
        "mean": None if last is None else float(scores.mean[last]),
        "answered_on": None if last is None else day_of(scores.day[last]).isoformat(),
        "mean_before": None if before is None else float(scores.mean[before]),
        "answered_before_on": None if before is None else day_of(scores.day[before]).isoformat(),
    }


def suppose(going: Going) -> Supposed | None:
    """A fully answered survey on the next school day: the highest mean that is a drop, or the lowest that is none."""
    if not (len(going.days) and going.running):
        return None
    subscale = going.clause.texts["subscale"]
    fallen = Decimal(float(going.running) - float(going.clause["entry.at_least"]) * unit_of(going.clause))
    mean = fallen.quantize(GRAIN, ROUND_FLOOR) + (GRAIN if going.stands else 0)
    if not LEAST <= mean <= most_of(going.clause):
        return None
    score = (going.days[0], going.facts.subscales.index(subscale), float(mean), 1, 1, 0)
    further = float(mean if going.stands else -mean)
    return Supposed("score_of", float(mean), further, {"scores": [score]}, f"{subscale} {going.stands}")


def wrong(clause: Clause) -> Iterator[tuple[str, str]]:
    """A drop that no two means of the scale are apart; in squares, which are exact."""
    least, variance = clause["entry.at_least"], clause["scale.sd"] ** 2 * 2 * (1 - clause["scale.reliability"])
    if least**2 * variance > (most_of(clause) - LEAST) ** 2:
        yield (
            "entry.at_least",
            "is never reached, so the clause can never hold: no two means of the scale are so far apart",
        )


SIGNAL = Signal(
    name="survey_drop",
    reads="support_plan",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    texts={"subscale": frozenset()},
    numbers={
        "scale.sd": broken("0.01", "5", places=2),
        "scale.reliability": broken("0.01", "0.99", places=2),
        "entry.at_least": broken("0.1", "10", places=2),
    },
    may=SCALE,
    wrong=wrong,
)
