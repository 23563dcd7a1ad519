"""How far the mean of one survey subscale fell from one wave to the next, in what chance alone makes of such a difference.

The unit is the standard error of a difference: SD · √2 · √(1 − reliability), so that a drop of more than 1.96 is reliable at the
level of 5 percent (Jacobson and Truax 1991: |Δ| > 1.96 · SD · √2 · √(1 − reliability)). Both numbers are of the instrument in
use, and stand in the policy. It is compared in squares of fractions, so that no root is ever rounded.
"""

import tomllib
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from math import ceil, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Facts, Floats, Ints, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.ground import Ground, Places
from mtss.rules.rehearsal.rare import Level
from mtss.rules.signals.excluded_days import HUNDREDTHS
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, broken
from mtss.rules.signals.survey_level import GRAIN, LEAST, SCALE, most_of, recorded
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """The drop between the last two complete scores, as :mod:`survey_level` hears them; nothing is known before the second."""
    scores, heard = facts.scores, heard_of(facts, clause)
    again = np.zeros(len(heard), np.bool_)
    again[1:] = np.diff(scores.student[heard]) == 0
    mean = scores.mean[heard]
    drops = np.where(again, exceeded(np.roll(mean, 1), mean, clause), 0)
    on = scores.student[heard], scores.day[heard]
    amount, telling, running = (timeline.carried(*on, of) for of in (drops, again, mean))
    return Measure(amount, telling, unit=HUNDREDTHS, running=running)


def exceeded(before: Floats, now: Floats, clause: Clause) -> Ints:
    """The most hundredths of the unit that each fall is *larger* than; 0 where nothing fell."""
    pairs, place = np.unique(np.stack([before, now], axis=-1), axis=0, return_inverse=True)
    variance = _variance(clause)
    found = [_exceeded(exact(one), exact(other), variance) for one, other in pairs.tolist()]
    return np.array(found, np.int32)[place.reshape(-1)]


def _exceeded(before: Fraction, now: Fraction, variance: Fraction) -> int:
    if now >= before:
        return 0
    return isqrt(ceil((before - now) ** 2 * HUNDREDTHS**2 / variance) - 1)


def exact(mean: float) -> Fraction:
    """The mean that a float stands for: of at most a hundred items, or in hundredths."""
    return Fraction(mean).limit_denominator(100)


def _variance(clause: Clause) -> Fraction:
    """The square of the unit."""
    return 2 * Fraction(clause["scale.sd"]) ** 2 * (1 - Fraction(clause["scale.reliability"]))


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
    mean = _highest_drop(exact(going.running), going.clause) + (GRAIN if going.stands else 0)
    if not LEAST <= mean <= most_of(going.clause):
        return None
    score = (going.days[0], going.facts.subscales.index(subscale), float(mean), 1, 1, 0)
    further = float(mean if going.stands else -mean)
    return Supposed("score_of", float(mean), further, {"scores": [score]}, f"{subscale} {going.stands}")


def _highest_drop(before: Fraction, clause: Clause) -> Decimal:
    """The highest mean in hundredths that is a drop from ``before``."""
    least, variance = clause["entry.at_least"], _variance(clause)
    mean = Decimal(float(before) - float(least) * float(variance) ** 0.5).quantize(GRAIN, ROUND_CEILING) + GRAIN
    while _exceeded(before, Fraction(mean), variance) < least * HUNDREDTHS:
        mean -= GRAIN
    return mean


def wrong(clause: Clause) -> Iterator[tuple[str, str]]:
    """A drop that no two means of the scale are apart; in squares, which are exact."""
    if _exceeded(Fraction(most_of(clause)), Fraction(LEAST), _variance(clause)) < clause["entry.at_least"] * HUNDREDTHS:
        yield (
            "entry.at_least",
            "is never reached, so the clause can never hold: no two means of the scale are so far apart",
        )


class DayByDay(Level):
    """How far it fell since it was heard before."""

    unit = HUNDREDTHS

    def __init__(self, ground: Ground, clause: Clause) -> None:
        super().__init__(ground, clause)
        self._clause, self._mean = clause, np.full(self.size, np.nan)

    def hear(self, places: Places, means: NDArray[Any]) -> None:
        """What was not heard before cannot have fallen."""
        before, self._mean[places] = self._mean[places], means
        again = ~np.isnan(before)
        super().hear(places[again], exceeded(before[again], means[again], self._clause))


