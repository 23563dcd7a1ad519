"""In how many surveys in a row, up to the last one, a student named no adult at school whom they would go to.

The subscale is one yes or no, such as ``trusted_adult`` of our instrument *belonging-9*. Nobody is named to Trellis: that there is
somebody is all that is asked.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtss.rules.facts import Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.ground import Places
from mtss.rules.rehearsal.rare import Level
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, shows, whole
from mtss.rules.signals.survey_drop import heard_of
from mtss.rules.signals.survey_level import recorded
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
    on = facts.scores.student[heard], facts.scores.day[heard]
    return Measure(timeline.carried(*on, in_a_row), timeline.carried(*on, place >= 0))


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


class DayByDay(Level):
    """In how many surveys in a row nobody was named."""

    def hear(self, places: Places, means: NDArray[Any]) -> None:
        """One more, or none."""
        super().hear(places, np.where(means == NO, self.amount[places] + 1, 0))


WORDS = """
[en.nouns]
survey = ["survey", "surveys"]
further_survey = ["further survey of that kind", "further surveys of that kind"]
[en.staff]
clear = "In the survey of {answered_on:date} the student said that there is an adult at school to go to."
too_few = "In the last {surveys:survey}, up to {answered_on:date}, no adult at school to go to was named: fewer than {entry_at_least:survey}."
stands = "In the last {surveys:survey}, up to {answered_on:date}, the student named no adult at school to go to."
unknown = "It is not known yet whether there is an adult at school to whom the student would go."
begins_rule = "{leads} once no adult at school is named in {entry_at_least:survey} in a row."
begins = "The least for that is {least:further_survey}, seen on {on:date}."
begins_not = "That cannot be in the {left:school_day} left of this school year."
lapses_rule = "This ends with the next survey in which an adult is named."
ends = "Answered on the next school day it would show on {on:date}."
ends_not = "There is no school day left in this school year."
[en.parent]
clear = "Your child told us that there is an adult at school they would go to. That is a strength."
stands = "We want each child to have an adult at school to go to. We will help your child to find one."
unknown = "We do not know yet if your child has an adult at school to go to."
begins = "We would offer more help if a new survey told us that there is no adult at school to go to."
ends = "A new survey that tells us of such an adult would end this support."
ends_not = "We will ask about this again in the next school year."
[en.student]
clear = "You told us that there is an adult here you would go to. That is great."
stands = "You told us that there is no adult here you would go to. Thank you. We want to change that with you."
unknown = "We do not know yet if there is an adult here you would go to."
begins = "You can tell us in a new survey if there is no adult here you would go to. Then we will help more."
ends = "If you tell us in a new survey that there is one, the extra help can end."
ends_not = "We will ask you again in the next school year."
[es.nouns]
survey = ["encuesta", "encuestas"]
further_survey = ["encuesta más de ese tipo", "encuestas más de ese tipo"]
[es.staff]
clear = "En la encuesta del {answered_on:date} el estudiante dijo que hay una persona adulta en la escuela a quien acudir."
too_few = "En las últimas encuestas ({surveys}), hasta el {answered_on:date}, no nombró a ninguna persona adulta a quien acudir: son menos de {entry_at_least:survey}."
stands = "En las últimas encuestas ({surveys}), hasta el {answered_on:date}, el estudiante no nombró a ninguna persona adulta de la escuela a quien acudir."
unknown = "Aún no se sabe si hay una persona adulta en la escuela a quien el estudiante acudiría."
begins_rule = "{leads} cuando no se nombra a ninguna persona adulta en {entry_at_least:survey} seguidas."
begins = "Lo mínimo para eso: {least:further_survey}, visto el {on:date}."
begins_not = "Eso no puede ser en lo que queda de este año escolar ({left:school_day})."
lapses_rule = "Termina con la próxima encuesta en que se nombre a una persona adulta."
ends = "Contestada el próximo día de clase, se vería el {on:date}."
ends_not = "No queda ningún día de clase en este año escolar."
[es.parent]
clear = "Su hijo o hija nos dijo que en la escuela hay un adulto con quien hablar. Eso es algo muy bueno."
stands = "Queremos que cada estudiante tenga en la escuela a un adulto con quien hablar. Le vamos a ayudar a encontrarlo."
unknown = "Aún no sabemos si su hijo o hija tiene en la escuela a alguien con quien hablar."
begins = "Le ofreceremos más ayuda si otra encuesta nos dice que no hay nadie con quien hablar."
ends = "Otra encuesta que nos hable de alguien así pone fin a este apoyo."
ends_not = "Vamos a preguntar otra vez en el próximo año escolar."
[es.student]
clear = "Nos dijiste que aquí hay un adulto con quien hablar. ¡Muy bien!"
stands = "Nos dijiste que aquí no hay ningún adulto con quien hablar. Gracias. Lo queremos cambiar contigo."
unknown = "Aún no sabemos si aquí hay un adulto con quien hablar."
begins = "Si aquí no hay ningún adulto con quien hablar, lo puedes decir en otra encuesta. Así te ofreceremos más ayuda."
ends = "Si nos dices en otra encuesta que hay alguien, la ayuda puede terminar."
ends_not = "Vamos a preguntarte otra vez en el próximo año."
"""

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
    recorded=recorded,
    rehearsed={None: DayByDay},
    words=tomllib.loads(WORDS),
)
