"""School days in a row, up to the last closed one, that were missed whole. Each school year begins anew."""

import tomllib

import numpy as np

from mtss.rules.facts import Facts
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal import measures
from mtss.rules.rehearsal.ground import Ground
from mtss.rules.signals.attendance_share import COUNTED, days_missed
from mtss.rules.signals.kinds import Going, Measure, Signal, Supposed, beyond_a_year, counted, whole
from mtss.rules.timeline import Timeline, in_a_row

WHOLE_DAY = 100
"""In hundredths: who came for a part of a day came."""


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many closed days in a row, up to each day, were missed whole; a day that was left open neither counts nor resets."""
    missed = timeline.absent_of(facts, COUNTED[clause.texts["counts"]]) == WHOLE_DAY
    run = np.zeros(missed.shape, np.int32)
    for year, rows in timeline.rows_of_year.items():
        known = timeline.known[rows] & (timeline.year[rows] == year)
        run[rows] = np.where(known, in_a_row(known, missed[rows] & known), run[rows])
    return Measure(run, timeline.known, running=run)


def suppose(going: Going) -> Supposed | None:
    """As many further days as are missing to the entry, counted from the streak that is still going on."""
    least = max(int(going.clause["entry.at_least"]) - int(going.running), 1)
    if going.stands or least > len(going.days):
        return None
    return days_missed(going, least)


class DayByDay(measures.Measure):
    """How many closed days in a row were missed whole, in the school year."""

    def __init__(self, ground: Ground, clause: Clause) -> None:
        super().__init__(ground, clause)
        self.amount = np.zeros(self.size, np.int32)
        self._runs = {year: np.zeros(self.size, np.int32) for year in ground.district.begins}

    def turn(self) -> None:
        """One more, or none, of those whose day is known."""
        self.quiet = not self.ground.is_school_day
        if self.quiet:
            return
        whole = self.ground.missed(self.clause.texts["counts"]) == WHOLE_DAY
        for year, mine in self.ground.of_year:
            run = self._runs[year]
            np.copyto(run, (run + 1) * whole, where=mine & self.ground.known)
            self.amount = np.where(mine, run, self.amount)
        np.copyto(self.telling, self.ground.known)
        self.ask_only_who_may_be()


WORDS = """
[en.staff]
clear = "Fewer than {entry_at_least:school_day} in a row were {counts}: {days_in_a_row}, counted up to {through:date}."
stands = "{days_in_a_row:school_day} in a row, up to {through:date}, were {counts}."
unknown = "{through:date} is not known yet."
begins_rule = "{leads} once {entry_at_least:school_day} in a row were missed whole."
begins = "The least for that is {least:school_day} missed from the next one on, seen on {on:date}."
begins_not = "That cannot be in the {left:school_day} left of this school year."
ends_rule = "This ends after {exit_days_in_a_row:school_day} on each of which fewer than {exit_below:school_day} in a row were missed."
lapses_rule = "This ends with the next day attended."
ends = "With every coming day attended that is {least:school_day} away, on {on:date}."
ends_not = "What is left of this school year ({left:school_day}) is not enough for that."
[en.parent]
clear = "Your child comes to school without long breaks. That is a strength."
stands = "Your child was away for {days_in_a_row:school_day} in a row. We miss them and want to help them come back."
unknown = "We do not know yet who was in school on the last day."
begins = "We would offer more help if your child missed the next {least:school_day}."
ends = "If your child is in school each day, this support may end on {on:date}."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = "You come to school without long breaks. That is great."
stands = "You were away for {days_in_a_row:school_day} in a row. We miss you. How can we help you come back?"
unknown = "We do not know yet who was at school on the last day."
begins = "If you miss the next {least:school_day}, we will offer you more help."
ends = "If you come each day, the extra help may end on {on:date}."
ends_not = "The extra help will go on until the end of this school year."
[es.staff]
clear = "Menos de {entry_at_least:school_day} seguidos de ausencia {counts}: {days_in_a_row}, hasta el {through:date}."
stands = "Ausencias seguidas {counts}: {days_in_a_row:school_day}, hasta el {through:date}."
unknown = "Aún no se conoce el {through:date}."
begins_rule = "{leads} tras {entry_at_least:school_day} enteros de ausencia seguidos."
begins = "Lo mínimo para eso: {least:school_day} de ausencia desde el próximo, visto el {on:date}."
begins_not = "Eso no puede ser en lo que queda de este año escolar ({left:school_day})."
ends_rule = "Termina tras {exit_days_in_a_row:school_day} en que las ausencias seguidas son menos de {exit_below:school_day}."
lapses_rule = "Termina con el próximo día de asistencia."
ends = "Si asiste cada día, será dentro de {least:school_day}: el {on:date}."
ends_not = "Lo que queda de este año escolar ({left:school_day}) no alcanza."
[es.parent]
clear = "Su hijo o hija viene sin largas pausas. Eso es muy bueno."
stands = "Su hijo o hija lleva {days_in_a_row:school_day} seguidos sin venir. Le extrañamos y queremos que vuelva."
unknown = "Aún no sabemos quién vino el último día."
begins = "Si falta {least:school_day} desde ahora, le ofreceremos más ayuda."
ends = "Si viene cada día, este apoyo puede terminar el {on:date}."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = "Vienes sin largas pausas. ¡Muy bien!"
stands = "Llevas {days_in_a_row:school_day} seguidos sin venir. Te extrañamos. ¿Qué te ayudaría a volver?"
unknown = "Aún no sabemos quién vino el último día."
begins = "Si faltas {least:school_day} desde ahora, te ofreceremos más ayuda."
ends = "Si vienes cada día, la ayuda puede terminar el {on:date}."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = Signal(
    name="absence_streak",
    always_known=True,
    reads="education_record",
    entry="at_least",
    measure=measure,
    evidence=counted("days_in_a_row"),
    suppose=suppose,
    texts={"counts": frozenset(COUNTED)},
    numbers={"entry.at_least": whole(1, 200)},
    may={"exit.below": whole(1, 200), "exit.days_in_a_row": whole(1, 400)},
    wrong=beyond_a_year,
    rehearsed={None: DayByDay},
    words=tomllib.loads(WORDS),
)
