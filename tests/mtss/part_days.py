"""Days missed in part, in the school year or in the last days: a signal that Trellis does not have, in one file."""

import tomllib

from mtss.rules.facts import Facts, Ints
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal.district import happened_on
from mtss.rules.rehearsal.rare import CountOfDays
from mtss.rules.signals.kinds import Going, Measure, Supposed, counted, in_window, whole
from mtss.rules.timeline import LAST_DAYS, Timeline


def _in_part(timeline: Timeline, facts: Facts) -> Ints:
    absent = timeline.absent_of(facts, None)
    in_part: Ints = ((absent > 0) & (absent < 100)).astype("int32")
    return in_part


def measure(timeline: Timeline, facts: Facts, clause: Clause) -> Measure:
    """How many closed days were missed in part, up to each day."""
    in_part = _in_part(timeline, facts)
    if clause.texts["window"] == LAST_DAYS:
        return Measure(timeline.in_last_days(in_part, int(clause["window_days"])), timeline.known)
    return Measure(timeline.year_to_date(in_part), timeline.known)


def suppose(going: Going) -> Supposed | None:
    """Half of each further school day is missed, as many as are missing to the entry."""
    least = max(int(going.clause["entry.at_least"]) - int(going.amount[0]), 1)
    if going.stands or least > len(going.days):
        return None
    rows = zip(going.school[:least], going.days[:least], strict=True)
    return Supposed("in_part", least, least, {"absences": [(school, day, 50, -1) for school, day in rows]})


WORDS = """
[en.nouns]
part_day = ["part of a day", "parts of days"]
[en.texts.window]
school_year = "since the summer"
last_days = "lately"
[en.staff]
clear = "{days_in_part:part_day} {window}."
stands = "{days_in_part:part_day} {window}, counted through {through:date}."
unknown = "{through:date} is not known yet."
begins_rule = "{leads} after {entry_at_least:part_day}."
begins = "{least:part_day} more, seen on {on:date}."
[en.parent]
clear = "Your child stays all day."
stands = "Your child missed {days_in_part:part_day}."
unknown = "We do not know yet."
[en.student]
clear = "You stay all day."
stands = "You missed {days_in_part:part_day}."
unknown = "We do not know yet."
[es.nouns]
part_day = ["parte de un día", "partes de días"]
[es.texts.window]
school_year = "desde el verano"
last_days = "de los últimos"
[es.staff]
clear = "{days_in_part:part_day} {window}."
stands = "{days_in_part:part_day} {window}, hasta el {through:date}."
unknown = "El {through:date} no se conoce."
begins_rule = "{leads} tras {entry_at_least:part_day}."
begins = "{least:part_day} más: el {on:date}."
[es.parent]
clear = "Su hijo o hija se queda todo el día."
stands = "Su hijo o hija perdió {days_in_part:part_day}."
unknown = "Aún no lo sabemos."
[es.student]
clear = "Te quedas todo el día."
stands = "Perdiste {days_in_part:part_day}."
unknown = "Aún no lo sabemos."
"""

SIGNAL = in_window(
    "part_days",
    whole(1, 400),
    minimum="entry.at_least",
    reads="education_record",
    measure=measure,
    evidence=counted("days_in_part"),
    suppose=suppose,
    recorded=lambda timeline, facts, _: happened_on(_in_part(timeline, facts) > 0),
    in_year=CountOfDays,
    how={"closed": True},
    words=tomllib.loads(WORDS),
)
