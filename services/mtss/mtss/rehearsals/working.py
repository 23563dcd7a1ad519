"""One rehearsal, worked off: the district is read, computed over in a thread, and the result kept."""

import asyncio
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import is_transient
from common.errors import DomainError, SisterUnavailable
from common.logs import place_of
from common.runtime import Runtime
from mtss.equity import ASKED_AT_ONCE, groups_of_students
from mtss.models.rehearsal import STUDENTS_AT_ONCE, facts_before, facts_in_parts, known_of, known_when, students_of
from mtss.numbers import COMPARISON
from mtss.rehearsals.apart import Broken, apart
from mtss.rehearsals.computing import Question, Then, compute
from mtss.rules import Facts
from mtss.rules.rehearsal.joining import joined
from mtss.rules.rehearsal.report import Asked
from mtss.rules.rehearsal.who import Groups

_BEAT_SECONDS = 0.5
_AWAY_SECONDS = 15
"""Whoever has not been heard of for so long is gone: somebody else takes the rehearsal up, from its beginning."""
_MOST_BEGUN = 3
_LOOP = "rehearse_policies"

# Somebody who was away and comes back finds another worker's name, and stops.
_TAKE = sa.text(
    """
    UPDATE mtss_rehearsal SET state = 'running', worker = :worker, beat_at = clock_timestamp(), begun = begun + 1, done = 0
    WHERE id = (
        SELECT id FROM mtss_rehearsal
        WHERE begun < :most AND (
            state = 'waiting'
            OR (state = 'running' AND beat_at < clock_timestamp() - make_interval(secs => :away))
        )
        ORDER BY asked_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, policy, against, known, school_years, schools
    """
)
_GIVE_UP = sa.text(
    """
    UPDATE mtss_rehearsal SET state = 'failed', ended_at = clock_timestamp(),
        reason = 'It was begun ' || begun || ' times and never came to its end.'
    WHERE begun >= :most AND state = 'running' AND beat_at < clock_timestamp() - make_interval(secs => :away)
    """
)
_BEAT = sa.text(
    """
    UPDATE mtss_rehearsal SET beat_at = clock_timestamp(), done = :done, steps = :steps
    WHERE id = :id AND worker = :worker AND state = 'running' RETURNING id
    """
)
_END = sa.text(
    """
    UPDATE mtss_rehearsal SET state = :state, ended_at = clock_timestamp(), done = steps, reason = :reason, result = :result
    WHERE id = :id AND worker = :worker AND state = 'running'
    """
).bindparams(sa.bindparam("result", type_=JSONB(none_as_null=True)))

log = structlog.get_logger(__name__)


class NobodyRecorded(DomainError):
    """No student of these schools is known, so there is nothing to rehearse on."""


class NoDayRecorded(DomainError):
    """No day of these school years is recorded, so there is nothing to rehearse on."""


@dataclass(slots=True)
class Progress:
    """How far a rehearsal is."""

    done: int = 0
    steps: int = 0

    def step(self) -> None:
        """One step more is done."""
        self.done += 1


async def work_off(runtime: Runtime) -> bool:
    """Take up the rehearsal that waits longest and bring it to its end; whether there was one."""
    worker, away = uuid_utils.uuid7(), {"most": _MOST_BEGUN, "away": _AWAY_SECONDS}
    async with runtime.transaction() as session:
        await session.execute(_GIVE_UP, away)
        taken = (await session.execute(_TAKE, away | {"worker": worker})).one_or_none()
    if taken is None:
        return False
    progress = Progress()
    task = asyncio.create_task(_result(runtime, taken, progress))
    try:
        await _watch(runtime, taken.id, worker, progress, task)
    finally:
        task.cancel()  # also when the service ends: what computes ends with it
        await asyncio.wait({task})
    return True


async def _watch(
    runtime: Runtime, rehearsal: UUID, worker: UUID, progress: Progress, task: "asyncio.Task[Any]"
) -> None:
    mine = {"id": rehearsal, "worker": worker}
    while not task.done():
        await asyncio.wait({task}, timeout=_BEAT_SECONDS)
        runtime.beat(_LOOP)
        async with runtime.transaction() as session:
            beat = await session.execute(_BEAT, mine | {"done": progress.done, "steps": progress.steps})
            if beat.one_or_none() is None:  # it was cancelled, or is another's by now
                return
    ended = _ended(task)
    async with runtime.transaction() as session:
        await session.execute(_END, mine | ended)


def _ended(task: "asyncio.Task[Any]") -> dict[str, Any]:
    """What is kept of it. What may succeed when tried again is raised, and taken up later."""
    try:
        return {"state": "done", "reason": None, "result": task.result()}
    except DomainError as error:
        return {"state": "failed", "reason": error.detail, "result": None}
    except Exception as error:
        if is_transient(error):
            raise
        where = str(error) if isinstance(error, Broken) else place_of(error)
        log.exception("a rehearsal failed", error=type(error).__name__, where=where)
        return {"state": "failed", "reason": "It could not be computed; the log says where.", "result": None}


async def _result(runtime: Runtime, taken: Any, progress: Progress) -> dict[str, Any]:
    question = Question(taken.policy, taken.against, taken.school_years, taken.schools)
    asked = question.read()
    parts: list[Facts] = []
    async with runtime.transaction() as session:
        students = await students_of(session, taken.schools)
        progress.steps = _parts(students, STUDENTS_AT_ONCE) + _parts(students, ASKED_AT_ONCE) + asked.steps
        async for part in facts_in_parts(session, students, asked.policies):
            parts.append(part)
            progress.step()
        if not parts:
            raise NobodyRecorded
        facts, late = joined(parts), COMPARISON.late_days
        if taken.school_years and not set(taken.school_years) & set(facts.calendar.year.tolist()):
            raise NoDayRecorded
        known = {"as": taken.known} | await known_when(session, taken.schools, late, runtime.settings.zone.key)
        then = await _then(session, runtime, students, facts, asked, progress) if taken.known == "then" else None
    groups = await _groups(runtime, students, progress)
    found: dict[str, Any] = await apart(compute, question, facts, then, groups, heard=progress.step)
    return {"known": known} | found


def _parts(of: Sized, at_once: int) -> int:
    return -(-len(of) // at_once)


async def _groups(runtime: Runtime, students: Sequence[UUID], progress: Progress) -> dict[str, Groups] | None:
    """The groups of students. Without them all else is reported all the same, and that they are missing."""
    try:
        return await groups_of_students(runtime, students, progress.step)
    except SisterUnavailable:
        return None


async def _then(
    session: AsyncSession, runtime: Runtime, students: Sequence[UUID], facts: Facts, asked: Asked, progress: Progress
) -> Then:
    """When all of it became known, and the facts as they were known before."""
    zone, late = runtime.settings.zone, COMPARISON.late_days
    known = await known_of(session, students, facts.schools, late, zone.key)
    progress.steps += _parts(known.moments.day, STUDENTS_AT_ONCE)
    before: list[Facts] = []
    async for part in facts_before(session, students, known.moments, asked.policies, zone):
        before.append(part)
        progress.step()
    return Then(known, before)
