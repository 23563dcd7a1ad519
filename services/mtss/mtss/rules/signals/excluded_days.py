"""Days of exclusion from class or school in one school year or the first days of it, or in the last days, by the actions that the clause names.

An action counts once, with all its days on the day that the SIS gives it: no source says on which days they were served.
"""

import tomllib

import numpy as np

from common.events.sis import plain
from mtss.rules.facts import ANY_ACTION, Facts, Flags
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import Happened, happened
from mtss.rules.signals.kinds import (
    Going,
    Measure,
    Supposed,
    broken,
    counted,
    in_window,
)
from mtss.rules.signals.referrals import measured
from mtss.rules.timeline import FIRST_SCHOOL_DAYS, LAST_DAYS, LAST_SCHOOL_DAYS, Timeline

HUNDREDTHS = 100
"""Of a day."""


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many days of exclusion up to each day: those served, or as long as nobody says so those proposed."""
    each, counts = facts.exclusions, counting(facts, clause)
    happened = timeline.happened(each.student[counts], each.day[counts], each.hundredths[counts])
    return measured(timeline, facts, clause, happened, HUNDREDTHS)


def counting(facts: Facts, clause: Clause) -> Flags:
    """Which of the exclusions are of an action that the clause names."""
    named = {plain(code) for code in clause.lists["actions"].codes}
    counts: Flags = np.array([*(not named.isdisjoint(codes) for codes in facts.actions), True])
    return counts[facts.exclusions.action]


def suppose(going: Going) -> Supposed | None:
    """One action on the next school day, of as many days as are missing to the entry."""
    if going.stands or not len(going.days):
        return None
    if going.clause.texts["window"] == FIRST_SCHOOL_DAYS and going.running >= going.clause["window_days"]:
        return None
    hundredths = max(int(going.clause["entry.at_least"] * HUNDREDTHS) - int(going.amount[0]), 1)
    days = hundredths / HUNDREDTHS
    return Supposed("exclusions", days, days, {"exclusions": [(going.days[0], hundredths, ANY_ACTION)]})


def recorded(timeline: Timeline, facts: Facts, clause: Clause) -> Happened:
    """The hundredths of a day of each action."""
    return happened(timeline, facts.exclusions, facts.exclusions.hundredths, counting(facts, clause))


WORDS = """
[en.staff]
clear = { school_year = "Fewer than {entry_at_least:day} of exclusion in this school year: {days_excluded}, counted through {through:date}.", last_days = "Fewer than {entry_at_least:day} of exclusion in {window_days:day}: {days_excluded}, counted through {through:date}.", last_school_days = "Fewer than {entry_at_least:day} of exclusion in the last {window_days:school_day}: {days_excluded}, counted through {through:date}.", first_school_days = "Fewer than {entry_at_least:day} of exclusion in the first {window_days:school_day} of this school year: {days_excluded}, counted through {through:date}." }
stands = { school_year = "{days_excluded:day} of exclusion in this school year, counted through {through:date}.", last_days = "{days_excluded:day} of exclusion in {window_days:day}, counted through {through:date}.", last_school_days = "{days_excluded:day} of exclusion in the last {window_days:school_day}, counted through {through:date}.", first_school_days = "{days_excluded:day} of exclusion in the first {window_days:school_day} of this school year, counted through {through:date}." }
unknown = "{days_excluded:day} of exclusion, counted through {through:date}."
begins_rule = { school_year = "{leads} after {entry_at_least:day} of exclusion in this school year.", last_days = "{leads} after {entry_at_least:day} of exclusion in {window_days:day}.", last_school_days = "{leads} after {entry_at_least:day} of exclusion in the last {window_days:school_day}.", first_school_days = "{leads} after {entry_at_least:day} of exclusion in the first {window_days:school_day} of this school year." }
begins = "An action of {least:day} on the next school day, {on:date}, would do it."
begins_not = "There is no school day left in this school year."
ends_rule = { school_year = "This ends with the first school day of the next school year.", last_days = "This ends once they are longer ago.", last_school_days = "This ends once they are longer ago.", first_school_days = "This ends with the first school day of the next school year." }
lapses_rule = { school_year = "This ends with the first school day of the next school year.", last_days = "This ends once they are longer ago.", last_school_days = "This ends once they are longer ago.", first_school_days = "This ends with the first school day of the next school year." }
ends = "Without a further one that is {least:school_day} away, on {on:date}."
[en.parent]
clear = "Your child has been in class with all the others, or nearly always. That is a strength."
stands = "Your child was kept out of class or school for {days_excluded:day}. We want them here. We want to hear what would help."
unknown = "We do not know yet if your child was kept out of class."
begins = "We would offer more help if your child were kept out for {least:day} more."
ends = "If nothing more happens, this support may end on {on:date}."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = "You have been in class with all the others, or nearly always. That is great."
stands = "You were kept out of class or school for {days_excluded:day}. We want you here. Tell us what would help."
unknown = "We do not know yet if you were kept out of class."
begins = "If you are kept out for {least:day} more, we will offer you more help."
ends = "If nothing more happens, the extra help may end on {on:date}."
ends_not = "The extra help will go on until the end of this school year."
[es.staff]
clear = { school_year = "Menos de {entry_at_least:day} de exclusión en este año escolar: {days_excluded}, hasta el {through:date}.", last_days = "Menos de {entry_at_least:day} de exclusión en {window_days:day}: {days_excluded}, hasta el {through:date}.", last_school_days = "Menos de {entry_at_least:day} de exclusión en los últimos {window_days:school_day}: {days_excluded}, hasta el {through:date}.", first_school_days = "Menos de {entry_at_least:day} de exclusión en los primeros {window_days:school_day} de este año escolar: {days_excluded}, hasta el {through:date}." }
stands = { school_year = "Exclusión en este año escolar, hasta el {through:date}: {days_excluded:day}.", last_days = "Exclusión en {window_days:day}, hasta el {through:date}: {days_excluded:day}.", last_school_days = "Exclusión en los últimos {window_days:school_day}, hasta el {through:date}: {days_excluded:day}.", first_school_days = "Exclusión en los primeros {window_days:school_day} de este año escolar, hasta el {through:date}: {days_excluded:day}." }
unknown = "Exclusión hasta el {through:date}: {days_excluded:day}."
begins_rule = { school_year = "{leads} tras {entry_at_least:day} de exclusión en este año escolar.", last_days = "{leads} tras {entry_at_least:day} de exclusión en {window_days:day}.", last_school_days = "{leads} tras {entry_at_least:day} de exclusión en los últimos {window_days:school_day}.", first_school_days = "{leads} tras {entry_at_least:day} de exclusión en los primeros {window_days:school_day} de este año escolar." }
begins = "Bastaría una medida de {least:day} el próximo día de clase, el {on:date}."
begins_not = "No queda ningún día de clase en este año escolar."
ends_rule = { school_year = "Termina con el primer día de clase del próximo año escolar.", last_days = "Termina cuando haya pasado más tiempo.", last_school_days = "Termina cuando haya pasado más tiempo.", first_school_days = "Termina con el primer día de clase del próximo año escolar." }
lapses_rule = { school_year = "Termina con el primer día de clase del próximo año escolar.", last_days = "Termina cuando haya pasado más tiempo.", last_school_days = "Termina cuando haya pasado más tiempo.", first_school_days = "Termina con el primer día de clase del próximo año escolar." }
ends = "Sin otra más, será dentro de {least:school_day}: el {on:date}."
[es.parent]
clear = "Su hijo o hija está en clase con los demás, o casi siempre. Eso es algo muy bueno."
stands = "Su hijo o hija estuvo fuera de clase {days_excluded:day}. Queremos que esté aquí y saber qué le ayudaría."
unknown = "Aún no sabemos si su hijo o hija estuvo fuera de clase."
begins = "Le ofreceremos más ayuda si está fuera de clase {least:day} más."
ends = "Si no pasa nada más, este apoyo puede terminar el {on:date}."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = "Estás en clase con los demás, o casi siempre. ¡Muy bien!"
stands = "Estuviste fuera de clase {days_excluded:day}. Te queremos aquí. Dinos qué te ayudaría."
unknown = "Aún no sabemos si estuviste fuera de clase."
begins = "Si estás fuera de clase {least:day} más, te ofreceremos más ayuda."
ends = "Si no pasa nada más, la ayuda puede terminar el {on:date}."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = in_window(
    "excluded_days",
    broken("0.1", "400"),
    timed=(LAST_DAYS, LAST_SCHOOL_DAYS, FIRST_SCHOOL_DAYS),
    reads="discipline",
    measure=measure,
    evidence=counted("days_excluded"),
    suppose=suppose,
    lists=frozenset({"actions"}),
    recorded=recorded,
    how={"unit": HUNDREDTHS},
    words=tomllib.loads(WORDS),
)
