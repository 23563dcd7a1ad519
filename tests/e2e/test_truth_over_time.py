"""Truth over time: what is so, when it was so and when we were told; told late, taken back, moved, renamed, carried over."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime
from io import BytesIO
from itertools import permutations
from typing import Any
from uuid import UUID

import pypdf
import pytest
import pytest_asyncio

from common.embedded import Cluster
from common.events import AttendanceRecorded, Event, StudentEnrolled
from sis.facts import fact_id
from tests.e2e.over_time import (
    ATTENDANCE,
    CONTACTS,
    ENROLMENTS,
    LAST_YEAR,
    NOW,
    OF_CONTACTS,
    STUDENTS,
    THEN,
    THIS_YEAR,
    TWO_YEARS_AGO,
    YEARS,
    District,
    morning_after,
    running_district,
)
from tests.notifications.made_up import tasks
from tests.sis.conftest import absence, association, contact, enrolment, student

LAST = YEARS[LAST_YEAR]
FIRST_DAY = NOW[0].isoformat()
MOTHER: dict[str, Any] = {"relationDescriptor": "uri://ed-fi.org/RelationDescriptor#Mother", "livesWith": True}
FATHER: dict[str, Any] = {"relationDescriptor": "uri://ed-fi.org/RelationDescriptor#Father", "livesWith": True}
HOME = [{"streetNumberName": "12 Ash Street", "city": "Denver", "postalCode": "80201"}]


def tenth(days: Sequence[date]) -> list[date]:
    """Six of sixty days: a tenth is reached on the last of them, and not before."""
    return [days[place] for place in (10, 20, 30, 40, 50, 59)]


def hardly_a_tenth(days: Sequence[date]) -> list[date]:
    """Five of sixty days: never a tenth, and never for twenty days in a row under 8 percent; whoever is targeted stays it."""
    return [days[place] for place in (0, 20, 30, 40, 50)]


def said_of(decision: dict[str, Any]) -> tuple[str | None, str, date]:
    """Tier, cause, and from when on."""
    return decision["tier"], decision["cause"], date.fromisoformat(decision["effective_on"])


def known_at(decision: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(decision["known_at"])


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def district(cluster: Cluster) -> AsyncIterator[District]:
    async with running_district(cluster) as running:
        yield running


async def family(district: District, *names: str, mail: str | None = "alma@example.org") -> None:
    """A mother of ``names`` who lives with them; without a mailbox she is written letters."""
    electronic = {"electronicMails": [{"electronicMailAddress": mail}]} if mail else {}
    await district.push(CONTACTS, contact("c1", addresses=HOME, **electronic))
    await district.push(OF_CONTACTS, *(association(name, **MOTHER) for name in names))


async def moment(district: District) -> datetime:
    """The database's clock, by which every service knows when it was told."""
    ((at,),) = await district.rows("mtss", "SELECT clock_timestamp()")
    assert isinstance(at, datetime)
    return at


# What happened long ago


