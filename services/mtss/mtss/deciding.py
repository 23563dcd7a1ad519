"""Deciding: students are locked, their courses followed, and what differs from the last decision is decided."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from operator import attrgetter
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from mtss.ledger import Locked, Rests, close_proposals, decide, line_of, proposal_of, propose
from mtss.models import LAST_ADOPTION, facts_of, policies_after, policies_in_force
from mtss.rules import (
    NEVER,
    NO_PROPOSAL,
    TIERS,
    Course,
    Courses,
    Facts,
    Grounds,
    InForce,
    Ints,
    Standing,
    course_of,
    day_number,
    follow,
    signals_since,
    standing_of,
    unknown_of,
    what_may_change,
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
           array_agg(revision), array_agg(proposal_since), array_agg(proposal_tier), array_agg(ruling),
           array_agg(adoption), array_agg(array_to_string(unknown, ' ')), array_agg(question_id IS NOT NULL),
           array_agg(signals_since::text),
           ({LAST_ADOPTION})
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
_LAST_DAY = sa.text(
    """
    UPDATE mtss_student AS s
    SET unknown = string_to_array(d.unknown, ' '),
        question_id = CASE WHEN d.asks THEN coalesce(s.question_id, gen_random_uuid()) END,
        question_at = CASE WHEN d.asks THEN coalesce(s.question_at, now()) END,
        signals_since = d.signals::jsonb
    FROM unnest(CAST(:students AS uuid[]), CAST(:unknown AS text[]), CAST(:asks AS boolean[]), CAST(:signals AS text[]))
        AS d(student_id, unknown, asks, signals)
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


@dataclass(slots=True)
class Touched:
    """The students whose course may have changed, and how we came to them."""

    enrolled: set[UUID] = field(default_factory=set)
    """An enrolment of theirs changed."""
    own: set[UUID] = field(default_factory=set)
    """Another fact of their own changed; they may be unknown to us until now."""
    school: set[UUID] = field(default_factory=set)
    """A fact of a school of theirs changed."""


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

    differ, ended = tiers_that_differ(locked, standing), proposals_that_differ(locked, standing)
    changes = what_may_change(facts, courses, in_force.policies(), sorted({*differ, *ended}))

    def course(place: int) -> Course:
        return course_of(facts, courses, place, changes.get(place))

    grounds = Grounds(facts)
    adopted = _adopted(in_force, facts, locked, standing, differ)
    rests = {place: adopted.get(place, Rests(in_force.number)) for place in differ}
    lines = [line_of(locked, place, standing, course(place), grounds, rests[place]) for place in differ]
    if lines:
        await decide(session, lines, locked.known_at)
    await _note_reached(session, locked, in_force, standing)
    await _note_last_day(session, locked, courses, standing)
    if ended:
        await close_proposals(session, [locked.students[place] for place in ended])
        if begun := [place for place in ended if is_proposed(standing, place)]:
            proposals = (
                proposal_of(locked, place, standing, course(place), grounds, in_force.number) for place in begun
            )
            await propose(session, list(proposals))
    return len(lines)


def _adopted(
    in_force: InForce, facts: Facts, locked: Locked, standing: Standing, differ: Sequence[int]
) -> dict[int, Rests]:
    """The places of students whose decision changes by an adoption alone: under what counted before, it would still stand."""
    reached, found = in_force.reached(standing.through), {}
    behind = {place: locked.adoptions[place] for place in differ if locked.adoptions[place] < reached[place]}
    for number in set(behind.values()):
        before = standing_of(follow(facts, in_force.until(number).policies()))
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


async def _note_last_day(session: AsyncSession, locked: Locked, courses: Courses, standing: Standing) -> None:
    """Keep what the queue of a school asks of the last closed day: what is unknown, and since when which signals stand."""
    unknown = [None if each is None else " ".join(each) for each in unknown_of(courses)]
    signals = [
        None if each is None else {name: str(day) for name, day in each.items()} for each in signals_since(courses)
    ]
    now = zip(locked.students, unknown, standing.asks.tolist(), signals, strict=True)
    known = (each and json.loads(each) for each in locked.signals)
    before = zip(locked.students, locked.unknown, locked.asked, known, strict=True)
    if new := [each for each, was in zip(now, before, strict=True) if each != was]:
        students, named, asks, since = map(list, zip(*new, strict=True))
        said = {
            "unknown": named,
            "asks": asks,
            "signals": [None if each is None else json.dumps(each) for each in since],
        }
        await session.execute(_LAST_DAY, {"students": students, **said})


def tiers_that_differ(locked: Locked, standing: Standing) -> list[int]:
    """The places of students whose tier, the day it began, or the ruling behind it is not what the last decision said."""
    now = np.where(standing.decided, standing.tier, _NONE)
    moved = (standing.since != _days(locked.sinces)) | (standing.ruling != np.array(locked.rulings, np.int32))
    places: list[int] = np.flatnonzero((_places(locked.tiers) != now) | (standing.decided & moved)).tolist()
    return places


def proposals_that_differ(locked: Locked, standing: Standing) -> list[int]:
    """The places of students whose open proposal is not the one that is called for, or the other way round."""
    wanted = np.where(standing.decided, standing.proposal, NO_PROPOSAL)
    moved = (wanted != NO_PROPOSAL) & (standing.proposal_since != _days(locked.proposals))
    return np.flatnonzero((_places(locked.proposal_tiers) != wanted) | moved).tolist()


def is_proposed(standing: Standing, place: int) -> bool:
    """Whether anything is to be put before a person about this student."""
    return bool(standing.decided[place] and standing.proposal[place] != NO_PROPOSAL)


_NONE = NO_PROPOSAL
"""No tier."""
_PLACES: Mapping[str | None, int] = {None: _NONE, **{tier: place for place, tier in enumerate(TIERS)}}


def _places(tiers: Sequence[str | None]) -> Ints:
    return np.array([_PLACES[tier] for tier in tiers], np.int32)


def _days(days: Sequence[date | None]) -> Ints:
    return np.array([NEVER if day is None else day_number(day) for day in days], np.int32)
