"""The most school days in a row that were missed whole in the school year, however long ago."""

import tomllib

import numpy as np

from mtss.rules.facts import Facts
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.ground import Ground
from mtss.rules.signals import absence_streak
from mtss.rules.signals.attendance_share import COUNTED
from mtss.rules.signals.kinds import Measure, Signal, beyond_a_year, counted, whole
from mtss.rules.timeline import Timeline


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """The longest streak of the school year up to each day; it only grows, so it ends with the school year."""
    run = absence_streak.measure(timeline, facts, clause).amount
    longest = np.zeros_like(run)
    for year, rows in timeline.rows_of_year.items():
        known = timeline.known[rows] & (timeline.year[rows] == year)
        so_far = np.maximum.accumulate(np.where(known, run[rows], 0), axis=0)
        longest[rows] = np.where(known, so_far, longest[rows])
    return Measure(longest, timeline.known, running=run)


class DayByDay(absence_streak.DayByDay):
    """The longest of them in the school year."""

    def __init__(self, ground: Ground, clause: Clause) -> None:
        super().__init__(ground, clause)
        self._longest = {year: np.zeros(self.size, np.int32) for year in ground.district.begins}

    def turn(self) -> None:
        """What was the longest stays the longest."""
        super().turn()
        if self.quiet:
            return
        for year, mine in self.ground.of_year:
            np.maximum(self._longest[year], self._runs[year], out=self._longest[year])
            self.amount = np.where(mine, self._longest[year], self.amount)


WORDS = """
[en.staff]
clear = "Fewer than {entry_at_least:school_day} in a row of this school year were {counts}: at most {longest_days_in_a_row}, counted through {through:date}."
stands = "{longest_days_in_a_row:school_day} in a row of this school year, counted through {through:date}, were {counts}."
unknown = "{through:date} is not known yet."
begins_rule = "{leads} once {entry_at_least:school_day} in a row were missed whole."
begins = "The least for that is {least:school_day} missed from the next one on, seen on {on:date}."
begins_not = "That cannot be in the {left:school_day} left of this school year."
ends_rule = "This ends with the first school day of the next school year."
lapses_rule = "This ends with the first school day of the next school year."
[en.parent]
clear = "Your child has come to school without long breaks this year. That is a strength."
stands = "This year your child was once away for {longest_days_in_a_row:school_day} in a row. We want to help so that coming is easy."
unknown = "We do not know yet who was in school on the last day."
begins = "We would offer more help if your child missed the next {least:school_day}."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = "You come to school without long breaks this year. That is great."
stands = "This year you were once away for {longest_days_in_a_row:school_day} in a row. What would help you to come?"
unknown = "We do not know yet who was at school on the last day."
begins = "If you miss the next {least:school_day}, we will offer you more help."
ends_not = "The extra help will go on until the end of this school year."
[es.staff]
clear = "Menos de {entry_at_least:school_day} seguidos de ausencia {counts} en este año escolar: a lo más {longest_days_in_a_row}, hasta el {through:date}."
stands = "Ausencias seguidas {counts} en este año escolar: {longest_days_in_a_row:school_day}, hasta el {through:date}."
unknown = "Aún no se conoce el {through:date}."
begins_rule = "{leads} tras {entry_at_least:school_day} enteros de ausencia seguidos."
begins = "Lo mínimo para eso: {least:school_day} de ausencia desde el próximo, visto el {on:date}."
begins_not = "Eso no puede ser en lo que queda de este año escolar ({left:school_day})."
ends_rule = "Termina con el primer día de clase del próximo año escolar."
lapses_rule = "Termina con el primer día de clase del próximo año escolar."
[es.parent]
clear = "Este año su hijo o hija viene sin largas pausas. Eso es muy bueno."
stands = "Este año su hijo o hija faltó una vez {longest_days_in_a_row:school_day} seguidos. Queremos ayudar para que venir sea fácil."
unknown = "Aún no sabemos quién vino el último día."
begins = "Si falta {least:school_day} desde ahora, le ofreceremos más ayuda."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = "Este año vienes sin largas pausas. ¡Muy bien!"
stands = "Este año faltaste una vez {longest_days_in_a_row:school_day} seguidos. ¿Qué te ayudaría a venir?"
unknown = "Aún no sabemos quién vino el último día."
begins = "Si faltas {least:school_day} desde ahora, te ofreceremos más ayuda."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = Signal(
    name="longest_streak",
    always_known=True,
    reads="education_record",
    entry="at_least",
    measure=measure,
    evidence=counted("longest_days_in_a_row"),
    suppose=absence_streak.suppose,
    texts={"counts": frozenset(COUNTED)},
    numbers={"entry.at_least": whole(1, 200)},
    wrong=beyond_a_year,
    rehearsed={None: DayByDay},
    words=tomllib.loads(WORDS),
)