async def test_a_deleted_absence_of_two_years_ago_withdraws_the_tier_it_caused_and_all_that_hung_on_it(
    district: District,
) -> None:
    await district.begin(TWO_YEARS_AGO)
    stayed, left = await district.enrol("s1", "s2")
    await family(district, "s1", "s2")
    for name in ("s1", "s2"):
        await district.absent(tenth(THEN), name=name)
    await district.close_each((THEN[58], THEN[59]))
    await district.tell_families()
    assert len(district.mail.accepted) == 2

    district.set_clock(morning_after(NOW[-1]))
    await district.set_calendar(*LAST, *NOW)
    for name in ("s1", "s2"):
        await district.absent(hardly_a_tenth(LAST), name=name)
    await district.absent(hardly_a_tenth(NOW), name="s1")
    await district.close_each((LAST[-1], NOW[-1]))
    assert await district.standing(stayed) == ("targeted", THEN[59])
    assert await district.standing(left) == ("universal", NOW[38])
    before, told = await moment(district), len(district.mail.accepted)

    for name in ("s1", "s2"):
        await district.present_after_all(tenth(THEN)[-1], name=name)
    await district.tell_families()

    for who in (stayed, left):
        assert await district.standing(who) == ("universal", THEN[0])
        assert {tier for *_, tier, _ in await district.course(who)} == {"universal"}
    *earlier, last = await district.decisions(stayed)
    assert [said_of(each) for each in earlier] == [
        ("universal", "enrolled", THEN[0]),
        ("targeted", "entered", THEN[59]),
    ]
    assert said_of(last) == ("universal", "withdrawn", THEN[0])
    *earlier, last = await district.decisions(left)
    assert [said_of(each)[:2] for each in earlier][1:] == [("targeted", "entered"), ("universal", "exited")]
    assert said_of(last) == ("universal", "corrected", THEN[0])
    assert all(known_at(each) < before for each in earlier)
    assert known_at(last) > before
    assert last["stands"]
    assert len(district.mail.accepted) == told
    assert await tasks(district.notifications) == ["withdrawn_after_told"] * 2  # a person decides what to say of it


async def test_a_proposal_that_hung_on_an_absence_of_two_years_ago_is_closed_with_it(district: District) -> None:
    await district.begin(*YEARS)
    (who,) = await district.enrol("s1")
    for days, missed in ((THEN, tenth), (LAST, hardly_a_tenth), (NOW, hardly_a_tenth)):
        await district.absent(missed(days))
    await district.refer(NOW[3], NOW[5])
    await district.close(NOW[-1])
    assert (await district.ask(f"students/{who}"))["proposal"]["since"] == NOW[5].isoformat()

    await district.present_after_all(tenth(THEN)[-1])

    assert (await district.ask(f"students/{who}"))["proposal"] is None
    assert await district.standing(who) == ("targeted", NOW[5])
    assert said_of((await district.decisions(who))[-1]) == ("targeted", "corrected", NOW[5])


async def test_an_absence_of_two_years_ago_that_is_added_late_creates_what_it_must_and_tells_nobody(
    district: District,
) -> None:
    await district.begin(*YEARS)
    stays, left = await district.enrol("s1", "s2")
    await family(district, "s1", "s2")
    for name in ("s1", "s2"):
        await district.absent([*tenth(THEN)[:-1], *hardly_a_tenth(LAST)], name=name)
    await district.absent(hardly_a_tenth(NOW), name="s1")
    await district.close_each((THEN[-1], LAST[-1], NOW[-1]))
    assert [len(await district.decisions(who)) for who in (stays, left)] == [1, 1]

    for name in ("s1", "s2"):
        await district.absent(tenth(THEN)[-1:], name=name)
    await district.tell_families()

    assert await district.standing(stays) == ("targeted", THEN[59])
    assert said_of((await district.decisions(stays))[-1]) == ("targeted", "entered", THEN[59])
    assert await district.standing(left) == ("universal", NOW[38])
    assert said_of((await district.decisions(left))[-1]) == ("universal", "corrected", NOW[38])
    assert district.mail.accepted == []
    assert await tasks(district.notifications) == []


async def test_an_incident_of_two_years_ago_that_moves_to_another_day_takes_the_tier_along(district: District) -> None:
    await district.begin(TWO_YEARS_AGO)
    (who,) = await district.enrol("s1")
    await district.refer(THEN[3], THEN[5])
    await district.close(THEN[-1])
    assert await district.standing(who) == ("targeted", THEN[5])

    moved = {"incidentIdentifier": THEN[5].isoformat(), "schoolReference": {"schoolId": 1}}
    await district.push("disciplineIncidents", {**moved, "incidentDate": THEN[9].isoformat()})

    assert await district.standing(who) == ("targeted", THEN[9])
    assert said_of((await district.decisions(who))[-1]) == ("targeted", "corrected", THEN[9])


# Moves, two schools at once, no-shows


