"""Adopting a policy: first everybody is counted, then the district is decided anew, some students at a time.

How far it came stands in the transaction of each batch, so whatever is killed goes on where it was.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.failpoints import failpoint
from common.runtime import Runtime
from mtss.deciding import Touched, reassess
from mtss.models import (
    DEFAULT_POLICY,
    Adoption,
    Student,
    facts_of,
    find_policy,
    last_enrolment_is_open,
    policies_in_force,
)
from mtss.rules import day_number, follow, standing_of, what_changes

AT_ONCE = 2000
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
_BEGIN = sa.text("SELECT coalesce(max(number), 0) + 1, now() FROM mtss_adoption")


async def work_off_adoptions(runtime: Runtime) -> None:
    """Count, and decide anew, until no adoption waits for us."""
    while await _batch(runtime):
        runtime.beat(work_off_adoptions.__name__)


async def _batch(runtime: Runtime) -> bool:
    """One batch of the oldest adoption under way; whether there was one."""
    async with runtime.transaction() as session:
        under_way = (
            sa.select(Adoption)
            .where(col(Adoption.state).in_(("counting", "running")))
            .order_by(col(Adoption.id))
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        adoption = (await session.scalars(under_way)).one_or_none()
        if adoption is None:
            return False
        students = await _next(session, adoption.cursor)
        if adoption.state == "counting":
            await _count(session, adoption, await _who_are_there(session, students, runtime.today()))
        else:
            adoption.changed += await reassess(session, Touched(school={row.student_id for row in students}))
        adoption.done += len(students)
        adoption.cursor = students[-1].student_id if students else adoption.cursor
        if len(students) < AT_ONCE:
            await _end(session, adoption, runtime.today())
        session.add(adoption)
        await session.flush()
        failpoint("adoption-before-commit")
    return True


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
        adoption.state = "done"
    elif adoption.dry_run:
        adoption.state = "counted"
    elif adoption.sure or not await _needs_another(session, adoption, today):
        await begin(session, adoption)
    else:
        adoption.state = "waiting"


async def _needs_another(session: AsyncSession, adoption: Adoption, today: date) -> bool:
    """Whether another person confirms it: of the default policy, which nobody drafted, and where too many change for one."""
    if adoption.version == DEFAULT_POLICY.version:
        return True
    in_force = await policies_in_force(session)
    most = in_force.on(day_number(today)).policy.confirm_above
    return adoption.changed > 0 and (most is None or adoption.changed * 100 > most.value * adoption.with_tier)


async def begin(session: AsyncSession, adoption: Adoption) -> None:
    """The policy counts from here on; everybody is still to be decided anew."""
    adoption.number, adoption.in_force_at = (await session.execute(_BEGIN)).one()
    adoption.state, adoption.cursor, adoption.done, adoption.changed = "running", None, 0, 0


async def _count(session: AsyncSession, adoption: Adoption, students: Sequence[Student]) -> None:
    """Add whom of these the adoption would change, by school and by what would change.

    Where it begins after a student's last closed day, as if it began on that day: schools close at different times.
    """
    policy = await find_policy(session, adoption.version)
    if not students or policy is None:
        return
    in_force = await policies_in_force(session)
    facts = await facts_of(session, [each.student_id for each in students], [*in_force.every, (0, policy)])
    now, first_on = follow(facts, in_force.policies()), day_number(adoption.first_on)
    standing = standing_of(now)
    begins = np.minimum(standing.through, first_on)
    found = [
        each
        for first_day in np.unique(begins[standing.decided]).tolist()
        for each in what_changes(now, follow(facts, in_force.after(policy, first_day).policies()))
        if begins[each.student] == first_day
    ]
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
    adoption.with_tier += int(standing.decided.sum())
