"""Each day judged by what was known at its end: by hand, with every fact and the day on which it was heard."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from uuid import UUID

import numpy as np
import pytest

from common.events import Event, SchoolDayClosed, StudentEnrolled
from mtss.rules import Policy, day_number, policy_of
from mtss.rules.rehearsal.district import District
from mtss.rules.rehearsal.outcome import TARGETED, Outcome
from mtss.rules.rehearsal.recorded import district_of
from mtss.rules.rehearsal.report import Asked, rehearse
from mtss.rules.rehearsal.then import AsKnownThen, Closings, Known, Moments
from tests.mtss.made_up import School, facts_of, named, policy, school_days
from tests.mtss.test_rules_excluded import EXCLUDED
from tests.mtss.test_rules_rehearsal import COMPARISON
from tests.mtss.test_rules_tardies import TARDIES, late

DEFAULT_POLICY = policy()
ONE, TWO = named("student", 0), named("student", 1)
AT, OTHER = (School(name, days=school_days(60)) for name in ("100", "200"))
Heard = tuple[int, Event]
"""The place of the day on which it was heard, and the event."""


def _at(place: int, *events: Event) -> list[Heard]:
    return [(place, event) for event in events]


def _closes(school: School = AT, *, behind: int = 0) -> list[Heard]:
    return [(min(day + behind, 60), *school.closes(day)) for day in range(60)]  # type: ignore[misc]  # one event a day


def _number(place: int) -> int:
    return day_number(AT.days[place]) if place < len(AT.days) else day_number(date(2030, 1, 1))


def _district(heard: Sequence[Heard], students: Sequence[UUID], by: Policy) -> District:
    return district_of(facts_of([event for _, event in heard], students), [by])


def _known(heard: Sequence[Heard], moments: Sequence[tuple[int, int]], students: Sequence[UUID]) -> Known:
    closed = [(place, each) for place, each in heard if isinstance(each, SchoolDayClosed) and not each.deleted]
    now = facts_of([event for _, event in heard], students).schools
    former = sorted({each.school_id for _, each in heard if isinstance(each, StudentEnrolled)} - {*now})
    schools = [*now, None, *former]
    closings = [(schools.index(each.school_id), day_number(each.on), _number(place)) for place, each in closed]
    enrolled = [
        min(
            (place for place, each in heard if isinstance(each, StudentEnrolled) and each.student_id == who), default=60
        )
        for who in students
    ]
    return Known(
        since=np.array([_number(place) for place in enrolled], np.int32),
        moments=Moments.of(*zip(*((who, _number(place)) for who, place in moments), strict=True))
        if moments
        else Moments.of(None, None),
        closings=Closings.of(*zip(*closings, strict=True)),
        late_days=7,
        former=tuple(former),
    )


def _as_known_then(
    heard: Sequence[Heard],
    *moments: tuple[int, int],
    students: Sequence[UUID] = (ONE,),
    by: Policy = DEFAULT_POLICY,
) -> AsKnownThen:
    """``moments``: the place of a student, and that of the day on which something was heard of a day before."""
    before = [_district([each for each in heard if each[0] < place], [students[who]], by) for who, place in moments]
    return AsKnownThen(_district(heard, students, by), _known(heard, moments, students), before)


def _then(
    heard: Sequence[Heard],
    *moments: tuple[int, int],
    students: Sequence[UUID] = (ONE,),
    by: Policy = DEFAULT_POLICY,
) -> Outcome:
    return _as_known_then(heard, *moments, students=students, by=by).run(by)


def _enrolled(*students: UUID) -> list[Heard]:
    return _at(0, AT.calendar(), *(AT.enrols(each) for each in students or (ONE,)))


def _missed(heard: int, days: Sequence[int], student: UUID = ONE, hundredths: int = 100) -> list[Heard]:
    return _at(heard, *(AT.absent(day, student, hundredths) for day in days))


def test_what_was_heard_in_time_is_as_it_is_known_now() -> None:
    heard = [*_enrolled(), *_closes(), *_missed(0, range(8))]

    assert _then(heard).changes.row.tolist()[0] == 19


def test_what_was_heard_late_counts_from_the_day_on_which_it_was_heard() -> None:
    heard = [*_enrolled(), *_closes(), *_missed(30, range(8))]

    assert _then(heard, (0, 30)).changes.row.tolist()[0] == 30


def test_what_was_taken_back_counted_until_then() -> None:
    heard = [*_enrolled(), *_closes(), *_missed(0, range(8)), *_missed(30, range(8), hundredths=0)]

    then = _then(heard, (0, 30))

    assert then.changes.row.tolist() == [19, 30]
    assert then.caseload(TARGETED)[[18, 19, 29, 30], 0].tolist() == [0, 1, 1, 0]


def test_a_day_that_was_changed_twice_was_known_in_three_ways() -> None:
    heard = [*_enrolled(ONE, TWO), *_closes(), *_missed(0, range(8)), *_missed(25, range(8), hundredths=0)]
    heard += _missed(35, range(8))

    then = _then(heard, (0, 25), (0, 35), students=(ONE, TWO))

    assert then.caseload(TARGETED)[[18, 19, 24, 25, 34, 35], 0].tolist() == [0, 1, 1, 0, 0, 1]
    assert then.students == 2


def test_who_was_heard_of_late_had_no_tier_before() -> None:
    heard = [(0, AT.calendar()), *_at(40, AT.enrols()), *_closes(), *_missed(40, range(8))]

    assert _then(heard).changes.row.tolist()[0] == 40


def test_a_referral_that_was_withdrawn_stood_until_then() -> None:
    told = [AT.refers(day, day) for day in (21, 22, 23)]
    gone = [AT.refers(day, day, deleted=True) for day in (21, 22, 23)]
    heard = [*_enrolled(), *_closes(), *_at(21, *told), *_at(33, *gone)]

    then = _then(heard, (0, 33))

    assert then.caseload(TARGETED)[[21, 22, 32, 33], 0].tolist() == [0, 1, 1, 0]


def test_days_begun_late_count_from_the_day_on_which_the_last_of_them_was_heard() -> None:
    heard = [*_enrolled(), *_closes(), *_at(10, *(late(day, AT) for day in (3, 4, 5)))]

    assert _then(heard, (0, 10), by=policy_of(TARDIES)).changes.row.tolist() == [10]
    assert _then(_at(0, *(each for _, each in heard)), by=policy_of(TARDIES)).changes.row.tolist() == [5]


def test_an_exclusion_that_was_shortened_stood_in_full_until_then() -> None:
    told, shortened = AT.excludes(21, 1, 3), AT.excludes(21, 1, 3, hundredths_served=50)
    heard = [*_enrolled(), *_closes(), *_at(21, told), *_at(33, shortened)]

    assert _then(heard, (0, 33), by=policy_of(EXCLUDED)).changes.row.tolist() == [21, 33]


def test_a_day_that_was_opened_again_counted_until_then() -> None:
    heard = [*_enrolled(), *_closes(), *_missed(0, range(2)), *_at(25, *AT.closes(0, deleted=True))]

    assert _then(heard, (0, 25)).changes.row.tolist() == [19, 25]


def test_a_day_that_was_closed_the_next_day_ended_as_the_day_before() -> None:
    heard = [*_enrolled(), *_closes(behind=1), *_missed(0, range(8))]

    assert _then(heard).changes.row.tolist()[0] == 20


@pytest.mark.parametrize(("behind", "rows"), [(1, [20, 30]), (8, [])], ids=["closed the next day", "loaded later"])
def test_until_it_was_heard_that_a_student_had_moved_days_ended_with_what_the_former_school_had_closed(
    behind: int, rows: list[int]
) -> None:
    moved = AT.enrols(primary=False), OTHER.enrols()
    heard = [*_enrolled(), (0, OTHER.calendar()), *_closes(behind=behind), *_closes(OTHER), *_missed(0, range(8))]
    heard += _at(30, *moved)

    assert _then(heard, (0, 30)).changes.row.tolist() == rows


def test_where_a_student_was_believed_to_be_days_ended_with_what_that_school_had_closed() -> None:
    moved = AT.enrols(exit_on=AT.days[15]), OTHER.enrols(entry_on=AT.days[15])
    stayed = AT.enrols(), OTHER.enrols(entry_on=AT.days[15], deleted=True)
    heard = [*_enrolled(), (0, OTHER.calendar()), *_closes(), *_closes(OTHER, behind=1), *_at(15, *moved)]
    missed = [*_missed(0, range(1)), *_at(0, *(OTHER.absent(day) for day in range(15, 23)))]

    then = _then([*heard, *missed, *_at(40, *stayed)], (0, 40))

    # The 20th day is known a day later; after day 40 nothing of the other school counts any more.
    assert then.changes.row.tolist() == [20, 40]


def test_days_of_a_later_load_are_as_known_now() -> None:
    heard = [*_enrolled(), *_closes(behind=30), *_missed(30, range(8))]

    assert _then(heard, (0, 30)).changes.row.tolist()[0] == 19


def test_the_last_days_of_a_load_came_with_it_and_not_the_days_closed_in_time_afterwards() -> None:
    loaded = [(max(day, 40), *AT.closes(day)) for day in range(60)]
    heard = [*_at(40, AT.calendar(), AT.enrols()), *loaded, *_missed(40, range(8))]

    then = _then(heard, (0, 40))  # type: ignore[arg-type]  # one event a day

    assert then.caseload(TARGETED)[[19, 35, 39, 40, 59], 0].tolist() == [1, 1, 1, 1, 1]


def test_before_a_calendar_was_known_there_was_nothing_to_say() -> None:
    heard = [*_at(0, AT.enrols()), *_at(25, AT.calendar()), *_closes(), *_missed(0, range(8))]

    assert _then(heard, (0, 25)).changes.row.tolist()[0] == 25


def test_a_report_as_known_then_is_later_where_absences_were_heard_late() -> None:
    asked = Asked(policy(), policy(), replace(COMPARISON, steps_each_way=0))
    heard = [*_enrolled(), *_closes(), *_missed(0, range(30, 54, 3)), *_missed(45, range(0, 30, 3))]
    then = _as_known_then(heard, (0, 45))
    everything = district_of(facts_of([event for _, event in heard], (ONE,)), asked.policies)
    before = district_of(facts_of([event for place, event in heard if place < 45], (ONE,)), asked.policies)

    report = rehearse(everything, asked, lambda: None, AsKnownThen(everything, then.known, [before]))

    # Of the absences heard in time, day 39 is the fourth of 40 days; 6 of 60 days were missed on day 15.
    assert report["policies"][0]["early"]["chronic"]["school_days_ahead"]["quartiles"][1] == 15 - 39
    assert report["students"] == 1