async def test_a_mid_year_move_makes_one_year_of_two_schools(district: District) -> None:
    await district.begin(THIS_YEAR, schools=2)
    both, leaving = await district.enrol("s1", "s2", entry=FIRST_DAY)
    await district.absent(tenth(NOW)[:3], name="s1")
    await district.absent(NOW[:2], name="s2")
    await district.close_each((NOW[19], NOW[34]))
    assert await district.standing(leaving) == ("targeted", NOW[19])
    assert await district.status_of(f"students/{both}", "principal", schools=["2"]) == 404

    await district.absent(NOW[36:41], name="s1")  # the old school has not heard of the move yet
    await district.close(NOW[40])
    assert (await district.missed(both))[0] == 8
    for name in ("s1", "s2"):
        await district.push(ENROLMENTS, enrolment(name, 1, FIRST_DAY, exitWithdrawDate=NOW[34].isoformat()))
        await district.push(ENROLMENTS, enrolment(name, 2, NOW[35].isoformat()))
    await district.absent(tenth(NOW)[3:], name="s1", number=2)
    await district.close(NOW[59], number=2)

    assert await district.missed(both) == (6, 60)
    assert await district.standing(both) == ("targeted", NOW[59])
    # Two of 26 days are under 8 percent: nine days at the old school, and the twentieth in a row at the new one.
    assert await district.standing(leaving) == ("universal", NOW[44])
    assert said_of((await district.decisions(leaving))[-1]) == ("universal", "exited", NOW[44])
    assert {school for _, school, *_ in await district.course(leaving)} == {"1", "2"}


async def test_after_a_move_the_new_school_sees_the_student_and_what_the_old_one_says_counts_nowhere(
    district: District,
) -> None:
    await district.begin(THIS_YEAR, schools=2)
    (who,) = await district.enrol("s1", entry=FIRST_DAY, exitWithdrawDate=NOW[34].isoformat())
    await district.push(ENROLMENTS, enrolment("s1", 2, NOW[35].isoformat()))
    for number in (1, 2):
        await district.close(NOW[59], number=number)
    assert await district.status_of(f"students/{who}", "principal", schools=["2"]) == 200
    assert await district.status_of(f"students/{who}", "principal", schools=["1"]) == 404
    students = {number: (await district.ask(f"schools/{number}/summary"))["students"] for number in (1, 2)}
    assert students == {1: 0, 2: 1}
    before, course = await district.decisions(who), await district.course(who)

    await district.absent(NOW[35:60])

    assert await district.missed(who) == (0, 60)
    assert (await district.decisions(who), await district.course(who)) == (before, course)
    assert await district.standing(who) == ("universal", NOW[0])


async def test_a_day_at_two_schools_counts_once_and_the_primary_school_says_what_it_was(district: District) -> None:
    await district.begin(THIS_YEAR, schools=2)
    (who,) = await district.enrol("s1", entry=FIRST_DAY)
    first, second = enrolment("s1", 1, FIRST_DAY), enrolment("s1", 2, NOW[30].isoformat())
    await district.push(ENROLMENTS, {**second, "primarySchool": False})
    await district.absent(tenth(NOW))
    await district.push(ATTENDANCE, absence(NOW[40].isoformat(), number=2, eventDuration=0.5))
    for number in (1, 2):
        await district.close(NOW[59], number=number)
    assert await district.missed(who) == (6, 60)
    assert await district.standing(who) == ("targeted", NOW[59])

    await district.push(ENROLMENTS, {**first, "primarySchool": False}, {**second, "primarySchool": True})
    assert await district.missed(who) == (2.5, 60)
    assert await district.standing(who) == ("universal", NOW[0])
    assert said_of((await district.decisions(who))[-1]) == ("universal", "withdrawn", NOW[0])

    await district.push(ENROLMENTS, {**second, "primarySchool": False})  # neither: that of the latest entry
    assert await district.missed(who) == (2.5, 60)
    await district.push(ENROLMENTS, {**first, "primarySchool": True})
    assert await district.missed(who) == (6, 60)
    assert await district.standing(who) == ("targeted", NOW[59])
    assert said_of((await district.decisions(who))[-1]) == ("targeted", "entered", NOW[59])