WORDS = """
[en.staff]
clear = "Between the surveys of {answered_before_on:date} and {answered_on:date} the average of the answers about {subscale} did not fall by more than chance explains: from {mean_before} to {mean}."
stands = "Between the surveys of {answered_before_on:date} and {answered_on:date} the average of the answers about {subscale} fell from {mean_before} to {mean}, more than chance explains."
unknown = "There are no two surveys about {subscale} yet."
begins_rule = "{leads} when the average falls, from one fully answered survey to the next, by {entry_at_least} standard errors of a difference or more."
begins = "On the next school day, {on:date}, an average of {least} would do it."
begins_not = "No average would do it in this school year."
ends_rule = "This ends with the next fully answered survey whose average does not fall as far again."
lapses_rule = "This ends with the next fully answered survey whose average does not fall as far again."
ends = "An average of {least} on the next school day would show on {on:date}."
ends_not = "That cannot be in the {left:school_day} left of this school year."
[en.parent]
clear = "In the last two surveys your child said much the same about {subscale}, or better things."
stands = "In the last survey your child was less happy with {subscale} than before. We are glad to know, and we will do more."
unknown = "We do not know yet how your child feels about {subscale} over time."
begins = "We would offer more help if a new survey told us that things got worse with {subscale}."
ends = "A new survey with better news about {subscale} would end this support."
ends_not = "We will ask about {subscale} again in the next school year."
[en.student]
clear = "In the last two surveys you told us much the same about {subscale}, or better things."
stands = "In the last survey you were less happy with {subscale} than before. Thank you for telling us. We want to do more."
unknown = "We do not know yet how you feel about {subscale} over time."
begins = "You can tell us in a new survey if it gets worse with {subscale}. Then we will help more."
ends = "If you tell us in a new survey that it is better, the extra help can end."
ends_not = "We will ask you again in the next school year."
[es.staff]
clear = "Entre las encuestas del {answered_before_on:date} y del {answered_on:date}, el promedio sobre {subscale} no bajó más de lo que explica el azar: de {mean_before} a {mean}."
stands = "Entre las encuestas del {answered_before_on:date} y del {answered_on:date}, el promedio sobre {subscale} bajó de {mean_before} a {mean}, más de lo que explica el azar."
unknown = "Aún no hay dos encuestas sobre {subscale}."
begins_rule = "{leads} cuando el promedio baja, de una encuesta completa a la siguiente, {entry_at_least} errores estándar de una diferencia o más."
begins = "El próximo día de clase, {on:date}, bastaría un promedio de {least}."
begins_not = "Ningún promedio bastaría en este año escolar."
ends_rule = "Termina con la próxima encuesta completa cuyo promedio no baje otra vez así."
lapses_rule = "Termina con la próxima encuesta completa cuyo promedio no baje otra vez así."
ends = "Un promedio de {least} el próximo día de clase se vería el {on:date}."
ends_not = "Eso no puede ser en lo que queda de este año escolar ({left:school_day})."
[es.parent]
clear = "En las dos últimas encuestas dijo lo mismo, o algo mejor, sobre {subscale}."
stands = "En la última encuesta nos dijo que va peor que antes con esto: {subscale}. Nos alegra saberlo y haremos más."
unknown = "Aún no sabemos si cambia lo que piensa sobre {subscale}."
begins = "Si en otra encuesta nos dice que va peor, le ofreceremos más ayuda."
ends = "Si en otra encuesta nos dice que va mejor, este apoyo puede terminar."
ends_not = "Vamos a preguntar otra vez en el próximo año escolar."
[es.student]
clear = "En las dos últimas encuestas dijiste lo mismo, o algo mejor, sobre {subscale}."
stands = "En la última encuesta nos dijiste que va peor que antes con esto: {subscale}. Gracias. Queremos hacer más."
unknown = "Aún no sabemos si cambia lo que piensas sobre {subscale}."
begins = "Si va peor, lo puedes decir en otra encuesta. Así te ofreceremos más ayuda."
ends = "Si nos dices en otra encuesta que va mejor, la ayuda puede terminar."
ends_not = "Vamos a preguntarte otra vez en el próximo año."
"""

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
    recorded=recorded,
    rehearsed={None: DayByDay},
    words=tomllib.loads(WORDS),
)
