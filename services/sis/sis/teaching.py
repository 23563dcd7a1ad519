"""Who works where, and who teaches and attends which section: what follows from the documents of staff and sections."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch
from common.events import SectionAttended, SectionTaught, StaffAssigned
from sis import facts
from sis.facts import Fact, FactKey, just, say
from sis.resources import key_text
from sis.rules.members import value_at
from sis.rules.values import code_value
from sis.standing import Standing

_ATTENDING = "studentSectionAssociations"
_SESSION_OF_SECTION = ("sectionReference.sessionName", "sectionReference.schoolId", "sectionReference.schoolYear")
# What an association leaves open, its section's session says. The key is the one that sis.resources.key_text makes.
_DATES = """
    COALESCE(a.body ->> 'beginDate', s.body ->> 'beginDate') AS begin_on,
    COALESCE(a.body ->> 'endDate', s.body ->> 'endDate') AS end_on
    """
_SESSION = """
    LEFT JOIN LATERAL (
        SELECT body FROM sis_document WHERE resource = 'sessions' AND NOT deleted AND key = format(
            '[%s,%s,%s]', a.body #> '{sectionReference,sessionName}', a.body #> '{sectionReference,schoolId}',
            a.body #> '{sectionReference,schoolYear}'
        ) OFFSET 0
    ) AS s ON true
    """
_ATTENDED = sa.text(
    f"""
    SELECT a.student_id, a.refs[2], a.school_id, a.deleted, {_DATES}
    FROM unnest(CAST(:ids AS uuid[])) AS wanted(id) JOIN sis_document AS a ON a.id = wanted.id {_SESSION}
    """  # noqa: S608 (both parts are our own)
)
_TAUGHT = sa.text(
    f"""
    SELECT pair.staff_id, pair.section_id, a.school_id, {_DATES}
    FROM unnest(CAST(:staff AS uuid[]), CAST(:sections AS uuid[])) AS pair(staff_id, section_id)
    CROSS JOIN LATERAL (
        SELECT school_id, body FROM sis_document
        WHERE refs @> ARRAY[pair.staff_id, pair.section_id] AND resource = 'staffSectionAssociations' AND NOT deleted OFFSET 0
    ) AS a {_SESSION}
    """  # noqa: S608 (both parts are our own)
)
_SAID = sa.text(
    """
    SELECT said.state FROM sis_fact AS said
    JOIN unnest(CAST(:staff AS uuid[]), CAST(:sections AS uuid[])) AS pair(staff_id, section_id)
        ON said.state ->> 'staff_id' = CAST(pair.staff_id AS text) AND said.state ->> 'section_id' = CAST(pair.section_id AS text)
    WHERE said.type = :type AND said.school_id = ANY(CAST(:schools AS text[])) AND NOT said.deleted
    """
)
_IN_SESSIONS = sa.text(
    """
    SELECT a.id, a.resource, a.refs, a.school_id
    FROM unnest(CAST(:names AS text[]), CAST(:schools AS text[]), CAST(:years AS int[])) AS wanted(name, school_id, year)
    CROSS JOIN LATERAL (
        SELECT id FROM sis_document
        WHERE sis_document.school_id = wanted.school_id AND on_date IS NULL AND resource = 'sections'
            AND body #>> '{courseOfferingReference,sessionName}' = wanted.name
            AND CAST(body #>> '{courseOfferingReference,schoolYear}' AS int) = wanted.year
        OFFSET 0
    ) AS section
    CROSS JOIN LATERAL (
        SELECT id, resource, refs, school_id FROM sis_document
        WHERE refs @> ARRAY[section.id] AND resource IN ('staffSectionAssociations', 'studentSectionAssociations') AND NOT deleted
            AND NOT body ?& ARRAY['beginDate', 'endDate']
        OFFSET 0
    ) AS a
    """
)
# Who tells the dates of a session, or of a grading period, waits for those who are reading them, and they for it: neither misses the other. In one
# order, so that nobody waits in a circle.
_LOCK = """
    SELECT {lock}(hash) FROM (
        SELECT DISTINCT hashtext('sis session ' || key) AS hash FROM unnest(CAST(:keys AS text[])) AS key ORDER BY hash
    ) AS named
    """
READ_DATES = sa.text(_LOCK.format(lock="pg_advisory_xact_lock_shared"))
TELL_DATES = sa.text(_LOCK.format(lock="pg_advisory_xact_lock"))

Pair = tuple[UUID, UUID]
"""A staff member and a section, by our ids."""


async def assign(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say who is assigned where; each is one document."""
    assignments: dict[FactKey, Fact] = {}
    for document in changed:
        body = document.content.body
        state = {
            "staff_id": str(document.refs[0]),
            "school_id": document.school_id,
            "classification": code_value(body["staffClassificationDescriptor"]).lower(),
            "begin_on": body["beginDate"],
            "end_on": body.get("endDate"),
        }
        assignments[tuple(state[name] for name in StaffAssigned.fact)] = Fact(state, document.content.deleted)
    await say(session, at, StaffAssigned, assignments.keys(), just(assignments))


async def teach(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say who teaches the sections that were told."""
    await _read_dates(session, changed)
    pairs = {(document.refs[0], document.refs[1]) for document in changed}
    await _say_taught(session, at, pairs, {document.school_id for document in changed})


async def attend(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say who sits in the sections that were told."""
    await _read_dates(session, changed)
    keys = {(document.student_id, document.refs[1], document.content.body["beginDate"]) for document in changed}
    await _say_attended(session, at, keys, [document.id for document in changed])


async def set_sessions(session: AsyncSession, at: datetime, changed: Sequence[Standing]) -> None:
    """Say again who teaches and attends the sections of these sessions, where only the session says since or until when."""
    await fetch(session, TELL_DATES, {"keys": [document.key for document in changed]})
    bodies = [document.content.body for document in changed]
    wanted = {
        "names": [body["sessionName"] for body in bodies],
        "schools": [body["schoolReference"]["schoolId"] for body in bodies],
        "years": [body["schoolYearTypeReference"]["schoolYear"] for body in bodies],
    }
    found = await fetch(session, _IN_SESSIONS, wanted)
    attending = [identity for identity, resource, *_ in found if resource == _ATTENDING]
    taught = [(refs, school) for _, resource, refs, school in found if resource != _ATTENDING]
    await _say_attended(session, at, await _attended(session, attending), attending)
    await _say_taught(session, at, {(refs[0], refs[1]) for refs, _ in taught}, {school for _, school in taught})


async def _read_dates(session: AsyncSession, changed: Sequence[Standing]) -> None:
    """Let the sessions stand whose dates count for one of these documents until this transaction ends."""
    bodies = (document.content.body for document in changed if not document.content.deleted)
    keys = {
        key_text([value_at(body, path) for path in _SESSION_OF_SECTION])
        for body in bodies
        if not {"beginDate", "endDate"} <= body.keys()
    }
    if keys:
        await fetch(session, READ_DATES, {"keys": list(keys)})


async def _say_attended(session: AsyncSession, at: datetime, keys: Collection[FactKey], ids: Sequence[UUID]) -> None:
    async def resolve(_: facts.Standing) -> Mapping[FactKey, Fact]:
        return await _attended(session, ids)

    await say(session, at, SectionAttended, keys, resolve)


async def _attended(session: AsyncSession, ids: Sequence[UUID]) -> dict[FactKey, Fact]:
    """What these documents, one a stay, say now."""
    return {
        (student, section, begin): Fact(
            _stay("student_id", student, section, school, begin) | {"end_on": end}, deleted=deleted
        )
        for student, section, school, deleted, begin, end in await fetch(session, _ATTENDED, {"ids": list(ids)})
    }


async def _say_taught(
    session: AsyncSession, at: datetime, pairs: Collection[Pair], schools: Collection[str | None]
) -> None:
    """Say since and until when each pair stands; a day that only the session told may have made way for another."""
    wanted = {"staff": [staff for staff, _ in pairs], "sections": [section for _, section in pairs]}

    async def resolve(standing: facts.Standing) -> Mapping[FactKey, Fact]:
        gone = {key: Fact(fact.state, deleted=True) for key, fact in standing.items()}
        return gone | await _taught(session, wanted)

    known = await fetch(session, _SAID, {**wanted, "type": SectionTaught.type(), "schools": list(schools)})
    said = [_key_of(state) for (state,) in known]
    await say(session, at, SectionTaught, {*said, *await _taught(session, wanted)}, resolve)


async def _taught(session: AsyncSession, wanted: Mapping[str, Sequence[UUID]]) -> dict[FactKey, Fact]:
    """How these pairs stand: of two documents that begin on one day, the one that ends later counts."""
    shall: dict[FactKey, Fact] = {}
    for staff, section, school, begin, end in await fetch(session, _TAUGHT, wanted):
        state = _stay("staff_id", staff, section, school, begin)
        before = shall.get(_key_of(state))
        ends = [end] if before is None else [end, before.state["end_on"]]
        shall[_key_of(state)] = Fact(state | {"end_on": None if None in ends else max(ends)})
    return shall


def _stay(who: str, person: UUID, section: UUID, school: str, begin: str | None) -> dict[str, Any]:
    return {who: str(person), "section_id": str(section), "school_id": school, "begin_on": begin}


def _key_of(state: Mapping[str, Any]) -> FactKey:
    """The key of a pair's fact; an empty day where nobody says since when, so that keys can be put in order."""
    return UUID(state["staff_id"]), UUID(state["section_id"]), state["begin_on"] or ""