async def test_a_no_show_is_no_enrolment_until_it_is_taken_back(district: District) -> None:
    await district.begin(THIS_YEAR)
    (who,) = await district.enrol("s1", entry=FIRST_DAY)
    await district.absent(tenth(NOW))
    await district.close(NOW[-1])
    assert await district.standing(who) == ("targeted", NOW[59])

    await district.push(ENROLMENTS, enrolment("s1", 1, FIRST_DAY, exitWithdrawDate=FIRST_DAY))
    assert await district.course(who) == []
    last = (await district.decisions(who))[-1]
    assert (last["tier"], last["tier_before"], last["cause"]) == (None, "targeted", "corrected")
    assert (await district.ask("students?school=1"))["items"] == []
    assert (await district.ask("schools/1/summary"))["students"] == 0

    await district.push(ENROLMENTS, enrolment("s1", 1, FIRST_DAY))
    assert await district.standing(who) == ("targeted", NOW[59])
    assert said_of((await district.decisions(who))[-1]) == ("targeted", "entered", NOW[59])
    assert [each["student_id"] for each in (await district.ask("students?school=1"))["items"]] == [str(who)]


async def test_an_enrolment_taken_away_and_told_anew_with_another_entry_tells_the_family_once(
    district: District,
) -> None:
    await district.begin(THIS_YEAR)
    (who,) = await district.enrol("s1", entry=FIRST_DAY)
    await family(district, "s1")
    await district.absent(NOW[place] for place in (11, 21, 31, 41, 51, 59))
    await district.close(NOW[-1])
    await district.tell_families()
    assert len(district.mail.accepted) == 1

    await district.take_away(ENROLMENTS, enrolment("s1", 1, FIRST_DAY))
    await district.tell_families()
    assert (await district.decisions(who))[-1]["tier"] is None
    await district.push(ENROLMENTS, enrolment("s1", 1, NOW[1].isoformat()))
    await district.tell_families()

    assert await district.missed(who) == (6, 59)
    assert await district.standing(who) == ("targeted", NOW[59])
    assert len(district.mail.accepted) == 1


async def test_who_never_came_is_nobodys_student_and_nothing_is_decided(district: District) -> None:
    await district.begin(THIS_YEAR)
    (who,) = await district.enrol("s1", entry=FIRST_DAY, exitWithdrawDate=FIRST_DAY)
    await district.absent(tenth(NOW))
    await district.close(NOW[-1])

    assert await district.mtss.said() == []
    assert (await district.ask("students?school=1"))["items"] == []
    await district.push(ENROLMENTS, enrolment("s1", 1, FIRST_DAY))
    assert await district.standing(who) == ("targeted", NOW[59])


# Names and siblings


async def test_a_new_name_is_the_same_student_and_letters_use_it(district: District) -> None:
    await district.begin(THIS_YEAR)
    (who,) = await district.enrol("s1", entry=FIRST_DAY)
    await family(district, "s1", mail=None)
    await district.absent(tenth(NOW))
    await district.close(NOW[-1])
    decisions, said = await district.decisions(who), await everything_said(district)

    renamed = student("s1", firstName="Marisol", lastSurname="Reyes-Quill")
    assert await district.push(STUDENTS, renamed) == [who]
    await district.tell_families()

    assert await everything_said(district) == said
    assert await district.decisions(who) == decisions
    (letter,) = await letters(district)
    assert "Marisol" in letter
    assert "Ada" not in letter


async def everything_said(district: District) -> list[Event]:
    return [*await district.sis.said(), *await district.mtss.said()]


async def letters(district: District) -> list[str]:
    """The text of every letter in the print queue."""
    running = district.notifications
    texts = []
    for letter in (await district.ask("letters", of="notifications"))["items"]:
        path = f"/notifications/v1/letters/{letter['id']}.pdf"
        pdf = (await running.http.get(path, headers=running.headers("district"))).content
        texts.append("\n".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(pdf)).pages))
    return texts


