"""Courses that were not passed at the end of the last grading period, as the SIS's marks said by the district's own reading of them.

A grading period with marks of fewer courses than the minimum moves nothing, such as the one that a single elective has to itself.
What the last one said stands until the next, over the summer too: marks of the year before are what is known in its first weeks.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mtss.rules.facts import Facts, Ints, Marks, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import Happened, happened
from mtss.rules.rehearsal.rare import Level
from mtss.rules.signals.kinds import Evidence, Going, Measure, Moment, Signal, Supposed, whole
from mtss.rules.timeline import Timeline

_MINIMUM = "minimum_data.courses"


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """In how many courses the student did not pass, from the end of each grading period on; nothing is known before the first."""
    marks, heard = facts.marks, heard_of(facts.marks, clause)
    student, day = marks.student[heard], marks.day[heard]
    telling = timeline.carried(student, day, np.ones(len(heard), np.bool_))
    return Measure(timeline.carried(student, day, marks.failing[heard]), telling)


def heard_of(marks: Marks, clause: Clause) -> Ints:
    """The places of grading periods with marks of enough courses."""
    return np.flatnonzero(marks.courses >= int(clause[_MINIMUM])).astype(np.int32)


def evidence(at: Moment) -> Evidence:
    """What the last grading period with enough marks came to."""
    marks, heard = at.facts.marks, heard_of(at.facts.marks, at.clause)
    mine = heard[(marks.student[heard] == at.student) & (marks.day[heard] <= at.timeline.days[at.row])]
    if not len(mine):
        return {"courses_not_passed": None, "courses": 0, "period_ended_on": None}
    last = mine[marks.day[mine].argmax()]
    return {
        "courses_not_passed": int(marks.failing[last]),
        "courses": int(marks.courses[last]),
        "period_ended_on": day_of(marks.day[last]).isoformat(),
    }


def values(evidence: Mapping[str, Any]) -> Mapping[str, Any]:
    """Courses passed are what goes well."""
    return {**evidence, "courses_passed": evidence["courses"] - (evidence["courses_not_passed"] or 0)}


def suppose(going: Going) -> Supposed | None:
    """Marks on the next school day: with the fewest courses not passed that enter, or the most that leave."""
    if not len(going.days):
        return None
    entry, least = int(going.clause["entry.at_least"]), int(going.clause[_MINIMUM])
    leaves = int(going.clause["exit.below"]) if "exit.below" in going.clause.numbers else entry
    failing = leaves - 1 if going.stands else entry
    marks = {"marks": [(going.days[0], failing, least)]}
    return Supposed("courses_not_passed", failing, -failing if going.stands else failing, marks, str(going.stands))


def wrong(clause: Clause) -> Iterator[tuple[str, str]]:
    """Fewer courses than the entry asks for: marks of so few would be known, and could never hold."""
    if clause[_MINIMUM] < clause["entry.at_least"]:
        yield _MINIMUM, "must not be below the entry: with marks of so few courses the clause could never hold"


def recorded(timeline: Timeline, facts: Facts, _: Clause) -> Happened:
    """In how many courses of how many the student did not pass, at the end of each grading period."""
    return happened(timeline, facts.marks, facts.marks.failing, of_how_many=facts.marks.courses)


class DayByDay(Level):
    """What the last grading period said."""

    def heard(self, happened: Happened, clause: Clause) -> Happened:
        """Grading periods with marks of enough courses."""
        enough = np.asarray(happened.of) >= int(clause[_MINIMUM])
        return Happened(happened.student[enough], happened.row[enough], happened.value[enough])


WORDS = """
[en.nouns]
course = ["course", "courses"]
[en.staff]
clear = "{courses_passed} of {courses:course} were passed at the end of the grading period of {period_ended_on:date}."
stands = "{courses_not_passed} of {courses:course} were not passed at the end of the grading period of {period_ended_on:date}."
unknown = "Marks of {minimum_data_courses:course} or more at the end of one grading period are not known yet."
begins_rule = "{leads} once {entry_at_least:course} or more are not passed at the end of a grading period."
begins = "Marks on the next school day with {least:course} not passed would show on {on:date}."
begins_not = "There is no school day left in this school year."
ends_rule = "This ends with the marks of a later grading period in which fewer than {exit_below:course} are not passed."
lapses_rule = "This ends with the marks of a later grading period in which fewer than {entry_at_least:course} are not passed."
ends = "Marks on the next school day with no more than {least:course} not passed would show on {on:date}."
ends_not = "There is no school day left in this school year."
[en.parent]
clear = "Your child passed {courses_passed} of {courses:course} in the last grading period."
stands = "In the last grading period your child did not pass {courses_not_passed} of {courses:course} yet. We want to help with that."
unknown = "We do not know your child's marks yet."
begins = "We would offer more help if your child did not pass {least:course} at the end of a grading period."
ends = "If the next marks are better, this support may end."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = "You passed {courses_passed} of your {courses:course} in the last grading period."
stands = "You have not passed {courses_not_passed} of your {courses:course} yet. Tell us what would help you."
unknown = "We do not know your marks yet."
begins = "If you do not pass {least:course} the next time, we will offer you more help."
ends = "If your next marks are better, the extra help may end."
ends_not = "The extra help will go on until the end of this school year."
[es.nouns]
course = ["materia", "materias"]
[es.staff]
clear = "{courses_passed} de {courses:course} se aprobaron al fin del período del {period_ended_on:date}."
stands = "{courses_not_passed} de {courses:course} no se aprobaron al fin del período del {period_ended_on:date}."
unknown = "Aún no se conocen las notas de {minimum_data_courses:course} o más al fin de un mismo período."
begins_rule = "{leads} cuando {entry_at_least:course} o más no se aprueban al fin de un período."
begins = "Se vería el {on:date} con notas del próximo día de clase en que {least:course} no se aprueban."
begins_not = "No queda ningún día de clase en este año escolar."
ends_rule = "Termina con las notas de un período posterior en que menos de {exit_below:course} no se aprueban."
lapses_rule = "Termina con las notas de un período posterior en que menos de {entry_at_least:course} no se aprueban."
ends = "Se vería el {on:date} con notas del próximo día de clase en que no más de {least:course} no se aprueban."
ends_not = "No queda ningún día de clase en este año escolar."
[es.parent]
clear = "Su hijo o hija aprobó {courses_passed} de {courses:course} en el último período."
stands = "En el último período su hijo o hija aún no aprobó {courses_not_passed} de {courses:course}. Queremos ayudar con eso."
unknown = "Aún no sabemos las notas de su hijo o hija."
begins = "Le ofreceremos más ayuda si al fin de un período no aprueba {least:course}."
ends = "Si las próximas notas son mejores, este apoyo puede terminar."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = "Pasaste {courses_passed} de tus {courses:course} en el último período."
stands = "Aún no pasaste {courses_not_passed} de tus {courses:course}. Dinos qué te ayudaría."
unknown = "Aún no sabemos tus notas."
begins = "Si la próxima vez no pasas {least:course}, te ofreceremos más ayuda."
ends = "Si tus próximas notas son mejores, la ayuda puede terminar."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = Signal(
    name="course_marks",
    reads="education_record",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    numbers={_MINIMUM: whole(1, 20), "entry.at_least": whole(1, 20)},
    may={"exit.below": whole(1, 20)},
    wrong=wrong,
    values=values,
    recorded=recorded,
    rehearsed={None: DayByDay},
    words=tomllib.loads(WORDS),
)
