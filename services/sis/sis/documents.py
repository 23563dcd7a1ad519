"""Writing documents: many rows at once, each natural key in its order, a constant number of statements."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import is_transient
from common.errors import DomainError
from common.logs import place_of
from common.sealed import Vault
from sis import signing
from sis.consequences import follow_documents
from sis.plan import Plan, Result, decide
from sis.policy import BULK_ROWS, WAITING
from sis.resources import REFERENCED, RESOURCES, Resource
from sis.rows import Row, Target
from sis.rules.waiting import Waits
from sis.standing import Standing
from sis.storing import find, hold, keep_before, referred_to, store
from sis.waiting import Called, called_for, keep, refuse, with_secrets

log = structlog.get_logger(__name__)

CalledIn = tuple[Called, Result]
"""A row that waited, and what came of it when its turn had come."""

_RANDOM_IDS = frozenset(("students", "staffs"))
"""People's ids tell nothing, not even when they came; others are ordered by time, which keeps indexes small."""


async def write(
    session: AsyncSession, vault: Vault, resource: Resource, rows: Sequence[Row], sources: Sequence[str]
) -> tuple[list[Result], list[CalledIn]]:
    """Take in ``rows`` of one resource in their order and say what follows; one result a row.

    All of them upsert or all of them delete. A row that is refused changes nothing and leaves the others alone; one that
    refers to what is not known may wait, and rows that waited for these are taken in as well: they are the second that is
    returned, each with its result. ``sources`` say who pushed each row.
    """
    results, changed = await take_in(session, vault, resource, rows, sources, may_wait=WAITING.on)
    return results, await _call_in(session, vault, resource, changed)


async def take_in(
    session: AsyncSession,
    vault: Vault,
    resource: Resource,
    rows: Sequence[Row],
    sources: Sequence[str],
    *,
    may_wait: bool,
) -> tuple[list[Result], list[Standing]]:
    """What came of each row, and the documents that are others now. What waited for those is not called in yet."""
    results: dict[int, Result] = {}
    changed: list[Standing] = []
    waiting = dict(enumerate(rows))
    pushed_by = {row.key: source for row, source in zip(rows, sources, strict=True)}
    while waiting:
        at, room, found = await find(session, vault, resource, {row.key for row in waiting.values()})
        room = await with_secrets(session, vault, resource, room, waiting.values())
        plan = await _plan(session, resource, found, waiting, at, room, may_wait=may_wait)
        again = await keep(session, vault, resource, room, plan.room, pushed_by)
        for key in again:
            plan.changes.pop(key, None)
        stored = await store(session, vault, resource, plan.changes)
        await keep_before(session, vault, [one for key in stored for one in plan.superseded.get(key, ())])
        changed += [plan.changes[key] for key in stored if key in plan.superseded]
        again |= plan.changes.keys() - stored.keys()
        waiting = {i: row for i, row in waiting.items() if row.key in again}
        results |= plan.results
    if changed:  # all of it is known since the start of this transaction
        await follow(session, vault, resource, changed[0].known_at, changed)
    return [results[index] for index in range(len(rows))], changed


async def follow(
    session: AsyncSession, vault: Vault, resource: Resource, at: datetime, changed: Sequence[Standing]
) -> None:
    """Say and keep what follows from documents as they stand; what stands already is left as it is."""
    await follow_documents(session, at, resource.name, changed)
    if resource.name == "staffs":
        await signing.remember(session, vault, changed)


async def _call_in(
    session: AsyncSession, vault: Vault, resource: Resource, changed: Sequence[Standing]
) -> list[CalledIn]:
    """Take in rows that waited for the documents just written. If that fails, the documents stay: the sweep says why."""
    called = await called_for(session, vault, _arrived(resource, changed), most=BULK_ROWS)
    if not called:
        return []
    try:
        async with session.begin_nested():
            return await take_in_called(session, vault, called)
    except Exception as error:
        if is_transient(error):
            raise
        log.warning(
            "rows that waited could not be taken in", service="sis", error=type(error).__name__, where=place_of(error)
        )
        return []


async def take_in_called(session: AsyncSession, vault: Vault, called: Sequence[Called]) -> list[CalledIn]:
    """Take in rows whose turn has come, then those that waited for them; no more than one push may hold, the sweep does the rest.

    What came of each is returned; one that must wait on stands there as waiting.
    """
    left, settled = BULK_ROWS, list[CalledIn]()
    while called:
        left -= len(called)
        await refuse(session, vault, called)
        settled += [(one, one.row) for one in called if isinstance(one.row, DomainError)]
        arrived: list[Target] = []
        for name in dict.fromkeys(one.resource for one in called):
            turns = [(one, one.row, one.source) for one in called if one.resource == name and isinstance(one.row, Row)]
            if turns:
                ones, rows, sources = zip(*turns, strict=True)
                results, changed = await take_in(session, vault, RESOURCES[name], rows, sources, may_wait=True)
                settled += zip(ones, results, strict=True)
                arrived += _arrived(RESOURCES[name], changed)
        called = await called_for(session, vault, arrived, most=left) if left > 0 else []
    return settled


def _arrived(resource: Resource, changed: Iterable[Standing]) -> list[Target]:
    """Those of the documents just written that others may have waited for."""
    if resource.name not in REFERENCED:
        return []
    return [(resource.name, document.key) for document in changed if not document.content.deleted]


async def _plan(
    session: AsyncSession,
    resource: Resource,
    found: Mapping[str, Standing],
    waiting: Mapping[int, Row],
    at: datetime,
    room: Mapping[str, Waits],
    *,
    may_wait: bool,
) -> Plan:
    random_ids = resource.name in _RANDOM_IDS
    plan = decide(found, waiting, at, random_ids=random_ids, room=room)
    changing = [row for row in waiting.values() if row.key in plan.superseded]
    linked = await hold(session, {target for row in changing for _, target in row.targets})
    gone = [plan.changes[row.key] for row in changing if row.deletes]
    kept = await referred_to(session, [one.id for one in gone], resource)
    kept |= {one.id for one in gone if one.key in resource.always_keys}
    if kept or any(target not in linked for row in changing for _, target in row.targets):
        plan = decide(found, waiting, at, random_ids=random_ids, linked=linked, kept=kept, room=room, may_wait=may_wait)
    for standing in plan.changes.values():
        standing.link(linked)
    return plan