async def test_siblings_who_share_a_phone_and_a_home_are_told_apart_and_each_household_is_told_once_of_each(
    district: District,
) -> None:
    await district.begin(THIS_YEAR)
    ana, ben, cleo = await district.enrol("ana", "ben", "cleo", entry=FIRST_DAY)
    names = {"ana": "Ana", "ben": "Benito", "cleo": "Cleotilde"}
    await district.push(STUDENTS, *(student(name, firstName=first) for name, first in names.items()))
    shared = {"telephones": [{"telephoneNumber": "(303) 555-0117"}], "addresses": HOME}
    for name, relation, mail in (("c1", MOTHER, "alma@example.org"), ("c2", FATHER, "ben@example.org")):
        await district.push(CONTACTS, contact(name, electronicMails=[{"electronicMailAddress": mail}], **shared))
        await district.push(OF_CONTACTS, *(association(child, name, **relation) for child in names))
    for name in ("ana", "ben"):
        await district.absent(tenth(NOW), name=name)
    await district.close(NOW[-1])
    await district.tell_families()

    assert await district.standing(cleo) == ("universal", NOW[0])
    messages = district.mail.messages()
    assert len(messages) == 2
    assert all(("Ana" in text) != ("Benito" in text) and "Cleotilde" not in text for text in messages)
    assert len(set(district.mail.recipients())) == 1  # one household, and the same one for both children

    await district.present_after_all(NOW[59], name="ben")
    await district.tell_families()

    assert await district.standing(ana) == ("targeted", NOW[59])
    assert await district.standing(ben) == ("universal", NOW[0])
    assert len(district.mail.accepted) == 2
    open_tasks = await district.rows("notifications", "SELECT kind, student_id FROM notifications_task")
    assert [tuple(task) for task in open_tasks] == [("withdrawn_after_told", ben)]


# From one school year to the next


async def test_in_a_new_school_year_counting_begins_anew_and_the_tier_stands_until_twenty_days_under_the_exit_rate(
    district: District,
) -> None:
    await district.begin(TWO_YEARS_AGO, LAST_YEAR)
    (who,) = await district.enrol("s1")
    await district.absent(tenth(THEN))
    await district.close(THEN[-1])
    assert await district.missed(who) == (6, 60)

    await district.close(LAST[0])
    assert await district.missed(who) == (0, 1)
    await district.close(LAST[37])
    assert await district.standing(who) == ("targeted", THEN[59])
    assert not [on for on, *_ in await district.course(who) if THEN[-1] < on < LAST[0]]

    # The count runs from the twentieth day of the new year on, so its twentieth day is the thirty-ninth.
    await district.close(LAST[38])
    assert await district.standing(who) == ("universal", LAST[38])
    assert said_of((await district.decisions(who))[-1]) == ("universal", "exited", LAST[38])


async def test_days_under_the_exit_rate_before_the_summer_are_counted_on_after_it(district: District) -> None:
    await district.begin(TWO_YEARS_AGO, LAST_YEAR)
    (who,) = await district.enrol("s1")
    await district.absent(THEN[place] for place in (0, 1, 25, 37))  # under 8 percent from the 51st day on
    await district.close_each((THEN[-1], LAST[27]))
    assert await district.standing(who) == ("targeted", THEN[19])

    await district.close(LAST[28])
    assert await district.standing(who) == ("universal", LAST[28])


async def test_referrals_of_last_year_end_on_the_first_instructional_day_of_the_next(district: District) -> None:
    await district.begin(TWO_YEARS_AGO, LAST_YEAR)
    (who,) = await district.enrol("s1")
    await district.refer(THEN[3], THEN[5])
    await district.close(THEN[-1])
    assert await district.standing(who) == ("targeted", THEN[5])

    await district.close(LAST[0])
    assert await district.standing(who) == ("universal", LAST[0])
    assert said_of((await district.decisions(who))[-1]) == ("universal", "exited", LAST[0])


# Calendars and closings that change afterwards


