"""Adopting a policy: first everybody is counted, then the district is decided anew, some students at a time.

What begins on a day to come waits for it, approved, and is counted again on that day. It is over once each school has closed its first day:
students of a school that is behind are decided about when it does.

How far it came stands in the transaction of each batch, so whatever is killed goes on where it was.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from common.events import Cause
from common.failpoints import failpoint
from common.runtime import Runtime
from common.telemetry import record_alert
from mtss.deciding import Touched, reassess
from mtss.models import (
    DEFAULT_POLICY,
    Adoption,
    AdoptionChange,
    Decision,
    Student,
    count_anew,
    facts_of,
    find_policy,
    last_enrolment_is_open,
    policies_in_force,
    schools_behind,
)
from mtss.numbers import CHANGES_DAYS, CONFIRMED_HOLDS
from mtss.rules import Policies, Policy, day_number, what_changes_by

AT_ONCE = 2000

log = structlog.get_logger(__name__)

_CHANGES = sa.text(
    """
    INSERT INTO mtss_adoption_change (adoption_id, student_id, school_id, what, tier_before, tier_after, since_before,
                                      since_after, begins, ends)
    SELECT CAST(:adoption AS uuid), changed.* FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS changed(
        student_id uuid, school_id text, what text[], tier_before text, tier_after text, since_before date, since_after date,
        begins text[], ends text[]
    )
    """
)
_FORGET = sa.text(
    """
    DELETE FROM mtss_adoption_change AS c USING mtss_adoption AS a
    WHERE a.id = c.adoption_id AND a.state IN ('counted', 'withdrawn') AND a.asked_at < :before
    """
)
_BEGIN = sa.text("SELECT coalesce(max(number), 0) + 1, now() FROM mtss_adoption")


async def work_off_adoptions(runtime: Runtime) -> None:
    """Count, and decide anew, until no adoption waits for us."""
    while await _batch(runtime):
        runtime.beat(work_off_adoptions.__name__)
    await _finish(runtime)


async def forget_counted(runtime: Runtime) -> None:
    """Remove who would have changed by a dry run, or an adoption that was withdrawn, once nobody needs to know any more."""
    async with runtime.transaction() as session:
        await session.execute(_FORGET, {"before": runtime.clock() - timedelta(days=CHANGES_DAYS)})


async def _batch(runtime: Runtime) -> bool:
    """One batch of the oldest adoption under way, or of the first whose day has come; whether there was one."""
    async with runtime.transaction() as session:
        adoption = await _first(session, col(Adoption.state).in_(("counting", "running")))
        if adoption is None:
            adoption = await _first(session, _day_has_come(runtime.today()))
            if adoption is None:
                return False
            await count_anew(session, adoption)
        if adoption.cursor is None and adoption.state == "counting":
            await session.execute(sa.delete(AdoptionChange).where(col(AdoptionChange.adoption_id) == adoption.id))
        students = await _next(session, adoption.cursor)
        if adoption.state == "counting":
            await _count(session, adoption, await _who_are_there(session, students, runtime.today()))
        else:
            await reassess(session, Touched(school={row.student_id for row in students}))
        adoption.done += len(students)
        adoption.cursor = students[-1].student_id if students else adoption.cursor
        if len(students) < AT_ONCE:
            await _end(session, adoption, runtime.today())
        session.add(adoption)
        await session.flush()
        failpoint("adoption-before-commit")
    if adoption.state == "waiting":  # whoever approved it for a day to come looks at something else by now
        record_alert(runtime.name, state="adoption-waits")
        log.warning("an alert", service=runtime.name, reason="adoption-waits", count=1)
    return True


async def _finish(runtime: Runtime) -> None:
    """What has begun is over once no school is behind its first day."""
    async with runtime.transaction() as session:
        begun = (await session.scalars(sa.select(Adoption).where(col(Adoption.state) == "begun"))).all()
        behind = await schools_behind(session, [each.id for each in begun], runtime.today()) if begun else {}
        grown = [each for each in begun if each.grown_at is None and await _has_grown(session, each, runtime.today())]
        for each in begun:
            each.state = "begun" if each.id in behind else "done"
        for each in grown:
            each.grown_at = runtime.clock()
    if grown:  # it counts already: whoever approved it may take it back
        record_alert(runtime.name, state="adoption-grew")
        log.warning("an alert", service=runtime.name, reason="adoption-grew", count=len(grown))


async def _first(session: AsyncSession, which: sa.ColumnElement[bool]) -> Adoption | None:
    asked = sa.select(Adoption).where(which).order_by(col(Adoption.first_on), col(Adoption.id)).limit(1)
    return (await session.scalars(asked.with_for_update(skip_locked=True))).one_or_none()


def _day_has_come(today: date) -> sa.ColumnElement[bool]:
    """Approved, and no other changes at this moment what would be counted."""
    other = aliased(Adoption)
    changing = sa.exists().where(col(other.state).in_(("counting", "running")), ~col(other.dry_run))
    return sa.and_(col(Adoption.state) == "approved", col(Adoption.first_on) <= today, ~changing)


async def _next(session: AsyncSession, after: UUID | None) -> Sequence[Student]:
    asked = sa.select(Student).order_by(col(Student.student_id)).limit(AT_ONCE)
    if after is not None:
        asked = asked.where(col(Student.student_id) > after)
    return (await session.scalars(asked.execution_options(populate_existing=True))).all()


async def _who_are_there(session: AsyncSession, students: Sequence[Student], today: date) -> Sequence[Student]:
    """Those of them who have not left: of who did nothing changes that anybody waits for."""
    mine = col(Student.student_id).in_([each.student_id for each in students])
    there = set(await session.scalars(sa.select(col(Student.student_id)).where(mine, last_enrolment_is_open(today))))
    return [each for each in students if each.student_id in there]


async def _end(session: AsyncSession, adoption: Adoption, today: date) -> None:
    if adoption.state == "running":
        adoption.state = "begun" if await schools_behind(session, [adoption.id], today) else "done"
    elif adoption.dry_run:
        adoption.state = "counted"
    elif await _needs_another(session, adoption, today):
        adoption.state = "waiting"
    elif adoption.first_on > today and adoption.reverts is None:
        adoption.state = "approved"
    else:
        await _begin(session, adoption)


async def _needs_another(session: AsyncSession, adoption: Adoption, today: date) -> bool:
    """Whether another person confirms it: of the default policy, which nobody drafted, and where too many change for one.

    Who confirmed it did so for what was shown and a little more: beyond that somebody is asked again. A revert asks nobody.
    """
    if adoption.reverts is not None:
        return False
    if adoption.confirmed is None and adoption.version == DEFAULT_POLICY.version:
        return True
    in_force = await policies_in_force(session)
    if not _too_many(adoption.changed, adoption, in_force.on(day_number(today)).policy):
        return False
    confirmed = Counter(adoption.confirmed)
    return (adoption.changes - confirmed).total() * 100 > CONFIRMED_HOLDS * confirmed.total()


async def _has_grown(session: AsyncSession, adoption: Adoption, today: date) -> bool:
    """Whether schools, as they closed one by one, changed so many that it would have waited, and a tenth more than were shown."""
    if adoption.number is None or adoption.reverts is not None:
        return False
    mine = col(Decision.cause) == Cause.ADOPTED, col(Decision.adoption) == adoption.number
    decided = await session.scalar(sa.select(sa.func.count(sa.distinct(col(Decision.student_id)))).where(*mine)) or 0
    before = (await policies_in_force(session)).until(adoption.number - 1).on(day_number(today)).policy
    shown = adoption.changed * (100 + CONFIRMED_HOLDS)
    return _too_many(decided, adoption, before) and decided * 100 > shown


def _too_many(students: int, adoption: Adoption, policy: Policy) -> bool:
    most = policy.confirm_above
    return students * 100 > (most.value if most else 0) * adoption.with_tier


async def _begin(session: AsyncSession, adoption: Adoption) -> None:
    """The policy counts from here on; everybody is still to be decided anew."""
    adoption.number, adoption.in_force_at = (await session.execute(_BEGIN)).one()
    adoption.state, adoption.cursor, adoption.done = "running", None, 0


async def _count(session: AsyncSession, adoption: Adoption, students: Sequence[Student]) -> None:
    """Add whom of these the adoption would change, by school and by what would change."""
    policy = await find_policy(session, adoption.version)
    if not students or policy is None:
        return
    in_force = await policies_in_force(session)
    facts = await facts_of(session, [each.student_id for each in students], [*in_force.every, (0, policy)])

    def then(first_day: int) -> Policies:
        return adoption.after(in_force, policy, first_day).policies()

    decided, found = what_changes_by(facts, in_force.policies(), then, day_number(adoption.first_on))
    whose = [students[each.student] for each in found]
    rows = [
        asdict(each) | {"student_id": student.student_id, "school_id": str(student.school_id)}
        for each, student in zip(found, whose, strict=True)
    ]
    await session.execute(_CHANGES, {"adoption": adoption.id, "rows": json.dumps(rows, default=str)})
    counts = {school: Counter(of) for school, of in adoption.counts.items()}
    for row in rows:
        counts.setdefault(row["school_id"], Counter()).update(row["what"])
    adoption.counts = {school: dict(of) for school, of in sorted(counts.items())}
    adoption.changed += len(rows)
    adoption.with_tier += decided
