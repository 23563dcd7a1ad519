"""What must hold of the ledger after any run: I5, tier history is a line, and its end is what the facts say."""

from collections.abc import Iterable
from itertools import pairwise
from uuid import UUID

import sqlalchemy as sa

from common.events import Event, TierDecided
from mtss.models import Decision, Proposal, Student, courses_of, verify
from tests.harness import Running
from tests.mtss.made_up import days_of
from tests.mtss.oracle import District, differences

_KNOWN = ("mtss_enrolment", "mtss_calendar", "mtss_closed_day", "mtss_incident", "mtss_score", "mtss_ruling")


async def known_since(mtss: Running, on: str) -> None:
    """As if every fact and ruling had been known since a day, changes of attendance excepted."""
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table in _KNOWN:
            await connection.execute(sa.text(f"UPDATE {table} SET known_at = '{on}'"))


async def check_ledger(mtss: Running, events: Iterable[Event]) -> int:
    """Compare everything with the oracle; return how many students have a tier."""
    district = District(events)
    students = sorted(district.students())
    async with mtss.session() as session:
        courses = await courses_of(session, students)
        ledger = list(await session.scalars(sa.select(Decision).order_by(sa.text("student_id, number"))))
        rows = {row.student_id: row for row in await session.scalars(sa.select(Student))}
        parked = await session.scalar(sa.text("SELECT count(*) FROM inbox_parked"))
        proofs = await verify(session, ledger, changes=True)
        proposals = list(await session.scalars(sa.select(Proposal).where(sa.text("closed_at IS NULL"))))
    assert parked == 0
    assert [each for each in proofs if each] == []
    lines: dict[UUID, list[Decision]] = {}
    for line in ledger:
        lines.setdefault(line.student_id, []).append(line)
    said = await mtss.said(TierDecided)
    check_line(lines, said)
    for student, course in zip(students, courses, strict=True):
        expected = district.course(student)
        assert differences(expected, days_of(course)) == []
        check_end(district, student, lines.get(student, []), rows[student])
        wanted = {student} if expected and expected[-1].candidate else set()
        assert {each.student_id for each in proposals if each.student_id == student} == wanted
    for student in set(lines) - set(students):
        check_end(district, student, lines[student], rows[student])
    return sum(bool(rows[student].tier) for student in students)


def check_line(lines: dict[UUID, list[Decision]], said: list[TierDecided]) -> None:
    for student, its in lines.items():
        assert [line.number for line in its] == list(range(1, len(its) + 1))
        assert its[0].tier_before is None
        for before, after in pairwise(its):
            assert after.tier_before == before.tier
            assert (after.tier, after.effective_on) != (before.tier, before.effective_on) or after.tier is None
            assert after.revision > before.revision
        mine = [event for event in said if event.student_id == student]
        assert [(e.decision_id, e.number, e.revision) for e in mine] == [(d.id, d.number, d.revision) for d in its]


def check_end(district: District, student: UUID, lines: list[Decision], row: Student) -> None:
    tier, since = district.tier_and_since(student)
    last = lines[-1] if lines else None
    assert (last.tier if last else None) == tier
    assert (row.tier, row.since, row.decisions) == (tier, since, len(lines))
    assert row.decision_id == (last.id if last else None)
    if tier is not None and last is not None:
        assert last.effective_on == since
