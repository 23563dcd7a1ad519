"""The mean of one survey subscale, as the last complete score said. A prorated score moves nothing."""

import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from mtss.rules.facts import Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import Happened, happened
from mtss.rules.rehearsal.rare import Level
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


def recorded(timeline: Timeline, facts: Facts, clause: Clause) -> Happened:
    """The mean of each complete score, one a student and day: of two the low one is heard, which comes first as they are sorted."""
    scores = facts.scores
    complete = (scores.prorated == 0) & facts.of_subscale(clause.texts["subscale"])
    every = happened(timeline, scores, scores.mean, complete)
    first = np.ones(len(every.row), np.bool_)
    first[1:] = (every.student[1:] != every.student[:-1]) | (every.row[1:] != every.row[:-1])
    return Happened(every.student[first], every.row[first], every.value[first])


WORDS = """
[en.nouns]
question = ["question", "questions"]
[en.staff]
clear = "In the survey of {answered_on:date} the average of the answers about {subscale} was {mean}, above {entry_at_most} ({items_answered:question} answered)."
stands = "In the survey of {answered_on:date} the average of the answers about {subscale} was {mean} ({items_answered:question} answered)."
unknown = "No survey answers about {subscale} are known yet."
in_part = "The survey about {subscale} was answered in part, which is not enough to say."
begins_rule = "{leads} after a fully answered survey whose average is {entry_at_most} or less."
begins = "On the next school day, {on:date}, an average of {least} would do it."
begins_not = "There is no school day left in this school year."
ends_rule = "This ends with a later, fully answered survey whose average is above {exit_above}."
lapses_rule = "This ends with a later, fully answered survey whose average is above {entry_at_most}."
ends = "An average of {least} on the next school day would show on {on:date}."
ends_not = "That cannot be in the {left:school_day} left of this school year."
[en.parent]
clear = "In a survey your child had good things to say about {subscale}."
stands = "In a survey your child told us that it could be better with {subscale}. We are glad to know, and we will do more."
unknown = "We do not know yet what your child would say about {subscale}."
in_part = "We do not know yet what your child would say about {subscale}."
begins = "We would offer more help if a new survey told us that it could be better with {subscale}."
ends = "A new survey with better news about {subscale} would end this support."
ends_not = "We will ask about {subscale} again in the next school year."
[en.student]
clear = "You told us good things about {subscale}."
stands = "You told us that it could be better with {subscale}. Thank you. We want to do more."
unknown = "We do not know yet what you think about {subscale}."
in_part = "We do not know yet what you think about {subscale}."
begins = "You can tell us in a new survey if it could be better with {subscale}. Then we will help more."
ends = "If you tell us in a new survey that it is better, the extra help can end."
ends_not = "We will ask you again in the next school year."
[es.nouns]
question = ["pregunta", "preguntas"]
[es.staff]
clear = "En la encuesta del {answered_on:date}, el promedio sobre {subscale} fue {mean}, por encima de {entry_at_most} ({items_answered:question} con respuesta)."
stands = "En la encuesta del {answered_on:date}, el promedio sobre {subscale} fue {mean} ({items_answered:question} con respuesta)."
unknown = "Aún no hay respuestas sobre {subscale}."
in_part = "La encuesta sobre {subscale} se respondió en parte, y eso no basta."
begins_rule = "{leads} tras una encuesta completa cuyo promedio es {entry_at_most} o menos."
begins = "El próximo día de clase, {on:date}, bastaría un promedio de {least}."
begins_not = "No queda ningún día de clase en este año escolar."
ends_rule = "Termina con una encuesta posterior completa cuyo promedio es mayor que {exit_above}."
lapses_rule = "Termina con una encuesta posterior completa cuyo promedio es mayor que {entry_at_most}."
ends = "Un promedio de {least} el próximo día de clase se vería el {on:date}."
ends_not = "Eso no puede ser en lo que queda de este año escolar ({left:school_day})."
[es.parent]
clear = "En una encuesta dijo cosas buenas sobre {subscale}."
stands = "En una encuesta nos dijo que puede ir mejor con esto: {subscale}. Nos alegra saberlo y haremos más."
unknown = "Aún no sabemos qué piensa sobre {subscale}."
in_part = "Aún no sabemos qué piensa sobre {subscale}."
begins = "Si en otra encuesta nos dice que puede ir mejor, le ofreceremos más ayuda."
ends = "Si en otra encuesta nos dice que va mejor, este apoyo puede terminar."
ends_not = "Vamos a preguntar otra vez en el próximo año escolar."
[es.student]
clear = "Nos dijiste cosas buenas sobre {subscale}."
stands = "Nos dijiste que puede ir mejor con esto: {subscale}. Gracias. Queremos hacer más."
unknown = "Aún no sabemos qué piensas sobre {subscale}."
in_part = "Aún no sabemos qué piensas sobre {subscale}."
begins = "Si algo puede ir mejor, lo puedes decir en otra encuesta. Así te ofreceremos más ayuda."
ends = "Si nos dices en otra encuesta que va mejor, la ayuda puede terminar."
ends_not = "Vamos a preguntarte otra vez en el próximo año."
"""

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
    recorded=recorded,
    rehearsed={None: Level},
    words=tomllib.loads(WORDS),
)
