"""Requests for help in the last days, whoever asked: answered or not, that somebody saw a need stays a signal."""

import tomllib

from mtss.rules.facts import Facts, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import happened
from mtss.rules.rehearsal.rare import RecentCount
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


WORDS = """
[en.nouns]
request = ["request for help", "requests for help"]
further_request = ["further request for help", "further requests for help"]
[en.staff]
clear = "Fewer than {entry_at_least:request} in {window_days:day}: {requests}, counted through {through:date}."
stands = "{requests:request} in {window_days:day}, counted through {through:date}."
unknown = "{requests:request}, counted through {through:date}."
begins_rule = "{leads} after {entry_at_least:request} in {window_days:day}."
begins = "{least:further_request} on the next school day, {on:date}, would do it."
begins_not = "There is no school day left in this school year."
ends_rule = "This ends once they are longer ago."
lapses_rule = "This ends once they are longer ago."
ends = "Without a further one that is {least:school_day} away, on {on:date}."
[en.parent]
clear = "Of late nobody, or hardly anybody, has asked for more help for your child."
stands = "Somebody who knows your child has asked for help. We want to listen, and to do what would help."
unknown = "We do not know yet if your child needs more help."
begins = "We would offer more help if somebody asked for it {least:more_time}."
ends = "If all goes well, this support may end on {on:date}."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = "It seems that school goes well for you."
stands = "Somebody asked us to help you. Tell us what would help you most."
unknown = "We do not know yet if you need more help."
begins = "If somebody asks us {least:more_time}, we will offer you more help."
ends = "If all goes well, the extra help may end on {on:date}."
ends_not = "The extra help will go on until the end of this school year."
[es.nouns]
request = ["pedido de ayuda", "pedidos de ayuda"]
further_request = ["pedido de ayuda más", "pedidos de ayuda más"]
[es.staff]
clear = "Menos de {entry_at_least:request} en {window_days:day}: {requests}, hasta el {through:date}."
stands = "{requests:request} en {window_days:day}, hasta el {through:date}."
unknown = "{requests:request}, hasta el {through:date}."
begins_rule = "{leads} tras {entry_at_least:request} en {window_days:day}."
begins = "Bastaría con {least:further_request} el próximo día de clase, {on:date}."
begins_not = "No queda ningún día de clase en este año escolar."
ends_rule = "Termina cuando ya pasó más tiempo."
lapses_rule = "Termina cuando ya pasó más tiempo."
ends = "Sin otro pedido, será dentro de {least:school_day}: el {on:date}."
[es.parent]
clear = "Nadie, o casi nadie, ha pedido más ayuda para su hijo o hija."
stands = "Alguien que conoce a su hijo o hija pidió ayuda. Queremos oír qué le ayudaría."
unknown = "Aún no sabemos si necesita más ayuda."
begins = "Si alguien pide ayuda {least:more_time}, le ofreceremos más ayuda."
ends = "Si todo va bien, este apoyo puede terminar el {on:date}."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = "Parece que te va bien en la escuela."
stands = "Alguien nos pidió que te ayudemos. Dinos qué te ayudaría más."
unknown = "Aún no sabemos si necesitas más ayuda."
begins = "Si alguien nos lo pide {least:more_time}, te ofreceremos más ayuda."
ends = "Si todo va bien, la ayuda puede terminar el {on:date}."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = Signal(
    name="help_requested",
    always_known=True,
    reads="support_plan",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=on_the_next_day("help_requests"),
    numbers={"window_days": whole(1, 400), "entry.at_least": whole(1, 100)},
    may={"exit.below": whole(1, 100), "exit.days_in_a_row": whole(1, 400)},
    recorded=lambda timeline, facts, _: happened(timeline, facts.help_requests),
    rehearsed={None: RecentCount},
    words=tomllib.loads(WORDS),
)
