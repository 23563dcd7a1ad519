"""Events in, decisions out."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.events import Cause, Event, Tier, TierDecided
from common.outbox import Record
from mtss import handlers
from mtss.models import AttendanceChange, Decision, Enrolment, Proposal
from tests.harness import Running, record
from tests.mtss.ledger import check_ledger
from tests.mtss.made_up import STUDENT, School, districts, named, school_days

_ALL: Any = list(HealthCheck)
# A district that fails has a long repr; the warning about it would hide the failure.
pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")


async def decisions(mtss: Running) -> list[tuple[Tier | None, Cause, date]]:
    return [(said.tier, said.cause, said.effective_on) for said in await mtss.said(TierDecided)]


async def enrolled(mtss: Running, school: School, *, closed: int, absent: Sequence[int] = ()) -> None:
    """One student at a school that closed its first days; one batch."""
    missed = [school.absent(day) for day in absent]
    await mtss.deliver(school.calendar(), school.enrols(), *missed, *school.closes_through(closed))


async def rows(mtss: Running, table: Any, order: str) -> list[Any]:
    async with mtss.session() as session:
        return list(await session.scalars(sa.select(table).order_by(sa.text(order))))


# What evaluates, and when


async def test_a_deleted_absence_withdraws_the_tier(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=60, absent=range(54, 60))

    await mtss.deliver(school.absent(55, deleted=True))

    first, then = await mtss.said(TierDecided)
    assert (first.tier, first.tier_before, first.cause) == (Tier.TARGETED, None, Cause.ENTERED)
    assert (then.tier, then.tier_before, then.cause) == (Tier.UNIVERSAL, Tier.TARGETED, Cause.WITHDRAWN)
    assert (then.number, then.effective_on, then.policy) == (2, school.days[0], "default-1")
    assert then.revision > first.revision


async def test_the_first_decision_comes_with_the_first_closed_enrolled_day(mtss: Running) -> None:
    school = School()
    await mtss.deliver(school.calendar(), school.enrols(entry_on=school.days[3]), *school.closes_through(3))
    assert await decisions(mtss) == []

    await mtss.deliver(*school.closes(3))

    assert await decisions(mtss) == [(Tier.UNIVERSAL, Cause.ENROLLED, school.days[3])]


async def test_an_absence_on_an_open_day_decides_nothing(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=20, absent=[0])
    await mtss.deliver(school.absent(20), school.absent(21), school.absent(22))
    assert len(await decisions(mtss)) == 1


async def test_closing_the_day_counts_what_came_before(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=19, absent=[0])
    await mtss.deliver(school.absent(19))
    await mtss.deliver(*school.closes(19))
    assert (await decisions(mtss))[1:] == [(Tier.TARGETED, Cause.ENTERED, school.days[19])]


async def test_a_late_absence_enters_on_the_day_it_happened(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=40, absent=[20, 21])
    await mtss.deliver(school.absent(22))
    assert (await decisions(mtss))[1:] == [(Tier.TARGETED, Cause.ENTERED, school.days[22])]


async def test_the_20th_day_in_a_row_under_8_percent_exits(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=44, absent=[0, 1])
    await mtss.deliver(*school.closes(44))
    assert await decisions(mtss) == [
        (Tier.TARGETED, Cause.ENTERED, school.days[19]),
        (Tier.UNIVERSAL, Cause.EXITED, school.days[44]),
    ]


async def test_a_tier_that_only_began_on_another_day_is_corrected(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=30, absent=[20, 21, 22])
    await mtss.deliver(school.absent(23), school.absent(20, deleted=True))
    assert await decisions(mtss) == [
        (Tier.TARGETED, Cause.ENTERED, school.days[22]),
        (Tier.TARGETED, Cause.CORRECTED, school.days[23]),
    ]


async def test_attendance_before_its_enrolment_and_calendar_counts_when_they_come(mtss: Running) -> None:
    school = School()
    await mtss.deliver(school.absent(18), school.absent(19), *school.closes_through(20))
    await mtss.deliver(school.enrols())
    assert await decisions(mtss) == []
    await mtss.deliver(school.calendar())
    assert await decisions(mtss) == [(Tier.TARGETED, Cause.ENTERED, school.days[19])]


async def test_a_calendar_change_evaluates_the_school_again(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=21, absent=[0, 1])
    fewer = School(days=school.days[2:])
    await mtss.deliver(fewer.calendar())
    assert await decisions(mtss) == [
        (Tier.TARGETED, Cause.ENTERED, school.days[19]),
        (Tier.UNIVERSAL, Cause.WITHDRAWN, school.days[2]),
    ]


async def test_a_reopened_day_makes_unknown(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=20, absent=[18, 19])
    await mtss.deliver(*school.closes(19, deleted=True))
    assert (await decisions(mtss))[1:] == [(Tier.UNIVERSAL, Cause.WITHDRAWN, school.days[0])]


async def test_when_every_enrolment_is_taken_back_the_last_decision_is_to_no_tier(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=20, absent=[18, 19])
    await mtss.deliver(school.enrols(deleted=True))
    await mtss.deliver(school.enrols())

    first, gone, again = await mtss.said(TierDecided)
    assert (gone.tier, gone.tier_before, gone.cause, gone.school_id) == (None, Tier.TARGETED, Cause.CORRECTED, "100")
    assert gone.effective_on == first.effective_on
    assert (again.tier, again.tier_before, again.cause) == (Tier.TARGETED, None, Cause.ENTERED)


async def test_a_low_score_enters_and_a_later_one_exits(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=10)
    await mtss.deliver(school.scores(4, 2.0))
    await mtss.deliver(school.scores(6, 3.0, window=1))
    assert (await decisions(mtss))[1:] == [
        (Tier.TARGETED, Cause.ENTERED, school.days[4]),
        (Tier.UNIVERSAL, Cause.EXITED, school.days[6]),
    ]


async def test_a_score_taken_back_withdraws_the_tier(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=10)
    await mtss.deliver(school.scores(4, 2.0))
    await mtss.deliver(school.scores(4, 2.0, deleted=True))
    assert (await decisions(mtss))[2:] == [(Tier.UNIVERSAL, Cause.WITHDRAWN, school.days[0])]


async def test_an_incident_that_was_another_students_moves_both(mtss: Running) -> None:
    school, other = School(), named("student", 1)
    await mtss.deliver(school.calendar(), school.enrols(), school.enrols(other), *school.closes_through(10))
    first = [school.refers(3, 1), school.refers(4, 2)]
    await mtss.deliver(*first)
    correction = first[1].model_copy(update={"student_id": other, "revision": first[1].revision + 1000})
    await mtss.deliver(school.refers(5, 3, other), correction)

    said = {(event.student_id, event.tier) for event in await mtss.said(TierDecided) if event.number > 1}
    assert said == {(STUDENT, Tier.TARGETED), (STUDENT, Tier.UNIVERSAL), (other, Tier.TARGETED)}


async def test_a_batch_is_evaluated_once(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=40, absent=[20, 21])
    await mtss.deliver(
        school.absent(22), school.absent(22, deleted=True), school.scores(30, 2.0), school.scores(30, 4.0)
    )
    assert len(await decisions(mtss)) == 1


async def test_a_revision_not_higher_than_the_stored_one_is_ignored(mtss: Running) -> None:
    school = School()
    old = [school.absent(22), school.scores(3, 1.0), school.enrols(deleted=True), *school.closes(9, deleted=True)]
    await enrolled(mtss, school, closed=40, absent=[20, 21])
    new = [school.absent(22, hundredths=0), school.scores(3, 4.0)]
    await mtss.deliver(*new)
    await mtss.deliver(*old, *new)
    assert len(await decisions(mtss)) == 1
    assert [row.deleted for row in await rows(mtss, Enrolment, "revision")] == [False]


async def test_a_change_after_the_day_was_closed_is_kept_with_what_it_replaced(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=5, absent=[2])
    await mtss.deliver(school.absent(2, hundredths=50), school.absent(3), school.absent(7))
    await mtss.deliver(school.absent(2, deleted=True))
    changes = [(row.day, row.before, row.after) for row in await rows(mtss, AttendanceChange, "day, revision")]
    assert changes == [(school.days[2], 100, 50), (school.days[2], 50, 0), (school.days[3], 0, 100)]


async def test_every_revision_of_an_enrolment_stays_with_when_it_was_known(mtss: Running) -> None:
    school = School()
    await mtss.deliver(school.enrols())
    await mtss.deliver(school.enrols(exit_on=school.days[9]))
    before, after = await rows(mtss, Enrolment, "revision")
    assert before.superseded_at == after.known_at
    assert (before.known_at < after.known_at, after.superseded_at) == (True, None)


async def test_a_decision_holds_its_evidence_and_what_would_change_it(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=30, absent=[18, 19])
    (decision,) = await rows(mtss, Decision, "number")
    attendance, adult_support, referrals, *severe = decision.clauses
    assert (attendance["holds"], adult_support["holds"], referrals["holds"]) == (True, None, False)
    assert [clause["holds"] for clause in severe] == [False, False]
    assert attendance["since"] == school.days[19].isoformat()
    assert attendance["at_entry"]["days_enrolled"] == 20
    assert attendance["evidence"]["through"] == decision.through.isoformat() == school.days[29].isoformat()
    assert "20 school days in a row" in decision.what_would_change_it
    assert attendance["change"]["tier"] == {"amount": 15, "on": school.days[44].isoformat()}
    assert referrals["change"]["clause"] == {"amount": 2, "on": school.days[30].isoformat()}


async def test_intensive_is_proposed_and_the_proposal_ends_with_its_ground(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=30, absent=range(20, 24))
    await mtss.deliver(school.scores(25, 2.0))
    (opened,) = await rows(mtss, Proposal, "since")
    assert (opened.tier, opened.since, opened.closed_at) == ("intensive", school.days[25], None)
    await mtss.deliver(school.scores(22, 2.0, window=1))
    await mtss.deliver(school.scores(28, 4.0, window=2))
    ended = [(row.since, row.closed_at is None) for row in await rows(mtss, Proposal, "known_at")]
    assert ended == [(school.days[25], False), (school.days[22], False)]
    assert {said.tier for said in await mtss.said(TierDecided)} == {Tier.TARGETED}


async def test_the_last_decision_of_each_student_can_be_said_again(mtss: Running) -> None:
    school = School()
    await enrolled(mtss, school, closed=44, absent=[0, 1])
    await mtss.deliver(*school.closes(44))
    async with mtss.session() as session:
        standing = [event async for event in handlers.last_decisions(session)]
    assert standing == (await mtss.said(TierDecided))[-1:]


# Any order, any number, any company


@settings(max_examples=40, suppress_health_check=_ALL)
@given(districts(), st.data())
async def test_any_order_repetition_and_splitting_end_the_same(
    service: Running, events: list[Event], data: st.DataObject
) -> None:
    await service.empty()
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=10))
    shuffled = data.draw(st.permutations(repeated))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(shuffled)), max_size=12)))
    for first, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        if first < end:
            await service.deliver(*shuffled[first:end])
    await check_ledger(service, events)


@settings(max_examples=20, suppress_health_check=_ALL)
@given(districts(students=6), st.integers(1, 9))
async def test_consumers_of_several_partitions_may_work_at_the_same_time(
    service: Running, events: list[Event], size: int
) -> None:
    await service.empty()
    partitions: dict[int, list[Record]] = {}
    for event in events:
        partitions.setdefault(sum(event.key.encode()) % 4, []).append(record(event))
    await asyncio.gather(*(_consume(service, partition, size) for partition in partitions.values()))
    await check_ledger(service, events)


async def test_two_facts_heard_at_the_same_time_are_seen_together(mtss: Running) -> None:
    school = School()
    history: list[Event] = [school.calendar(), school.enrols(), *school.closes_through(10)]
    one, two = school.refers(6, 1), school.refers(7, 2)
    await mtss.deliver(*history)

    async with mtss.session() as session:
        await handlers.follow_courses([one], session)
        other = asyncio.create_task(mtss.deliver(two))
        await asyncio.wait([other], timeout=0.3)
        assert not other.done()
    await other

    assert (await decisions(mtss))[1:] == [(Tier.TARGETED, Cause.ENTERED, school.days[7])]


async def _consume(mtss: Running, partition: list[Record], size: int) -> None:
    for first in range(0, len(partition), size):
        await mtss.app.state.inbox.process(partition[first : first + size])


@contextmanager
def counted(mtss: Running) -> Iterator[list[str]]:
    """The statements that reach the database."""
    statements: list[str] = []

    def hear(*arguments: Any) -> None:
        statements.append(arguments[2])

    sa.event.listen(mtss.runtime.engine.sync_engine, "before_cursor_execute", hear)
    yield statements
    sa.event.remove(mtss.runtime.engine.sync_engine, "before_cursor_execute", hear)


@contextmanager
def transactions(mtss: Running) -> Iterator[list[None]]:
    """One for each transaction that is begun."""
    begun: list[None] = []

    def hear(_: Any) -> None:
        begun.append(None)

    sa.event.listen(mtss.runtime.engine.sync_engine, "begin", hear)
    yield begun
    sa.event.remove(mtss.runtime.engine.sync_engine, "begin", hear)


@pytest_asyncio.fixture(loop_scope="session")
async def many(mtss: Running) -> AsyncIterator[tuple[Running, School]]:
    """A hundred students of one school after 40 days."""
    school = School(days=school_days(60))
    students = [named("one of many", number) for number in range(100)]
    await mtss.deliver(school.calendar(), *(school.enrols(student) for student in students), *school.closes_through(40))
    yield mtss, school


async def test_a_day_is_closed_in_one_transaction_of_the_same_number_of_statements_whatever_the_school(
    many: tuple[Running, School],
) -> None:
    mtss, school = many
    taken = []
    for first, end, day in ((0, 1, 40), (1, 100, 41)):
        students = [named("one of many", number) for number in range(first, end)]
        absences = [school.absent(missed, student) for student in students for missed in (21, 25, 29, 33, 37)]
        with counted(mtss) as statements, transactions(mtss) as begun:
            await mtss.deliver(*absences, *school.closes(day))
        taken.append((len(statements), len(begun)))
    assert len(set(taken)) == 1
    assert taken[0][1] == 1
    assert sum(said.tier is Tier.TARGETED for said in await mtss.said(TierDecided)) == 100