async def test_a_snow_day_taken_out_two_months_later_is_counted_for_nobody_at_the_school(district: District) -> None:
    await district.begin(THIS_YEAR)
    absent_then, absent_else = await district.enrol("s1", "s2", entry=FIRST_DAY)
    await district.absent(tenth(NOW), name="s1")
    await district.absent((NOW[place] for place in (11, 21, 31, 41, 51)), name="s2")
    await district.push(ATTENDANCE, absence(NOW[59].isoformat(), name="s2", eventDuration=0.9))
    await district.close_each((NOW[30], NOW[59]))
    assert await district.standing(absent_then) == ("targeted", NOW[59])
    assert await district.standing(absent_else) == ("universal", NOW[0])

    await district.set_calendar(*(day for day in NOW if day != NOW[10]))

    assert await district.missed(absent_then) == (5, 59)
    assert await district.standing(absent_then) == ("universal", NOW[0])
    assert said_of((await district.decisions(absent_then))[-1]) == ("universal", "withdrawn", NOW[0])
    assert await district.missed(absent_else) == (5.9, 59)  # just a tenth
    assert await district.standing(absent_else) == ("targeted", NOW[59])

    await district.set_calendar(*NOW)  # it was held after all: it stays closed
    assert await district.standing(absent_then) == ("targeted", NOW[59])
    assert await district.standing(absent_else) == ("universal", NOW[0])


async def test_days_closed_late_come_to_the_same_as_days_closed_in_time(district: District) -> None:
    await district.begin(THIS_YEAR, schools=2)
    (in_time,) = await district.enrol("s1", entry=FIRST_DAY)
    (late,) = await district.enrol("s2", entry=FIRST_DAY, number=2)
    for name, number in (("s1", 1), ("s2", 2)):
        await district.absent([NOW[0], NOW[1]], name=name, number=number)
        await district.absent(tenth(NOW)[3:], name=name, number=number)
    await district.close_each(NOW[19::4])
    assert (await district.ask(f"students/{late}"))["tier"] is None

    await district.close(NOW[59], number=2)

    assert await district.standing(late) == await district.standing(in_time)
    by_day = [
        [(on, tier, clauses) for on, _, _, tier, clauses in await district.course(who)] for who in (in_time, late)
    ]
    assert by_day[0] == by_day[1]
    assert {tier for _, tier, _ in by_day[0]} == {"universal", "targeted"}


async def test_a_day_that_the_school_submits_after_later_ones_counts_from_then_on(district: District) -> None:
    await district.begin(THIS_YEAR)
    (who,) = await district.enrol("s1", entry=FIRST_DAY)
    await district.set_calendar(*(day for day in NOW if day != NOW[10]))
    await district.absent(tenth(NOW))
    await district.close(NOW[-1])
    await district.set_calendar(*NOW)
    assert await district.missed(who) == (5, 59)
    assert await district.standing(who) == ("universal", NOW[0])

    await district.close(NOW[10])

    assert await district.missed(who) == (6, 60)
    assert await district.standing(who) == ("targeted", NOW[59])
    assert said_of((await district.decisions(who))[-1]) == ("targeted", "entered", NOW[59])


# Any order, and both times


async def test_a_correction_that_comes_before_the_enrolment_is_heard_with_it(district: District) -> None:
    await district.begin(THIS_YEAR)
    (who,) = await district.push(STUDENTS, student("s1"))
    await district.close_each(NOW[:2])
    await district.absent([NOW[5], *tenth(NOW)])
    await district.close(NOW[-1])
    await district.present_after_all(NOW[5])
    await district.push(ATTENDANCE, absence(NOW[59].isoformat(), eventDuration=0.9))
    assert await district.mtss.said() == []

    await district.push(ENROLMENTS, enrolment("s1", 1, FIRST_DAY))
    assert await district.missed(who) == (5.9, 60)
    assert await district.standing(who) == ("universal", NOW[0])
    assert [said_of(each) for each in await district.decisions(who)] == [("universal", "enrolled", NOW[0])]


