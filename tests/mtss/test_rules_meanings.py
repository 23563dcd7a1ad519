"""What a signal means changes only together with its revision, which every decision keeps."""

from typing import Any
from zlib import crc32

import numpy as np
import pytest

from common.events import Event
from mtss.rules import SIGNALS, day_number, policy_of
from mtss.rules.timeline import timeline_of
from tests.mtss.made_up import STUDENT, School, facts_of, named, school_days
from tests.mtss.test_rules_help import with_requests
from tests.mtss.test_rules_policy import changed, number
from tests.mtss.test_rules_tardies import late

SCHOOL, OTHER = School(days=school_days(60)), named("student", 1)
HEARD: list[Event] = [
    SCHOOL.calendar(),
    *(SCHOOL.enrols(each) for each in (STUDENT, OTHER)),
    *(SCHOOL.absent(day) for day in (3, 4, 5, 12, 30, 31)),
    *(SCHOOL.absent(day, OTHER, hundredths) for day, hundredths in ((4, 50), (6, 100))),
    *(late(day, SCHOOL) for day in (8, 21, 40)),
    *(SCHOOL.refers(day, number) for number, day in enumerate((2, 20, 21))),
    *(SCHOOL.excludes(day, day, days) for day, days in ((9, 1.5), (33, 3))),
    *(SCHOOL.scores(day, mean, window=day) for day, mean in ((5, 4.0), (25, 1.0), (45, 3.0))),
    *SCHOOL.marks(15, True, False),
    *SCHOOL.marks(35, True, True, False),
    *SCHOOL.closes_through(50),
]
IN_A_WINDOW = {"window": "last_days", "window_days": number(20)}
CLAUSES: dict[str, dict[str, Any]] = {
    "absence_streak": {"counts": "all"},
    "attendance_share": {"counts": "all", "window": "year_to_date", "minimum_data": {"enrolled_days": number(5)}},
    "course_marks": {"minimum_data": {"courses": number(2)}},
    "excluded_days": {"actions": {"codes": ["Out of School Suspension"], "source": "local"}, **IN_A_WINDOW},
    "help_requested": {"window_days": number(20)},
    "longest_streak": {"counts": "unexcused"},
    "no_trusted_adult": {"subscale": "adult_support"},
    "referrals": IN_A_WINDOW,
    "survey_drop": {"subscale": "adult_support", "scale": {"sd": number(0.75), "reliability": number(0.7)}},
    "survey_level": {"subscale": "adult_support"},
    "tardies": IN_A_WINDOW,
}
MEANT = {
    "absence_streak": (1, 563730607),
    "attendance_share": (1, 2877415829),
    "course_marks": (1, 2354740420),
    "excluded_days": (1, 3567296823),
    "help_requested": (1, 721037493),
    "longest_streak": (1, 14574520),
    "no_trusted_adult": (1, 1898661364),
    "referrals": (1, 2918224729),
    "survey_drop": (1, 2692132148),
    "survey_level": (1, 984743104),
    "tardies": (1, 3345650047),
}
"""By signal its revision, and a checksum of what it measures here."""


def test_each_signal_is_watched() -> None:
    assert CLAUSES.keys() == SIGNALS.keys() == MEANT.keys()


@pytest.mark.parametrize("name", CLAUSES)
def test_a_signal_that_means_something_else_has_another_revision(name: str) -> None:
    signal = SIGNALS[name]
    entry = {"at_most": number(2)} if signal.entry == "at_most" else {"at_least": number(1)}
    document = changed("clauses/attendance", {"signal": name, "entry": entry, "when_unknown": "hold", **CLAUSES[name]})
    policy = policy_of(document)
    days = [day_number(SCHOOL.days[day]) for day in (4, 14, 28)]
    facts = with_requests(facts_of(HEARD, [STUDENT, OTHER]), *((0, day) for day in days))
    measure = signal.measure(timeline_of(facts, policy), facts, policy.clauses["attendance"])
    measured = np.where(measure.telling, measure.amount, -1).astype("<f8")
    assert len(np.unique(measured)) > 2, "nothing is measured here"
    found = signal.revision, crc32(measured.tobytes())
    assert found == MEANT[name], f"{name} means something else: raise its revision"
