"""The share of enrolled days that were missed: in the school year so far, in its first days, or in the last days.

Shares are compared exactly: hundredths of days missed against percent of whole days. Before the minimum of enrolled days,
and on days not closed, nothing is known.
"""

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from mtss.rules.facts import EXCUSED, UNEXCUSED, Facts, Ints, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.measures import FirstDays, LastDays, Share
from mtss.rules.signals.kinds import (
    Evidence,
    Going,
    Measure,
    Moment,
    Signal,
    Supposed,
    beyond_a_year,
    broken,
    shows,
    whole,
    wrong_window,
)
from mtss.rules.timeline import IMPLIED, Timeline

COUNTED = {"all": None, "unexcused": UNEXCUSED, "excused": EXCUSED}
_MINIMUM, _WINDOW = "minimum_data.enrolled_days", "window_days"


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """Hundredths of days missed, of how many enrolled days."""
    absent = timeline.absent_of(facts, COUNTED[clause.texts["counts"]])
    missed, enrolled = _WINDOWS[clause.texts["window"]](timeline, absent, clause)
    return Measure(missed, timeline.known & (enrolled >= int(clause[_MINIMUM])), enrolled)


def _year_to_date(timeline: Timeline, absent: Ints, _: Clause) -> tuple[Ints, Ints]:
    return timeline.year_to_date(absent), timeline.year_to_date(timeline.known)


def _first_days(timeline: Timeline, absent: Ints, clause: Clause) -> tuple[Ints, Ints]:
    enrolled, days = timeline.year_to_date(timeline.known), np.int32(clause[_WINDOW])
    return timeline.year_to_date(absent * (enrolled <= days)), np.minimum(enrolled, days)


def _last_days(timeline: Timeline, absent: Ints, clause: Clause) -> tuple[Ints, Ints]:
    """Over so many of the student's enrolled days, whatever the school year: those before the first day are none."""
    length, enrolled = int(clause[_WINDOW]), np.cumsum(timeline.known, axis=0, dtype=np.int32)
    return timeline.in_last_school_days(absent, length), np.minimum(enrolled, length)


_WINDOWS: dict[str, Any] = {"year_to_date": _year_to_date, "first_days": _first_days, "last_days": _last_days}


def evidence(at: Moment) -> Evidence:
    """Days missed and enrolled, with how they came to be known."""
    row, student, timeline = at.row, at.student, at.timeline
    absent, enrolled = int(at.measure.amount[row, student]), int(cast("Ints", at.measure.of)[row, student])
    year = timeline.year[row, student]
    implied = timeline.closing[: row + 1, student][timeline.year[: row + 1, student] == year] == IMPLIED
    found: Evidence = {
        "days_absent": absent / 100,
        "days_enrolled": enrolled,
        "days_implied": int(np.count_nonzero(implied)),
        "through": day_of(timeline.days[row]).isoformat(),
        "school_year": int(year),
        "band": band(absent, enrolled, at.clause),
    }
    if "exit.days_in_a_row" in at.clause.numbers:
        found["days_in_a_row_below_exit"] = min(at.days_leaving, int(at.clause["exit.days_in_a_row"]))
    return found


def band(hundredths_absent: int, days_enrolled: int, clause: Clause) -> str | None:
    """The highest of the clause's bands that the share reaches, ``none`` if none; ``None`` before the minimum days."""
    if days_enrolled < clause[_MINIMUM]:
        return None
    bands = [(path, number.value) for path, number in clause.numbers.items() if path.startswith("bands.")]
    reached = [(least, path) for path, least in bands if hundredths_absent >= least * days_enrolled]
    return max(reached)[1].removeprefix("bands.") if reached else "none"


def shown(holds: bool | None, evidence: Mapping[str, Any]) -> Iterator[str]:
    """What was missed; praise, unless a band of the policy already has it looked at; and of how many days the school sent no list."""
    yield from shows(holds, evidence)
    if holds is False and evidence.get("band", "none") == "none":
        yield "well"
    if evidence["days_implied"]:
        yield "implied"


def values(evidence: Mapping[str, Any]) -> Mapping[str, Any]:
    """Days attended are what goes well."""
    return {**evidence, "days_attended": evidence["days_enrolled"] - evidence["days_absent"]}


