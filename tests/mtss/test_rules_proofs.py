"""What a decision rests on, told by count and digest: the same facts say the same, and any other fact something else."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from common.events import AttendanceKind, Event, Tier
from mtss.rules import (
    NOTHING,
    Difference,
    Ground,
    Grounds,
    Said,
    always,
    course_of,
    differences,
    digest_of,
    digest_of_decision,
    digest_of_proposal,
    documents,
    follow,
    resting_on,
    said_of,
    standing_of,
)
from tests.mtss.made_up import STUDENT, School, facts_of, named, policy, school_days
from tests.mtss.test_rules_tardies import late

SCHOOL, OTHER = School(days=school_days(40)), named("student", 1)
HEARD: list[Event] = [
    SCHOOL.calendar(),
    SCHOOL.enrols(),
    SCHOOL.enrols(OTHER),
    *SCHOOL.closes_through(30),
    SCHOOL.absent(4),
    SCHOOL.absent(5, OTHER),
    SCHOOL.refers(3, 1),
    SCHOOL.scores(3, 3.0),
]


def ground(events: Sequence[Event] = HEARD, students: Sequence[Any] = (STUDENT, OTHER), of: Any = STUDENT) -> Ground:
    return Grounds(facts_of(events, list(students))).of(list(students).index(of))


def changed(*more: Event) -> set[str]:
    """The kinds of facts of which something else is said once ``more`` was heard."""
    before, now = ground(), ground([*HEARD, *more])
    return {kind for kind in before if before[kind] != now[kind]}


def test_a_ground_counts_the_rows_of_each_kind() -> None:
    counts = {kind: rows["count"] for kind, rows in ground().items() if kind != "seen"}
    assert counts == {
        "enrolments": 1,
        "calendars": 40,
        "closed_days": 30,
        "absences": 1,
        "tardies": 0,
        "referrals": 1,
        "scores": 1,
        "rulings": 0,
        "help_requests": 0,
        "exclusions": 0,
        "marks": 0,
    }


def test_a_ground_is_the_student_s_own_whoever_is_looked_at_beside_and_in_whatever_order() -> None:
    assert ground(students=[STUDENT]) == ground() == ground(HEARD[::-1], students=[OTHER, STUDENT])
    assert ground(of=OTHER) != ground()


@pytest.mark.parametrize(
    ("event", "kinds"),
    [
        (SCHOOL.absent(6), {"absences"}),
        (SCHOOL.absent(4, hundredths=50), {"absences"}),
        (SCHOOL.absent(4).model_copy(update={"kind": AttendanceKind.EXCUSED}), {"absences"}),
        (SCHOOL.absent(6, OTHER), set()),
        (late(6, SCHOOL), {"tardies"}),
        (late(6, SCHOOL, hundredths=25), {"absences", "tardies"}),
        (SCHOOL.absent(35), set()),
        (SCHOOL.refers(6, 2), {"referrals"}),
        (SCHOOL.excludes(6, 1), {"exclusions"}),
        (SCHOOL.scores(3, 3.25), {"scores"}),
        (SCHOOL.marks(6, False)[0], {"marks"}),
        (SCHOOL.enrols(grade="Ninth grade"), {"enrolments"}),
        (SCHOOL.enrols(exit_on=SCHOOL.days[20]), {"enrolments"}),
        (SCHOOL.closes(8, implied=True)[0], {"closed_days"}),
        (SCHOOL.closes(8, deleted=True)[0], {"closed_days"}),
        (School(days=SCHOOL.days[:-1]).calendar(), {"calendars"}),
    ],
)
def test_another_fact_of_a_kind_changes_what_is_said_of_that_kind_alone(event: Event, kinds: set[str]) -> None:
    assert changed(event) == kinds


def test_scores_to_which_no_policy_listened_are_no_ground() -> None:
    heard, more = ("adult_support",), ("adult_support", "peer_support")
    usual, both = (facts_of(HEARD, [STUDENT, OTHER], each) for each in (heard, more))
    assert Grounds(both).of(0)["scores"]["count"] == 2
    assert Grounds(both.hearing(heard)).of(0) == Grounds(usual).of(0)
    assert Grounds(both.hearing(())).of(0)["scores"]["count"] == 0


def test_what_a_decision_rests_on_names_its_policy_and_what_its_signals_mean() -> None:
    rests = resting_on(ground(), policy())
    assert rests == {
        **ground(),
        "policy": policy().digest,
        "signals": {"attendance_share": 1, "survey_level": 1, "referrals": 1},
    }


def test_nobody_s_facts_have_a_ground_too() -> None:
    empty = ground([SCHOOL.calendar()], [STUDENT])
    assert {rows["count"] for kind, rows in empty.items() if kind != "seen"} == {0}


def test_a_digest_depends_on_what_is_said_and_not_on_its_order() -> None:
    said = {"tier": Tier.TARGETED, "on": date(2025, 1, 2), "number": 2}
    assert digest_of(said) == digest_of(dict(reversed(said.items())))
    assert digest_of(said) == digest_of({**said, "tier": "targeted", "on": "2025-01-02"})
    assert digest_of(said) != digest_of({**said, "number": 3})


def test_a_decision_of_before_anybody_could_rule_has_the_digest_that_it_had() -> None:
    said = {"tier": None, "number": 2}
    assert digest_of_decision({**said, "ruling": 0, "tier_beneath": None}) == digest_of(said)
    assert digest_of_decision({**said, "ruling": 1, "tier_beneath": None}) != digest_of(said)
    assert digest_of_decision({**said, "tier": Tier.TARGETED}) != digest_of(said)


def test_a_proposal_of_before_its_facts_were_kept_has_the_digest_that_it_had() -> None:
    said = {"tier": "intensive", "policy": "default-1"}
    assert digest_of_proposal({**said, "facts": {}, "adoption": 0}) == digest_of(said)
    assert digest_of_proposal({**said, "facts": {"policy": "other"}, "adoption": 0}) != digest_of(said)
    assert digest_of_proposal({**said, "facts": {}, "adoption": 1}) != digest_of(said)


def test_what_differs_is_named_with_both_sides() -> None:
    clause = {"clause": "attendance", "holds": True, "since": None, "evidence": {"days_absent": 2.0}, "at_entry": None}
    clause["change"] = {"by": "missing"}
    gone, new = {**clause, "clause": "gone"}, {**clause, "clause": "new"}
    stored = {"tier": "targeted", "clauses": [clause, gone], "facts": ground()}
    again = {
        "tier": "universal",
        "clauses": [{**clause, "evidence": {"days_absent": 1.0}, "change": {"by": "school_days"}}, new],
        "facts": ground([*HEARD, SCHOOL.absent(6)]),
    }
    found = {each.field: each for each in differences(stored, again)}
    assert set(found) == {
        "tier",
        "facts.absences",
        "clauses.attendance.change",
        "clauses.attendance.evidence",
        "clauses.gone",
        "clauses.new",
    }
    assert found["tier"] == Difference("tier", "targeted", "universal")
    assert (found["clauses.gone"].stored, found["clauses.gone"].recomputed) == (True, False)
    assert differences(stored, stored) == []
    assert differences({**stored, "facts": None}, stored) == []
    of_before = {**stored, "clauses": [{**clause, "change": None}, gone]}
    assert differences(of_before, stored) == differences(stored, of_before) == []
    reworded = {**stored, "clauses": [{**clause, "what_would_change_it": "Said in other words."}, gone]}
    assert differences(reworded, stored) == differences(stored, reworded) == []


def test_what_a_course_says_is_what_the_ledger_compares() -> None:
    facts = facts_of([*HEARD, SCHOOL.absent(6), SCHOOL.absent(7)], [STUDENT, OTHER, named("nobody")])
    courses = follow(facts, always(policy()))
    standing = standing_of(courses)
    assert [said_of(standing, student) for student in range(3)] == [
        Said(Tier.TARGETED, SCHOOL.days[19]),
        Said(Tier.UNIVERSAL, SCHOOL.days[0]),
        NOTHING,
    ]
    course = course_of(facts, courses, 0)
    attendance = documents(course.clauses())[0]
    assert attendance | course.found()[0].document() == attendance
    assert (attendance["clause"], attendance["since"]) == ("attendance", SCHOOL.days[19].isoformat())
