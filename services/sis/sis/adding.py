"""Attendance that only adds: rows of days of which nothing was known yet are stored by one statement, which is whole or nothing.

Of what an exporter sends row by row, most is this. Two trips to the database then do what takes nine in a transaction: the first
reads, without holding anything; the second holds what the rows refer to, stores documents, fact and event, and counts. Where
anything is not so plain, or no longer as it was read, nothing has happened, and the rows take the usual way.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa

from common.db import fetch_from
from common.events import AttendanceRecorded
from common.outbox import SAYING_STORED, values_of
from common.runtime import Runtime
from sis import facts, storing
from sis.arrivals.intake import COUNTING, MENDING, Arrival, counted, tallies_of
from sis.clients.bounds import bound
from sis.consequences import attendance_added
from sis.plan import Result, decide
from sis.resources import Resource
from sis.rows import Row

_ATTENDANCE = "studentSchoolAttendanceEvents"

# The time; whether anything waits or is known of these days; and the ids of what is referred to. Each LATERAL keeps to an index.
_READ = sa.text(
    """
    SELECT transaction_timestamp(),
        EXISTS (
            SELECT FROM unnest(CAST(:keys AS text[])) AS wanted(key) CROSS JOIN LATERAL (
                SELECT FROM sis_waiting WHERE resource = :resource AND sis_waiting.key = wanted.key OFFSET 0
            ) AS w
        ) OR EXISTS (
            SELECT FROM unnest(CAST(:students AS text[]), CAST(:schools AS text[]), CAST(:days AS date[]))
                AS wanted(student, school_id, on_date)
            CROSS JOIN LATERAL (
                SELECT id FROM sis_document WHERE resource = 'students' AND sis_document.key = wanted.student OFFSET 0
            ) AS s
            CROSS JOIN LATERAL (
                SELECT FROM sis_document WHERE sis_document.school_id = wanted.school_id
                    AND sis_document.on_date = wanted.on_date AND sis_document.student_id = s.id AND resource = :resource
                OFFSET 0
            ) AS d
        ),
        ARRAY(
            SELECT d.id FROM unnest(CAST(:resources AS text[]), CAST(:targets AS text[])) WITH ORDINALITY
                AS wanted(resource, key, place)
            LEFT JOIN LATERAL (
                SELECT id FROM sis_document WHERE sis_document.resource = wanted.resource AND sis_document.key = wanted.key
                    AND NOT deleted OFFSET 0
            ) AS d ON true
            ORDER BY wanted.place
        )
    """
)


def _of(part: str, statement: str) -> str:
    """The statement as a part of another, its values named apart from those of the others."""
    return re.sub(r"(?<![:\w]):(?=\w)", f":{part}_", statement)


def _values(part: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{part}_{name}": value for name, value in values.items()}


# Locks are taken in the order in which it is insisted: that there may be change versions which nobody sees yet (as sis.storing
# notes it), what is referred to, documents, facts; then come the outbox and counters.
_ADD = sa.text(
    f"""
    WITH noted AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(hashtext('sis change versions'))),
    held AS ({_of("held", storing.HOLD_KEYS.text)}),
    documents AS ({_of("document", storing.STORE.text)}),
    stored AS ({facts.STORE.text}),
    {SAYING_STORED},
    {_of("count", MENDING)},
    counted AS ({_of("count", COUNTING)})
    SELECT sis_insist(
        (SELECT count(*) FROM noted) = 1
        AND (SELECT count(*) FROM held WHERE id = ANY(CAST(:held_ids AS uuid[]))) = cardinality(CAST(:held_ids AS uuid[]))
        AND (SELECT count(*) FROM documents) = cardinality(CAST(:document_id AS uuid[]))
        AND (SELECT count(*) FROM stored) = cardinality(CAST(:id AS uuid[]))
    )
    """  # noqa: S608 (statements of our own)
)


async def add(driver: Any, runtime: Runtime, resource: Resource, arrivals: Sequence[Arrival]) -> list[Result] | None:
    """Store rows that only add attendance, and count them; one result a row, or ``None`` where they must take the usual way.

    All of them upsert. ``driver`` is the driver's connection outside of a transaction, if there is one.
    """
    rows = [arrival.row for arrival in arrivals if isinstance(arrival.row, Row) and not bound(arrival.who)]
    keys = {row.key for row in rows}
    if driver is None or resource.name != _ATTENDANCE or len(keys) < len(arrivals):
        return None
    targets = storing.in_order({target for row in rows for _, target in row.targets})
    wanted = {
        "resource": _ATTENDANCE,
        "keys": list(keys),
        "students": [key for row in rows for _, (name, key) in row.targets if name == "students"],
        "schools": [row.school_id for row in rows],
        "days": [row.on for row in rows],
        "resources": [name for name, _ in targets],
        "targets": [key for _, key in targets],
    }
    ((at, known, ids),) = await fetch_from(driver, _READ, wanted)
    if known or None in ids:
        return None
    linked = dict(zip(targets, ids, strict=True))
    plan = decide({}, dict(enumerate(rows)), at, random_ids=False, linked=linked)
    for standing in plan.changes.values():
        standing.link(linked)
    results = [plan.results[place] for place in range(len(rows))]
    tallies = tallies_of(zip([resource.name] * len(rows), arrivals, results, strict=True))
    documents = storing.values_of(runtime.vault, resource, plan.changes.values())
    stored, said = facts.said_first(at, AttendanceRecorded, attendance_added(plan.changes.values()))
    values = {
        "held_resources": wanted["resources"],
        "held_keys": wanted["targets"],
        "held_ids": ids,
        **_values("document", documents),
        **stored,
        **values_of(said),
        **_values("count", counted(runtime, tallies, [(resource.name, row.key) for row in rows])),
    }
    try:
        await fetch_from(driver, _ADD, values)
    except asyncpg.PostgresError:  # whatever it is, nothing was stored, and the usual way finds out for whom
        return None
    return results