def suppose(going: Going) -> Supposed | None:
    """The fewest whole days, all from the next school day on, that must be missed for the share to be reached on some day."""
    if going.stands:
        return None
    percent, missed, days = (
        int(going.clause["entry.at_least"] * 10),
        going.amount.astype(np.int64),
        cast("Ints", going.of),
    )
    needed = np.maximum(-((10 * missed - percent * days) // 1000), 1)
    enough = going.telling & (needed <= _may_be_missed(going))
    if not enough.any():
        return None
    least = int(needed[enough].min())
    return days_missed(going, least)


def days_missed(going: Going, least: int) -> Supposed:
    """So many whole days missed, all from the next school day on."""
    kind = COUNTED[going.clause.texts["counts"]]
    rows = zip(going.school[:least], going.days[:least], strict=True)
    absences = [(school, day, _WHOLE, _NO_KIND if kind is None else kind) for school, day in rows]
    return Supposed("missing", least, least, {"absences": absences}, going.clause.texts["counts"])


def _may_be_missed(going: Going) -> Ints:
    """By each coming day, how many of the days until then count if they are missed. In last days none has left them yet."""
    further = np.arange(1, len(going.days) + 1, dtype=np.int32)
    if going.clause.texts["window"] == "year_to_date":
        return further
    length = int(going.clause[_WINDOW])
    if going.clause.texts["window"] == "last_days":
        return further * (further <= length)
    may: Ints = np.minimum(further, length - going.now[1])
    return may


_WHOLE, _NO_KIND = 100, -1
"""Hundredths of a day; and of an absence that counts only where all do."""


def wrong(clause: Clause) -> Iterator[tuple[str, str]]:
    """A window without its length, or shorter than the minimum of enrolled days; or a school year that is."""
    yield from wrong_window(clause, ("first_days", "last_days"), _MINIMUM)
    if clause.texts["window"] != "last_days":
        yield from beyond_a_year(clause, _MINIMUM)


WORDS = """
[en.staff]
clear = { all = "{days_attended} of {days_enrolled:school_day} {window} were attended, counted through {through:date}.", unexcused = "On {days_attended} of {days_enrolled:school_day} {window}, counted through {through:date}, nothing was missed without an excuse.", excused = "On {days_attended} of {days_enrolled:school_day} {window}, counted through {through:date}, nothing was missed with an excuse." }
stands = "{days_absent} of {days_enrolled:school_day} {window} were {counts}, counted through {through:date}."
unknown = "{days_absent} of {days_enrolled:school_day} {window} were {counts}, counted through {through:date}. Attendance is looked at once {minimum_data_enrolled_days:school_day} are known."
implied = "For {days_implied:day} of these the school sent no list; they count as attended."
begins_rule = "{leads} once {entry_at_least} percent or more of these school days were missed."
begins = "The least for that is {least:school_day} missed from the next one on, seen on {on:date}."
begins_not = "That cannot be in the {left:school_day} left of this school year."
ends_rule = "This ends after {exit_days_in_a_row:school_day} in a row on which less than {exit_below} percent of these school days were missed."
lapses_rule = "This ends once less than {entry_at_least} percent of these days were missed."
ends = "With every coming day attended that is {least:school_day} away, on {on:date}."
ends_not = "What is left of this school year ({left:school_day}) is not enough for that."
[en.parent]
clear = { all = "Your child was in school on {days_attended} of {days_enrolled:school_day}.", unexcused = "On {days_attended} of {days_enrolled:school_day} your child missed nothing without an excuse.", excused = "On {days_attended} of {days_enrolled:school_day} your child missed nothing with an excuse." }
well = "That is a strength."
stands = { all = "Your child was in school on {days_attended} of {days_enrolled:school_day}. We want to find out what would make it easier to come.", unexcused = "Your child was away without an excuse on {days_absent} of {days_enrolled:school_day}. We want to find out what would make it easier to come.", excused = "Your child was away with an excuse on {days_absent} of {days_enrolled:school_day}. We want to find out what would make it easier to come." }
unknown = "It is too early to say much about days in school."
begins = "We would offer more help if your child missed {least:school_day} more."
ends = "If your child is in school each day, this support may end on {on:date}. That is {least:school_day} from now."
ends_not = "This support will go on for the rest of this school year."
[en.student]
clear = { all = "You were at school on {days_attended} of {days_enrolled:school_day}.", unexcused = "On {days_attended} of {days_enrolled:school_day} you missed nothing without a note from home.", excused = "On {days_attended} of {days_enrolled:school_day} you missed nothing with a note from home." }
well = "That is great."
stands = { all = "You were at school on {days_attended} of {days_enrolled:school_day}. What would make it easier to come? We want to help with that.", unexcused = "You were away without a note from home on {days_absent} of {days_enrolled:school_day}. What would make it easier to come? We want to help with that.", excused = "You were away with a note from home on {days_absent} of {days_enrolled:school_day}. What would make it easier to come? We want to help with that." }
unknown = "It is too soon to say much about your days at school."
begins = "If you miss {least:school_day} more, we will offer you more help."
ends = "If you come each day, the extra help may end on {on:date}. That is {least:school_day} from now."
ends_not = "The extra help will go on until the end of this school year."
[es.staff]
clear = { all = "Asistió {days_attended} de {days_enrolled:school_day} {window}, hasta el {through:date}.", unexcused = "Sin faltar nada sin justificación: {days_attended} de {days_enrolled:school_day} {window}, hasta el {through:date}.", excused = "Sin faltar nada con justificación: {days_attended} de {days_enrolled:school_day} {window}, hasta el {through:date}." }
stands = "Ausencias {counts}: {days_absent} de {days_enrolled:school_day} {window}, hasta el {through:date}."
unknown = "Ausencias {counts}: {days_absent} de {days_enrolled:school_day} {window}, hasta el {through:date}. La asistencia se mira cuando se conocen {minimum_data_enrolled_days:school_day}."
implied = "De {days_implied:day} la escuela no envió lista; cuentan como asistidos."
begins_rule = "{leads} cuando falta a un {entry_at_least} por ciento o más de estos días."
begins = "Lo mínimo para eso: {least:school_day} de ausencia desde el próximo, visto el {on:date}."
begins_not = "Eso no puede ser en lo que queda de este año escolar ({left:school_day})."
ends_rule = "Termina tras {exit_days_in_a_row:school_day} seguidos con menos de un {exit_below} por ciento de ausencias en estos días."
lapses_rule = "Termina cuando las ausencias son menos de un {entry_at_least} por ciento de estos días."
ends = "Si asiste cada día, será dentro de {least:school_day}: el {on:date}."
ends_not = "Lo que queda de este año escolar ({left:school_day}) no alcanza."
[es.parent]
clear = { all = "Su hijo o hija vino {days_attended} de {days_enrolled:school_day}.", unexcused = "En {days_attended} de {days_enrolled:school_day} su hijo o hija no faltó sin excusa.", excused = "En {days_attended} de {days_enrolled:school_day} su hijo o hija no faltó con excusa." }
well = "Eso es muy bueno."
stands = { all = "Su hijo o hija vino {days_attended} de {days_enrolled:school_day}. Queremos saber qué le haría más fácil venir.", unexcused = "Su hijo o hija faltó sin excusa {days_absent} de {days_enrolled:school_day}. Queremos saber qué le haría más fácil venir.", excused = "Su hijo o hija faltó con excusa {days_absent} de {days_enrolled:school_day}. Queremos saber qué le haría más fácil venir." }
unknown = "Es muy pronto para hablar de los días de clase."
begins = "Si falta {least:school_day} más, le ofreceremos más ayuda."
ends = "Si viene cada día, este apoyo puede terminar el {on:date}. Es dentro de {least:school_day}."
ends_not = "Este apoyo sigue hasta el fin de este año escolar."
[es.student]
clear = { all = "Viniste {days_attended} de {days_enrolled:school_day}.", unexcused = "En {days_attended} de {days_enrolled:school_day} no faltaste sin excusa.", excused = "En {days_attended} de {days_enrolled:school_day} no faltaste con excusa." }
well = "¡Muy bien!"
stands = { all = "Viniste {days_attended} de {days_enrolled:school_day}. ¿Qué te haría más fácil venir? Queremos ayudarte con eso.", unexcused = "Faltaste sin excusa {days_absent} de {days_enrolled:school_day}. ¿Qué te haría más fácil venir? Queremos ayudarte con eso.", excused = "Faltaste con excusa {days_absent} de {days_enrolled:school_day}. ¿Qué te haría más fácil venir? Queremos ayudarte con eso." }
unknown = "Es muy pronto para hablar de tus días de clase."
begins = "Si faltas {least:school_day} más, te ofreceremos más ayuda."
ends = "Si vienes cada día, la ayuda puede terminar el {on:date}. Es dentro de {least:school_day}."
ends_not = "La ayuda sigue hasta el fin de este año escolar."
"""

SIGNAL = Signal(
    name="attendance_share",
    reads="education_record",
    entry="at_least",
    measure=measure,
    evidence=evidence,
    suppose=suppose,
    texts={"counts": frozenset(COUNTED), "window": frozenset(_WINDOWS)},
    numbers={_MINIMUM: whole(1, 200), "entry.at_least": broken("0.1", "99.9")},
    may={
        _WINDOW: whole(1, 400),
        "exit.below": broken("0.1", "99.9"),
        "exit.days_in_a_row": whole(1, 400),
        "bands.watch": broken("0.1", "99.9"),
        "bands.targeted": broken("0.1", "99.9"),
        "bands.intensive": broken("0.1", "99.9"),
    },
    wrong=wrong,
    shows=shown,
    values=values,
    rehearsed={"year_to_date": Share, "first_days": FirstDays, "last_days": LastDays},
    words=tomllib.loads(WORDS),
)
