"""The ledger: students are locked, their courses followed, and what differs from the last decision is decided."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import next_revision
from common.events import Cause, Tier, TierDecided
from common.outbox import publish
from mtss.handlers.facts import Touched
from mtss.models import LAST_ADOPTION, facts_of, policies_after, policies_in_force
from mtss.rules import (
    NEVER,
    Course,
    Facts,
    Grounds,
    InForce,
    Ints,
    Said,
    Standing,
    cause_of,
    course_of,
    day_number,
    day_of,
    digest_of,
    documents,
    follow,
    said_of,
    standing_of,
    what_would_change,
)

AT_ONCE = 2000
"""So many students are evaluated together: a large school in one go, a large district in bounded memory."""

# Students are made known and locked in one order everywhere, so two consumers never wait for each other in a ring. A row
# is needed even before any enrolment: without it two transactions would each miss what the other is just storing.
_NEW = sa.text(
    """
    INSERT INTO mtss_student (student_id) SELECT student_id FROM unnest(CAST(:students AS uuid[])) AS given(student_id)
    ORDER BY student_id ON CONFLICT DO NOTHING
    """
)
_LOCK = sa.text(
    f"""
    SELECT now(), array_agg(student_id), array_agg(school_id), array_agg(tier), array_agg(since), array_agg(decisions),
           array_agg(revision), array_agg(proposal_since), array_agg(adoption), ({LAST_ADOPTION})
    FROM (
        SELECT * FROM mtss_student WHERE student_id = ANY(CAST(:students AS uuid[])) ORDER BY student_id FOR UPDATE
    ) AS locked
    """  # noqa: S608 (the only thing filled in is a statement of ours)
)
_REACHED = sa.text(
    """
    UPDATE mtss_student AS s SET adoption = d.adoption
    FROM unnest(CAST(:students AS uuid[]), CAST(:adoptions AS int[])) AS d(student_id, adoption)
    WHERE s.student_id = d.student_id
    """
)
_LAST_ENROLMENT = sa.text(
    """
    UPDATE mtss_student AS s
    SET school_id = coalesce(last.school_id, s.school_id), entry_on = last.entry_on, exit_on = last.exit_on,
        enrolled = last.school_id IS NOT NULL
    FROM unnest(CAST(:students AS uuid[])) AS given(student_id) LEFT JOIN LATERAL (
        SELECT e.school_id, e.entry_on, e.exit_on FROM mtss_enrolment e
        WHERE e.student_id = given.student_id AND e.superseded_at IS NULL AND NOT e.deleted
        ORDER BY coalesce(e.exit_on > e.entry_on, true) DESC, e.exit_on DESC NULLS FIRST, e.is_primary DESC,
                 e.entry_on DESC, e.school_id COLLATE "C" DESC
        LIMIT 1
    ) AS last ON true
    WHERE s.student_id = given.student_id
    """
)
_DECIDE = sa.text(
    """
    WITH decided AS (
        SELECT * FROM unnest(
            CAST(:id AS uuid[]), CAST(:student_id AS uuid[]), CAST(:number AS int[]), CAST(:school_id AS text[]),
            CAST(:tier AS text[]), CAST(:tier_before AS text[]), CAST(:cause AS text[]), CAST(:effective_on AS date[]),
            CAST(:since AS date[]), CAST(:through AS date[]), CAST(:revision AS bigint[]), CAST(:clauses AS text[]),
            CAST(:what_would_change_it AS text[]), CAST(:facts AS text[]), CAST(:digest AS text[]),
            CAST(:tells_families AS boolean[]), CAST(:adoption AS int[]), CAST(:adopted_after AS int[]),
            CAST(:policy AS text[])
        ) AS d(id, student_id, number, school_id, tier, tier_before, cause, effective_on, since, through, revision,
               clauses, what_would_change_it, facts, digest, tells_families, adoption, adopted_after, policy)
    ), written AS (
        INSERT INTO mtss_decision (id, student_id, number, school_id, tier, tier_before, cause, policy, effective_on,
                                   through, known_at, revision, clauses, what_would_change_it, facts, digest,
                                   tells_families, adoption, adopted_after)
        SELECT id, student_id, number, school_id, tier, tier_before, cause, policy, effective_on,
               through, now(), revision, clauses::jsonb, what_would_change_it, facts::jsonb, digest,
               tells_families, adoption, adopted_after FROM decided
    )
    UPDATE mtss_student AS s
    SET tier = d.tier, since = d.since, decision_id = d.id, decisions = d.number, revision = d.revision
    FROM decided d WHERE s.student_id = d.student_id
    """
)
_CLOSE_PROPOSALS = sa.text(
    """
    WITH closed AS (
        UPDATE mtss_proposal SET closed_at = now()
        WHERE student_id = ANY(CAST(:students AS uuid[])) AND closed_at IS NULL RETURNING student_id
    )
    UPDATE mtss_student AS s SET proposal_id = NULL, proposal_since = NULL
    FROM closed WHERE s.student_id = closed.student_id
    """
)
_PROPOSE = sa.text(
    """
    WITH proposed AS (
        SELECT * FROM unnest(
            CAST(:id AS uuid[]), CAST(:student_id AS uuid[]), CAST(:school_id AS text[]), CAST(:since AS date[]),
            CAST(:clauses AS text[]), CAST(:policy AS text[])
        ) AS p(id, student_id, school_id, since, clauses, policy)
    ), written AS (
        INSERT INTO mtss_proposal (id, student_id, school_id, tier, since, policy, clauses, known_at)
        SELECT id, student_id, school_id, :tier, since, policy, clauses::jsonb, now() FROM proposed
    )
    UPDATE mtss_student AS s SET proposal_id = p.id, proposal_since = p.since
    FROM proposed p WHERE s.student_id = p.student_id
    """
)


@dataclass(frozen=True, slots=True)
class Locked:
    """The students of one evaluation, in order, and where the last decision left each."""

    known_at: datetime
    students: Sequence[UUID]
    schools: Sequence[str | None]
    tiers: Sequence[str | None]
    sinces: Sequence[date | None]
    decisions: Sequence[int]
    revisions: Sequence[int | None]
    proposals: Sequence[date | None]
    adoptions: Sequence[int]
    last_adoption: UUID | None


async def reassess(session: AsyncSession, touched: Touched) -> int:
    """Follow the course of every student touched; write and say each decision that differs from the last. How many they are.

    Evaluations of one student come one after the other: their row is locked before their facts are read.
    """
    decided = 0
    if new := touched.own | touched.enrolled:
        await session.execute(_NEW, {"students": list(new)})
    students = iter(sorted(new | touched.school, key=attrgetter("int")))
    while some := list(islice(students, AT_ONCE)):
        locked = Locked(*(await session.execute(_LOCK, {"students": some})).one())
        if moved := touched.enrolled.intersection(some):
            await session.execute(_LAST_ENROLMENT, {"students": list(moved)})
        decided += await _decide(session, locked)
    return decided


async def in_force_for(session: AsyncSession, locked: Locked) -> InForce:
    """Which policy counts on which day; no older than what these students were last decided by.

    Who waited for their lock may have read the last adoption before it was there.
    """
    in_force = await policies_after(session, locked.last_adoption)
    return in_force if in_force.number >= max(locked.adoptions) else await policies_in_force(session)


async def _decide(session: AsyncSession, locked: Locked) -> int:
    in_force = await in_force_for(session, locked)
    facts = await facts_of(session, locked.students, in_force.every)
    courses = follow(facts, in_force.policies())
    standing = standing_of(courses)

    def course(place: int) -> Course:
        return course_of(facts, courses, place)

    differ, grounds = tiers_that_differ(locked, standing), Grounds(facts)
    adopted = _adopted(in_force, facts, locked, standing, differ)
    rests = {place: adopted.get(place, Rests(in_force.number)) for place in differ}
    lines = [_line(locked, place, standing, course(place), grounds, rests[place]) for place in differ]
    if lines:
        await session.execute(_DECIDE, _columns(lines))
        await publish(session, *(_event(line, locked.known_at) for line in lines))
    await _note_reached(session, locked, in_force, standing)
    if ended := _proposals_that_differ(locked, standing):
        await session.execute(_CLOSE_PROPOSALS, {"students": [locked.students[place] for place in ended]})
        if begun := [place for place in ended if _is_candidate(standing, place)]:
            proposals = _columns([_proposal(locked, place, standing, course(place)) for place in begun])
            await session.execute(_PROPOSE, {"tier": Tier.INTENSIVE.value} | proposals)
    return len(lines)


@dataclass(frozen=True, slots=True)
class Rests:
    """Which adoptions a decision rests on: the last one, and what counted before where it alone changes the decision."""

    adoption: int
    adopted_after: int | None = None
    tells_families: bool = True


_NO_ADOPTION = Rests(0)


def _adopted(
    in_force: InForce, facts: Facts, locked: Locked, standing: Standing, differ: Sequence[int]
) -> dict[int, Rests]:
    """The places of students whose decision changes by an adoption alone: under what counted before, it would still stand."""
    reached, found = in_force.reached(standing.through), {}
    behind = {place: locked.adoptions[place] for place in differ if locked.adoptions[place] < reached[place]}
    for number in set(behind.values()):
        before = standing_of(follow(facts, in_force.policies(number)))
        by_facts = set(tiers_that_differ(locked, before))
        for place, last in behind.items():
            if last == number and place not in by_facts and standing.decided[place]:
                step = next(step for step in in_force.steps if step.number == reached[place])
                found[place] = Rests(in_force.number, number, step.tells_families)
    return found


async def _note_reached(session: AsyncSession, locked: Locked, in_force: InForce, standing: Standing) -> None:
    reached = in_force.reached(standing.through)
    places = np.flatnonzero(standing.decided & (reached > np.array(locked.adoptions, np.int32))).tolist()
    if places:
        students, adoptions = [locked.students[place] for place in places], reached[places].tolist()
        await session.execute(_REACHED, {"students": students, "adoptions": adoptions})


@dataclass(frozen=True, slots=True)
class Line:
    """One new line of the ledger, as the statement takes it."""

    id: UUID
    student_id: UUID
    number: int
    school_id: str
    tier: str | None
    tier_before: str | None
    cause: str
    effective_on: date
    since: date | None
    through: date | None
    revision: int
    clauses: str
    what_would_change_it: str
    facts: str
    digest: str
    tells_families: bool
    adoption: int
    adopted_after: int | None
    policy: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """One new proposal, as the statement takes it."""

    id: UUID
    student_id: UUID
    school_id: str
    since: date
    clauses: str
    policy: str


def tiers_that_differ(locked: Locked, standing: Standing) -> list[int]:
    """The places of students whose tier, or the day it began, is not what the last decision said."""
    code: dict[str | None, int] = {None: -1, Tier.UNIVERSAL: 0, Tier.TARGETED: 1}
    before = np.array([code[tier] for tier in locked.tiers])
    now = np.where(standing.decided, standing.targeted, -1)
    moved = standing.decided & (standing.since != _numbers(locked.sinces))
    places: list[int] = np.flatnonzero((before != now) | moved).tolist()
    return places


def _proposals_that_differ(locked: Locked, standing: Standing) -> list[int]:
    """The places of students whose open proposal is not what the course calls for, or the other way round."""
    wanted = np.where(standing.decided & standing.candidate, standing.candidate_since, NEVER)
    return np.flatnonzero(wanted != _numbers(locked.proposals)).tolist()


def _numbers(days: Sequence[date | None]) -> Ints:
    return np.array([NEVER if day is None else day_number(day) for day in days], np.int32)


def _is_candidate(standing: Standing, place: int) -> bool:
    return bool(standing.decided[place] and standing.candidate[place])


def _line(
    locked: Locked, place: int, standing: Standing, course: Course, grounds: Grounds, rests: Rests = _NO_ADOPTION
) -> Line:
    last, now = Said(_tier(locked.tiers[place]), locked.sinces[place]), said_of(standing, place)
    cause, effective_on = cause_of(last, now), now.since or last.since
    if cause is None or effective_on is None:
        raise AssertionError("a student without a difference was taken for one with")
    clauses = course.clauses() if len(course) else ()
    said: dict[str, Any] = {
        "id": uuid_utils.uuid7(),
        "student_id": locked.students[place],
        "number": locked.decisions[place] + 1,
        "school_id": course.school() if len(course) else str(locked.schools[place]),
        "tier": now.tier,
        "tier_before": last.tier,
        "cause": cause if rests.adopted_after is None else Cause.ADOPTED,
        "effective_on": effective_on,
        "through": course.on(-1) if len(course) else None,
        "revision": next_revision(locked.revisions[place], locked.known_at),
        "clauses": documents(clauses),
        "what_would_change_it": what_would_change(now.tier, clauses, course.policy),
        "facts": grounds.of(place),
        "policy": course.policy.version,
        "tells_families": course.policy.targeted.tells_families and rests.tells_families,
        "adoption": rests.adoption,
        "adopted_after": rests.adopted_after,
    }
    digest = digest_of({**said, "known_at": locked.known_at})
    texts = {name: json.dumps(said[name]) for name in ("clauses", "facts")}
    return Line(**{**said, **texts}, since=now.since, digest=digest)


def _proposal(locked: Locked, place: int, standing: Standing, course: Course) -> Proposed:
    return Proposed(
        id=uuid_utils.uuid7(),
        student_id=locked.students[place],
        school_id=course.school(),
        since=day_of(standing.candidate_since[place]),
        clauses=json.dumps(documents(course.clauses())),
        policy=course.policy.version,
    )


def _tier(name: str | None) -> Tier | None:
    return None if name is None else Tier(name)


def _columns(rows: Sequence[Line] | Sequence[Proposed]) -> dict[str, list[Any]]:
    return {each.name: [getattr(row, each.name) for row in rows] for each in fields(rows[0])}


def _event(line: Line, known_at: datetime) -> TierDecided:
    return TierDecided(
        student_id=line.student_id,
        school_id=line.school_id,
        decision_id=line.id,
        number=line.number,
        tier=_tier(line.tier),
        tier_before=_tier(line.tier_before),
        cause=Cause(line.cause),
        policy=line.policy,
        effective_on=line.effective_on,
        known_at=known_at,
        revision=line.revision,
        tells_families=line.tells_families,
    )