async def test_a_year_that_comes_before_its_student_is_heard_with_them(district: District) -> None:
    await district.begin(THIS_YEAR)
    await district.push(ENROLMENTS, enrolment("s1", 1, FIRST_DAY))
    await district.absent([NOW[5], *tenth(NOW)])
    await district.close(NOW[-1])
    await district.present_after_all(NOW[5])
    assert await district.mtss.said() == []

    (who,) = await district.push(STUDENTS, student("s1"))

    assert await district.missed(who) == (6, 60)
    assert await district.standing(who) == ("targeted", NOW[59])
    assert [said_of(each) for each in await district.decisions(who)] == [("targeted", "entered", NOW[59])]


def told(day: int, **more: Any) -> dict[str, Any]:
    """The absence that decides, as the SIS told it on this day of November 2024."""
    return absence(THEN[59].isoformat(), **more, _lastModifiedDate=f"2024-11-{day:02}T08:00:00Z")


@pytest.mark.parametrize(
    ("tellings", "stands"),
    [
        pytest.param([(1, 0.2), (2, 0.5), (3, 1.0)], ("targeted", THEN[59]), id="an absence in the end"),
        pytest.param([(1, 1.0), (2, 0.5), (3, 0.2)], ("universal", THEN[0]), id="an hour in the end"),
        pytest.param([(1, 1.0), (2, None), (3, 1.0)], ("targeted", THEN[59]), id="taken back and told again"),
        pytest.param([(1, 0.2), (2, 1.0), (3, None)], ("universal", THEN[0]), id="taken back in the end"),
        pytest.param([(1, None), (2, 1.0), (3, None)], ("universal", THEN[0]), id="taken back twice"),
    ],
)
async def test_a_fact_told_three_times_ends_the_same_in_whatever_order_it_is_told(
    district: District, tellings: list[tuple[int, float | None]], stands: tuple[str, date]
) -> None:
    await district.begin(TWO_YEARS_AGO)
    orders = list(permutations(tellings))
    names = [f"s{number}" for number in range(len(orders))]
    ids = await district.enrol(*names)
    for name in names:
        await district.absent(tenth(THEN)[:-1], name=name)
    await district.close(THEN[-1])

    for place in range(len(tellings)):
        turns = [(name, *order[place]) for name, order in zip(names, orders, strict=True)]
        rows = [told(day, name=name, eventDuration=missed) for name, day, missed in turns if missed is not None]
        await district.push(ATTENDANCE, *rows)
        gone = [told(day, name=name) for name, day, missed in turns if missed is None]
        await district.take_away_if_there(ATTENDANCE, *gone)

    assert {await district.standing(who) for who in ids} == {stands}
    assert len({tuple(await district.missed(who)) for who in ids}) == 1


async def test_of_every_fact_we_can_say_what_we_know_and_what_we_knew(district: District) -> None:
    await district.begin(TWO_YEARS_AGO)
    (who,) = await district.enrol("s1")
    await district.close(THEN[-1])
    day, moments = THEN[10], [await moment(district)]
    for duration in (1.0, 0.5, None, 0.25):
        if duration is None:
            await district.present_after_all(day)
        else:
            await district.push(ATTENDANCE, absence(day.isoformat(), eventDuration=duration))
        moments.append(await moment(district))

    assert [await sis_knew(district, AttendanceRecorded, (who, "1", day), at) for at in moments] == [
        None,
        {"hundredths_absent": 100, "on": day.isoformat()},
        {"hundredths_absent": 50, "on": day.isoformat()},
        None,
        {"hundredths_absent": 25, "on": day.isoformat()},
    ]
    assert [await mtss_knew_missed(district, who, day, at) for at in moments] == [0, 100, 50, 0, 25]


