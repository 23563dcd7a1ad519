"""Office discipline referrals in one school year, or in the last days: a student's part in one incident is one."""

import tomllib

import numpy as np

from mtss.rules.facts import Facts, Ints
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import happened
from mtss.rules.signals.kinds import (
    Measure,
    counted,
    in_window,
    on_the_next_day,
    whole,
)
from mtss.rules.timeline import FIRST_SCHOOL_DAYS, LAST_DAYS, LAST_SCHOOL_DAYS, Timeline, first_days


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many referrals up to each day. What happens in the summer belongs to no school year.

    A school year begins with the first instructional day that a school of the student gives it.
    """
    return measured(timeline, facts, clause, timeline.happened(facts.referrals.student, facts.referrals.day))


def measured(timeline: Timeline, facts: Facts, clause: Clause, happened: Ints, unit: int = 1) -> Measure:
    """How much of what ``happened`` on each day there was up to each day, in the clause's window."""
    window, running = clause.texts["window"], None
    if window == LAST_DAYS:
        amount = timeline.in_last_days(happened, int(clause["window_days"]))
    elif window == LAST_SCHOOL_DAYS:
        amount = timeline.in_last_school_days(happened, int(clause["window_days"]))
    else:
        first = int(clause["window_days"]) if window == FIRST_SCHOOL_DAYS else None
        running = None if first is None else timeline.year_to_date(timeline.known)
        whose = np.flatnonzero(happened.any(axis=0)).astype(np.int32)
        amount = _in_school_year(timeline, facts, happened, whose, first)
    return Measure(amount, timeline.year > 0, unit=unit, running=running)


def _in_school_year(timeline: Timeline, facts: Facts, happened: Ints, whose: Ints, first: int | None) -> Ints:
    """In each school year so far; with ``first`` in no more than so many of its days."""
    so_much = np.zeros(timeline.known.shape, np.int32)
    year_at, mine = timeline.year[:, whose], happened[:, whose]
    for year, span in timeline.rows_of_year.items():
        counts = timeline.days[:, None] >= first_days(facts, year)[whose]
        if first is not None:
            counts &= timeline.in_first_school_days(year, first)[:, whose]
        so_far = np.cumsum(mine * counts, axis=0, dtype=np.int32)
        so_much[span, whose] += so_far[span] * (year_at[span] == year)
    return so_much


WORDS = """
[en.nouns]
referral = ["referral", "referrals"]
further = ["further referral", "further referrals"]
[en.staff]
clear = { school_year = "Fewer than {entry_at_least:referral} to the office in this school year: {referrals}, counted through {through:date}.", last_days = "Fewer than {entry_at_least:referral} to the office in {window_days:day}: {referrals}, counted through {through:date}." }
stands = { school_year = "{referrals:referral} to the office in this school year, counted through {through:date}.", last_days = "{referrals:referral} to the office in {window_days:day}, counted through {through:date}." }
unknown = "{referrals:referral} to the office, counted through {through:date}."
begins_rule = { school_year = "{leads} after {entry_at_least:referral} in this school year.", last_days = "{leads} after {entry_at_least:referral} in {window_days:day}." }
begins = "{least:further} on the next school day, {on:date}, would do it."
begins_not = "There is no school day left in this school year."
ends_rule = { school_year = "This ends with the first school day of the next school year.", last_days = "This ends once they are longer ago." }
lapses_rule = { school_year = "This ends with the first school day of the next school year.", last_days = "This ends once they are longer ago." }
ends = "Without a further one that is {least:school_day} away, on {on:date}."
[en.parent]
clear = "Your child gets on well with others at school, or nearly always."
stands = "The office was asked to help {referrals:time}. We want to know what was hard, and what would help."
unknown = "We know nothing yet about hard moments at school."
begins = "We would offer more help if the office were asked to help {least:more_time}."
ends = "If nothing more happens, this support may end on {on:date}."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = "You get on well with others at school, or nearly always."
stands = "The office was asked to help {referrals:time}. Tell us what was hard and what would help."
unknown = "We do not know about hard times at school yet."
begins = "If the office is asked to help {least:more_time}, we will offer you more help."
ends = "If nothing more happens, the extra help may end on {on:date}."
ends_not = "The extra help will go on until the end of this school year."
[es.nouns]
referral = ["remisión", "remisiones"]
further = ["remisión más", "remisiones más"]
[es.staff]
clear = { school_year = "Menos de {entry_at_least:referral} a la oficina en este año escolar: {referrals}, hasta el {through:date}.", last_days = "Menos de {entry_at_least:referral} a la oficina en {window_days:day}: {referrals}, hasta el {through:date}." }
stands = { school_year = "{referrals:referral} a la oficina en este año escolar, hasta el {through:date}.", last_days = "{referrals:referral} a la oficina en {window_days:day}, hasta el {through:date}." }
unknown = "{referrals:referral} a la oficina, hasta el {through:date}."
begins_rule = { school_year = "{leads} tras {entry_at_least:referral} en este año escolar.", last_days = "{leads} tras {entry_at_least:referral} en {window_days:day}." }
begins = "Bastaría con {least:further} el próximo día de clase, {on:date}."
begins_not = "No queda ningún día de clase en este año escolar."
ends_rule = { school_year = "Termina con el primer día de clase del próximo año escolar.", last_days = "Termina cuando ya pasó más tiempo." }
lapses_rule = { school_year = "Termina con el primer día de clase del próximo año escolar.", last_days = "Termina cuando ya pasó más tiempo." }
ends = "Sin otra remisión, será dentro de {least:school_day}: el {on:date}."
[es.parent]
clear = "Su hijo o hija se lleva bien con los demás, o casi siempre."
stands = "La oficina ayudó {referrals:time}. Queremos saber qué fue difícil y qué ayudaría."
unknown = "Aún no sabemos de momentos difíciles en la escuela."
begins = "Si la oficina tiene que ayudar {least:more_time}, le ofreceremos más ayuda."
ends = "Si no pasa nada más, este apoyo puede terminar el {on:date}."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = "Te llevas bien con los demás, o casi siempre."
stands = "La oficina ayudó {referrals:time}. Dinos qué fue difícil y qué te ayudaría."
unknown = "Aún no sabemos de momentos difíciles en la escuela."
begins = "Si la oficina tiene que ayudar {least:more_time}, te ofreceremos más ayuda."
ends = "Si no pasa nada más, la ayuda puede terminar el {on:date}."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = in_window(
    "referrals",
    whole(1, 1000),
    reads="discipline",
    measure=measure,
    evidence=counted("referrals"),
    suppose=on_the_next_day("referrals"),
    recorded=lambda timeline, facts, _: happened(timeline, facts.referrals),
    words=tomllib.loads(WORDS),
)
