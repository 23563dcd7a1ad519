"""School days that were begun late, in one school year or the first days of it, or in the last days. A day that is not closed yet says nothing."""

import tomllib

import numpy as np

from mtss.rules.facts import TARDY, Facts, Ints
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import happened_on
from mtss.rules.rehearsal.rare import CountOfDays
from mtss.rules.signals.kinds import (
    Going,
    Measure,
    Supposed,
    counted,
    in_window,
    whole,
)
from mtss.rules.timeline import FIRST_SCHOOL_DAYS, LAST_DAYS, LAST_SCHOOL_DAYS, Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many closed days were begun late, up to each day."""
    late, window = timeline.of_kind(facts, TARDY).astype(np.int32), clause.texts["window"]
    if window == LAST_DAYS:
        return Measure(timeline.in_last_days(late, int(clause["window_days"])), timeline.known)
    if window == LAST_SCHOOL_DAYS:
        return Measure(timeline.in_last_school_days(late, int(clause["window_days"])), timeline.known)
    if window == FIRST_SCHOOL_DAYS:
        enrolled = timeline.year_to_date(timeline.known)
        first = timeline.year_to_date(late * (enrolled <= int(clause["window_days"])))
        return Measure(first, timeline.known, running=enrolled)
    return Measure(timeline.year_to_date(late), timeline.known)


def suppose(going: Going) -> Supposed | None:
    """The fewest days, all from the next school day on, that must be begun late for the entry to be reached on some day."""
    needed = np.maximum(int(going.clause["entry.at_least"]) - going.amount.astype(np.int64), 1)
    further = _may_be_late(going)
    enough = going.telling & (needed <= further)
    if going.stands or not enough.any():
        return None
    least = int(needed[enough].min())
    rows = zip(going.school[:least], going.days[:least], strict=True)
    return Supposed("tardies", least, least, {"absences": [(school, day, 0, TARDY) for school, day in rows]})


def _may_be_late(going: Going) -> Ints:
    """By each coming day, how many of the days until then count if they are begun late. In last days none has left them yet."""
    further, window = np.arange(1, len(going.days) + 1, dtype=np.int32), going.clause.texts["window"]
    if window == "school_year" or not len(going.days):
        return further
    length = int(going.clause["window_days"])
    if window == FIRST_SCHOOL_DAYS:
        may: Ints = np.minimum(further, length - int(going.running))
        return may
    passed = going.days - going.days[0] if window == LAST_DAYS else further - 1
    return further * (passed < length)


WORDS = """
[en.nouns]
late = ["late arrival", "late arrivals"]
further_late = ["further late arrival", "further late arrivals"]
[en.staff]
clear = { school_year = "Fewer than {entry_at_least:late} in this school year: {tardies}, counted through {through:date}.", last_days = "Fewer than {entry_at_least:late} in {window_days:day}: {tardies}, counted through {through:date}.", last_school_days = "Fewer than {entry_at_least:late} in the last {window_days:school_day}: {tardies}, counted through {through:date}.", first_school_days = "Fewer than {entry_at_least:late} in the first {window_days:school_day} of this school year: {tardies}, counted through {through:date}." }
stands = { school_year = "{tardies:late} in this school year, counted through {through:date}.", last_days = "{tardies:late} in {window_days:day}, counted through {through:date}.", last_school_days = "{tardies:late} in the last {window_days:school_day}, counted through {through:date}.", first_school_days = "{tardies:late} in the first {window_days:school_day} of this school year, counted through {through:date}." }
unknown = "{through:date} is not known yet."
begins_rule = { school_year = "{leads} after {entry_at_least:late} in this school year.", last_days = "{leads} after {entry_at_least:late} in {window_days:day}.", last_school_days = "{leads} after {entry_at_least:late} in the last {window_days:school_day}.", first_school_days = "{leads} after {entry_at_least:late} in the first {window_days:school_day} of this school year." }
begins = "The least for that is {least:further_late} from the next school day on, seen on {on:date}."
begins_not = "That cannot be in the {left:school_day} left of this school year."
ends_rule = { school_year = "This ends with the first school day of the next school year.", last_days = "This ends once they are longer ago.", last_school_days = "This ends once they are longer ago.", first_school_days = "This ends with the first school day of the next school year." }
lapses_rule = { school_year = "This ends with the first school day of the next school year.", last_days = "This ends once they are longer ago.", last_school_days = "This ends once they are longer ago.", first_school_days = "This ends with the first school day of the next school year." }
ends = "Without a further one that is {least:school_day} away, on {on:date}."
[en.parent]
clear = "Your child comes to school on time, or nearly always. That is a strength."
stands = "Your child came late on {tardies:day}. We want to find out what would make it easier to be on time."
unknown = "We do not know yet who came on time on the last day."
begins = "We would offer more help if your child came late {least:more_time}."
ends = "If your child is on time, this support may end on {on:date}."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = "You come to school on time, or nearly always. That is great."
stands = "You came late on {tardies:day}. What would make it easier to be on time? We want to help with that."
unknown = "We do not know yet who came on time on the last day."
begins = "If you come late {least:more_time}, we will offer you more help."
ends = "If you are on time, the extra help may end on {on:date}."
ends_not = "The extra help will go on until the end of this school year."
[es.nouns]
late = ["retraso", "retrasos"]
further_late = ["retraso más", "retrasos más"]
[es.staff]
clear = { school_year = "Menos de {entry_at_least:late} en este año escolar: {tardies}, hasta el {through:date}.", last_days = "Menos de {entry_at_least:late} en {window_days:day}: {tardies}, hasta el {through:date}.", last_school_days = "Menos de {entry_at_least:late} en los últimos {window_days:school_day}: {tardies}, hasta el {through:date}.", first_school_days = "Menos de {entry_at_least:late} en los primeros {window_days:school_day} de este año escolar: {tardies}, hasta el {through:date}." }
stands = { school_year = "{tardies:late} en este año escolar, hasta el {through:date}.", last_days = "{tardies:late} en {window_days:day}, hasta el {through:date}.", last_school_days = "{tardies:late} en los últimos {window_days:school_day}, hasta el {through:date}.", first_school_days = "{tardies:late} en los primeros {window_days:school_day} de este año escolar, hasta el {through:date}." }
unknown = "Aún no se conoce el {through:date}."
begins_rule = { school_year = "{leads} tras {entry_at_least:late} en este año escolar.", last_days = "{leads} tras {entry_at_least:late} en {window_days:day}.", last_school_days = "{leads} tras {entry_at_least:late} en los últimos {window_days:school_day}.", first_school_days = "{leads} tras {entry_at_least:late} en los primeros {window_days:school_day} de este año escolar." }
begins = "Lo mínimo para eso: {least:further_late} desde el próximo día de clase, visto el {on:date}."
begins_not = "Eso no puede ser en lo que queda de este año escolar ({left:school_day})."
ends_rule = { school_year = "Termina con el primer día de clase del próximo año escolar.", last_days = "Termina cuando ya pasó más tiempo.", last_school_days = "Termina cuando ya pasó más tiempo.", first_school_days = "Termina con el primer día de clase del próximo año escolar." }
lapses_rule = { school_year = "Termina con el primer día de clase del próximo año escolar.", last_days = "Termina cuando ya pasó más tiempo.", last_school_days = "Termina cuando ya pasó más tiempo.", first_school_days = "Termina con el primer día de clase del próximo año escolar." }
ends = "Sin otro retraso, será dentro de {least:school_day}: el {on:date}."
[es.parent]
clear = "Su hijo o hija llega a tiempo, o casi siempre. Eso es muy bueno."
stands = "Su hijo o hija llegó tarde {tardies:day}. Queremos saber qué le haría más fácil llegar a tiempo."
unknown = "Aún no sabemos quién llegó a tiempo el último día."
begins = "Si llega tarde {least:more_time}, le ofreceremos más ayuda."
ends = "Si llega a tiempo, este apoyo puede terminar el {on:date}."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = "Llegas a tiempo, o casi siempre. ¡Muy bien!"
stands = "Llegaste tarde {tardies:day}. ¿Qué te haría más fácil llegar a tiempo? Queremos ayudarte con eso."
unknown = "Aún no sabemos quién llegó a tiempo el último día."
begins = "Si llegas tarde {least:more_time}, te ofreceremos más ayuda."
ends = "Si llegas a tiempo, la ayuda puede terminar el {on:date}."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = in_window(
    "tardies",
    whole(1, 400),
    timed=(LAST_DAYS, LAST_SCHOOL_DAYS, FIRST_SCHOOL_DAYS),
    minimum="entry.at_least",
    reads="education_record",
    measure=measure,
    evidence=counted("tardies"),
    suppose=suppose,
    recorded=lambda timeline, facts, _: happened_on(timeline.of_kind(facts, TARDY)),
    in_year=CountOfDays,
    how={"closed": True},
    words=tomllib.loads(WORDS),
)