async def test_of_every_enrolment_and_decision_we_can_say_what_we_knew(district: District) -> None:
    await district.begin(TWO_YEARS_AGO)
    moments = [await moment(district)]
    (who,) = await district.enrol("s1")
    await district.absent(tenth(THEN))
    await district.close(THEN[-1])
    moments.append(await moment(district))
    entry = THEN[0].isoformat()
    for exit_on in (THEN[40], THEN[0]):
        await district.push(ENROLMENTS, enrolment("s1", 1, entry, exitWithdrawDate=exit_on.isoformat()))
        moments.append(await moment(district))
    await district.take_away(ENROLMENTS, enrolment("s1", 1, entry))
    moments.append(await moment(district))

    expected = [None, (THEN[0], None), (THEN[0], THEN[40]), (THEN[0], THEN[0]), None]
    assert [await mtss_knew_enrolment(district, who, at) for at in moments] == expected
    said = [await sis_knew(district, StudentEnrolled, (who, "1", THEN[0]), at) for at in moments]
    assert [each and each["exit_on"] for each in said] == [
        None,
        None,
        THEN[40].isoformat(),
        THEN[0].isoformat(),
        None,
    ]
    ledger = await district.decisions(who)
    tiers = [[each["tier"] for each in ledger if known_at(each) <= at][-1:] for at in moments]
    assert tiers == [[], ["targeted"], ["universal"], [None], [None]]


async def test_of_every_calendar_and_closing_we_can_say_what_we_knew(district: District) -> None:
    await district.begin(THIS_YEAR)
    await district.close(NOW[30])
    await district.set_calendar(*(day for day in NOW if day != NOW[10]))
    await district.close(NOW[31])

    calendars = await district.rows(
        "mtss", "SELECT cardinality(days), known_at, superseded_at FROM mtss_calendar ORDER BY revision"
    )
    assert [days for days, *_ in calendars] == [60, 59]
    assert calendars[0].superseded_at == calendars[1].known_at
    assert calendars[1].superseded_at is None
    closings = await district.rows("mtss", "SELECT day, known_at FROM mtss_closed_day ORDER BY day")
    assert [day for day, _ in closings] == NOW[:32]
    told = [at for _, at in closings]
    assert len(set(told[:31])) == 1
    assert told[30] < calendars[1].known_at < told[31]


async def sis_knew(district: District, event: type[Event], key: tuple[Any, ...], at: datetime) -> dict[str, Any] | None:
    """What sis knew at a moment of one fact: the revision of it that was the last one then."""
    revisions = await district.rows(
        "sis",
        """
        SELECT state, deleted FROM (
            SELECT state, deleted, known_at, revision FROM sis_fact WHERE id = :id
            UNION ALL SELECT body, deleted, known_at, revision FROM sis_revision WHERE id = :id
        ) AS every WHERE known_at <= :at ORDER BY revision
        """,
        id=fact_id(event, key),
        at=at,
    )
    if not revisions or revisions[-1].deleted:
        return None
    told_of = {"student_id", "school_id", "kind", "grade", "primary", "entry_on"}
    return {name: value for name, value in revisions[-1].state.items() if name not in told_of}


async def mtss_knew_missed(district: District, who: UUID, on: date, at: datetime) -> int:
    """Hundredths of a closed day that mtss knew at a moment to be missed: before the first change that came later."""
    found = await district.rows(
        "mtss",
        """
        SELECT coalesce(
            (SELECT before FROM mtss_attendance_change WHERE (student_id, day) = (:who, :on) AND known_at > :at
             ORDER BY revision LIMIT 1),
            (SELECT hundredths_absent FROM mtss_attendance WHERE (student_id, day) = (:who, :on)), 0)
        """,
        who=who,
        on=on,
        at=at,
    )
    return int(found[0][0])


async def mtss_knew_enrolment(district: District, who: UUID, at: datetime) -> tuple[date, date | None] | None:
    """Entry and exit as mtss knew them at a moment."""
    found = await district.rows(
        "mtss",
        """
        SELECT entry_on, exit_on FROM mtss_enrolment
        WHERE student_id = :who AND known_at <= :at AND (superseded_at IS NULL OR superseded_at > :at) AND NOT deleted
        """,
        who=who,
        at=at,
    )
    return tuple(found[0]) if found else None
