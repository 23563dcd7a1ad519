"""What the ledger takes: a new line for each decision and a proposal where intensive support is called for, and what is said of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import next_revision
from common.events import Cause, Tier, TierDecided
from common.outbox import publish
from mtss.rules import (
    TIERS,
    Course,
    Grounds,
    Standing,
    cause_of,
    coverage_of,
    day_of,
    digest_of_decision,
    digest_of_proposal,
    documents,
    held_of,
    resting_on,
    said_before,
    said_of,
    what_would_change,
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
            CAST(:policy AS text[]), CAST(:ruling AS int[]), CAST(:tier_beneath AS text[])
        ) AS d(id, student_id, number, school_id, tier, tier_before, cause, effective_on, since, through, revision,
               clauses, what_would_change_it, facts, digest, tells_families, adoption, adopted_after, policy, ruling,
               tier_beneath)
    ), written AS (
        INSERT INTO mtss_decision (id, student_id, number, school_id, tier, tier_before, cause, policy, effective_on,
                                   through, known_at, revision, clauses, what_would_change_it, facts, digest,
                                   tells_families, adoption, adopted_after, ruling, tier_beneath)
        SELECT id, student_id, number, school_id, tier, tier_before, cause, policy, effective_on,
               through, now(), revision, clauses::jsonb, what_would_change_it, facts::jsonb, digest,
               tells_families, adoption, adopted_after, ruling, tier_beneath FROM decided
    )
    UPDATE mtss_student AS s
    SET tier = d.tier, since = d.since, decision_id = d.id, decisions = d.number, revision = d.revision, ruling = d.ruling
    FROM decided d WHERE s.student_id = d.student_id
    """
)
_CLOSE_PROPOSALS = sa.text(
    """
    WITH closed AS (
        UPDATE mtss_proposal SET closed_at = now()
        WHERE student_id = ANY(CAST(:students AS uuid[])) AND closed_at IS NULL RETURNING student_id
    )
    UPDATE mtss_student AS s SET proposal_id = NULL, proposal_since = NULL, proposal_tier = NULL
    FROM closed WHERE s.student_id = closed.student_id
    """
)
_PROPOSE = sa.text(
    """
    WITH proposed AS (
        SELECT * FROM unnest(
            CAST(:id AS uuid[]), CAST(:student_id AS uuid[]), CAST(:school_id AS text[]), CAST(:since AS date[]),
            CAST(:clauses AS text[]), CAST(:policy AS text[]), CAST(:tier AS text[]), CAST(:tier_before AS text[]),
            CAST(:facts AS text[]), CAST(:adoption AS int[]), CAST(:digest AS text[])
        ) AS p(id, student_id, school_id, since, clauses, policy, tier, tier_before, facts, adoption, digest)
    ), written AS (
        INSERT INTO mtss_proposal (id, student_id, school_id, tier, tier_before, since, policy, clauses, facts, adoption,
                                   known_at, digest)
        SELECT id, student_id, school_id, tier, tier_before, since, policy, clauses::jsonb, facts::jsonb, adoption,
               now(), digest FROM proposed
    )
    UPDATE mtss_student AS s SET proposal_id = p.id, proposal_since = p.since, proposal_tier = p.tier
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
    proposal_tiers: Sequence[str | None]
    rulings: Sequence[int]
    adoptions: Sequence[int]
    unknown: Sequence[str | None]
    asked: Sequence[bool]
    signals: Sequence[str | None]
    last_adoption: UUID | None


@dataclass(frozen=True, slots=True)
class Rests:
    """Which adoptions a decision rests on: the last one, and what counted before where it alone changes the decision."""

    adoption: int
    adopted_after: int | None = None
    tells_families: bool = True


NO_ADOPTION = Rests(0)


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
    ruling: int
    tier_beneath: str | None


@dataclass(frozen=True, slots=True)
class Proposed:
    """One new proposal, as the statement takes it."""

    id: UUID
    student_id: UUID
    school_id: str
    since: date
    clauses: str
    policy: str
    tier: str
    tier_before: str
    facts: str
    adoption: int
    digest: str


async def decide(session: AsyncSession, lines: Sequence[Line], known_at: datetime) -> None:
    """Write new lines, and say each."""
    await session.execute(_DECIDE, _columns(lines))
    await publish(session, *(_event(line, known_at) for line in lines))


async def close_proposals(session: AsyncSession, students: Sequence[UUID]) -> None:
    """End the open proposals of these students."""
    await session.execute(_CLOSE_PROPOSALS, {"students": students})


async def propose(session: AsyncSession, proposals: Sequence[Proposed]) -> None:
    """Put tiers before people."""
    await session.execute(_PROPOSE, _columns(proposals))


def line_of(
    locked: Locked, place: int, standing: Standing, course: Course, grounds: Grounds, rests: Rests = NO_ADOPTION
) -> Line:
    """The next line about one student, whose course says otherwise than the last."""
    told = _tier(locked.tiers[place]), locked.sinces[place], locked.rulings[place]
    last, now = said_before(course.courses, place, *told), said_of(standing, place)
    cause, effective_on = cause_of(last, now), now.since or last.since
    if cause is None or effective_on is None:
        raise AssertionError("a student without a difference was taken for one with")
    clauses, held = course.clauses() if len(course) else (), held_of(standing, place)
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
        "what_would_change_it": what_would_change(
            now.tier, clauses, course.policy, held, supported=bool(standing.supported[place])
        ),
        "facts": resting_on(grounds.of(place), course.policy),
        "policy": course.policy.version,
        "tells_families": course.policy.support_of(now.tier).tells_families and rests.tells_families,
        "adoption": rests.adoption,
        "adopted_after": rests.adopted_after,
        "ruling": now.ruling,
        "tier_beneath": held and held.beneath,
    }
    digest = digest_of_decision({**said, "known_at": locked.known_at})
    return Line(**{**said, **_as_texts(said)}, since=now.since, digest=digest)


def proposal_of(
    locked: Locked, place: int, standing: Standing, course: Course, grounds: Grounds, adoption: int
) -> Proposed:
    """The proposal about one student, as the course has it."""
    said: dict[str, Any] = {
        "id": uuid_utils.uuid7(),
        "student_id": locked.students[place],
        "school_id": course.school(),
        "since": day_of(standing.proposal_since[place]),
        "clauses": documents(course.clauses()),
        "policy": course.policy.version,
        "tier": TIERS[standing.proposal[place]],
        "tier_before": TIERS[standing.tier[place]],
        "facts": resting_on(grounds.of(place), course.policy),
        "adoption": adoption,
    }
    digest = digest_of_proposal({**said, "known_at": locked.known_at})
    return Proposed(**{**said, **_as_texts(said)}, digest=digest)


def _as_texts(said: Mapping[str, Any]) -> dict[str, str]:
    return {name: json.dumps(said[name]) for name in ("clauses", "facts")}


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
        **coverage_of(json.loads(line.clauses))._asdict(),
    )
