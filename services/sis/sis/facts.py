"""Saying facts: what follows is compared with what was last said, and only what differs is said again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
import uuid_utils
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch, next_revision
from common.events import CATALOGUE, Event, by_type
from common.ids import id_named
from common.outbox import publish_stored
from common.routing import EventRouter
from common.scope import HEARD, keep_scope

E = TypeVar("E", bound=Event)
FactKey = tuple[Any, ...]
"""The values of the fields that identify a fact, in the order of ``Event.fact``."""

_SPACE = uuid_utils.uuid5(uuid_utils.NAMESPACE_URL, "trellis:sis:fact")
_PAGE = 500

_STANDING = sa.text(
    """
    SELECT f.* FROM unnest(CAST(:ids AS uuid[])) AS wanted(id)
    CROSS JOIN LATERAL (
        SELECT id, state, deleted, revision, turn, known_at FROM sis_fact WHERE sis_fact.id = wanted.id OFFSET 0
    ) AS f
    """
)
# Also a fact that stays as it is takes its turn: whoever resolved it meanwhile from older rows must look again.
STORE = sa.text(
    """
    INSERT INTO sis_fact AS f (id, type, school_id, on_date, state, revision, turn, known_at, deleted)
    SELECT id, :type, school_id, on_date, CAST(state AS jsonb), revision, turn, known_at, deleted
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:school_id AS text[]), CAST(:on_date AS date[]), CAST(:state AS text[]),
        CAST(:revision AS bigint[]), CAST(:turn AS int[]), CAST(:known_at AS timestamptz[]), CAST(:deleted AS bool[])
    ) AS given(id, school_id, on_date, state, revision, turn, known_at, deleted)
    ON CONFLICT (id) DO UPDATE SET
        school_id = excluded.school_id, on_date = excluded.on_date, state = excluded.state, revision = excluded.revision,
        turn = excluded.turn, known_at = excluded.known_at, deleted = excluded.deleted
    WHERE f.turn = excluded.turn - 1
    RETURNING f.id
    """
)
_KEEP = sa.text(
    """
    INSERT INTO sis_revision (id, revision, body, known_at, deleted)
    SELECT id, revision, CAST(state AS jsonb), known_at, deleted
    FROM unnest(
        CAST(:id AS uuid[]), CAST(:revision AS bigint[]), CAST(:state AS text[]), CAST(:known_at AS timestamptz[]),
        CAST(:deleted AS bool[])
    ) AS given(id, revision, state, known_at, deleted)
    """
)
_ALL = sa.text(
    """
    SELECT id, state, revision, deleted FROM sis_fact
    WHERE type = :type AND id > :after ORDER BY id LIMIT :page
    """
)

events = EventRouter()


@dataclass(slots=True)  # not frozen: one is made for each row, and that would make it three times as dear
class Fact:
    """How a fact stands or shall stand: the fields of its event, as JSON values."""

    state: Mapping[str, Any]
    deleted: bool = False


@dataclass(slots=True)
class _Said:
    fact: Fact
    revision: int
    turn: int
    known_at: datetime


_Look = tuple[Mapping[UUID, _Said], Mapping[FactKey, Fact]]
Standing = Mapping[FactKey, Fact]
Resolve = Callable[[Standing], Awaitable[Mapping[FactKey, Fact]]]
"""Given how some facts stand, how they and those not said yet shall stand."""
ResolveAtOnce = Callable[[Sequence[FactKey], Sequence[UUID]], Awaitable[Sequence[tuple[Fact, Sequence[Any]]]]]
"""For each fact, with its id, how it shall stand, and the columns of ``SAID`` as they are in the same moment."""
SAID = "state, deleted, revision, turn, known_at"


async def say(
    session: AsyncSession, at: datetime, event: type[E], keys: Collection[FactKey], resolve: Resolve
) -> list[E]:
    """Let the facts ``keys`` stand as ``resolve`` finds, and publish those that changed; returns those.

    What ``resolve`` reads, it reads after the facts; if another transaction said one of them meanwhile, it is asked
    again once that transaction is over. A fact never said that shall be gone is not mentioned.
    """

    async def look(waiting: Mapping[UUID, FactKey]) -> _Look:
        said = await _said(session, waiting)
        return said, await resolve({waiting[identity]: one.fact for identity, one in said.items()})

    return await _say(session, at, event, keys, look)


async def say_at_once(
    session: AsyncSession, at: datetime, event: type[E], keys: Collection[FactKey], resolve: ResolveAtOnce
) -> list[E]:
    """As :func:`say`, where one statement reads both the facts and what they come from."""

    async def look(waiting: Mapping[UUID, FactKey]) -> _Look:
        found = zip(waiting.items(), await resolve(list(waiting.values()), list(waiting)), strict=True)
        said, wanted = {}, {}
        for (identity, key), (fact, (state, deleted, *columns)) in found:
            wanted[key] = fact
            if state is not None:
                said[identity] = _Said(Fact(state, deleted), *columns)
        return said, wanted

    return await _say(session, at, event, keys, look)


async def _say(
    session: AsyncSession,
    at: datetime,
    event: type[E],
    keys: Collection[FactKey],
    look: Callable[[Mapping[UUID, FactKey]], Awaitable[_Look]],
) -> list[E]:
    changed: dict[FactKey, E] = {}
    waiting = {fact_id(event, key): key for key in keys}
    while waiting:
        said, wanted = await look(waiting)
        rows = _rows(waiting, said, wanted, at)
        news = _news(event, waiting, said, rows)
        stored = await _store(session, event, waiting, rows, news)
        await _keep(session, {i: said[i] for i in news if i in stored and i in said})
        changed |= {waiting[i]: one for i, one in news.items() if i in stored}
        waiting = {i: key for i, key in waiting.items() if i in rows and i not in stored}
    spoken = [changed[key] for key in sorted(changed)]
    if event in HEARD:
        await keep_scope(spoken, session)
    return spoken


def said_first(at: datetime, event: type[E], shall: Mapping[FactKey, Fact]) -> tuple[dict[str, Any], Mapping[UUID, E]]:
    """The values of :data:`STORE` for facts of which none was ever said, and the events to publish of those stored."""
    keys = {fact_id(event, key): key for key in shall}
    rows = _rows(keys, {}, shall, at)
    return _values(event, keys, rows), _news(event, keys, {}, rows)


def just(shall: Mapping[FactKey, Fact]) -> Resolve:
    """The facts that ``shall`` stand, whatever stands now."""

    async def resolve(_: Standing) -> Mapping[FactKey, Fact]:
        return shall

    return resolve


def fact_id(event: type[Event], key: FactKey) -> UUID:
    """The id of a fact: the same key always has the same."""
    return id_named(_SPACE, "\n".join((event.type(), *map(str, key))))


@events.standing
async def everything_said(session: AsyncSession) -> AsyncIterator[Event]:
    """Every fact as it stands, also those that are gone, a page at a time."""
    for event in (event for event in CATALOGUE if event.owner == "sis"):
        after = UUID(int=0)
        while rows := (await session.execute(_ALL, {"type": event.type(), "after": after, "page": _PAGE})).all():
            for row in rows:
                yield _event(by_type()[event.type()], Fact(row.state, row.deleted), row.revision)
            after = rows[-1].id


def _rows(
    waiting: Mapping[UUID, FactKey], said: Mapping[UUID, _Said], wanted: Mapping[FactKey, Fact], at: datetime
) -> dict[UUID, _Said]:
    rows = {}
    for identity, key in waiting.items():
        before, fact = said.get(identity), wanted.get(key)
        if fact is None or (before is None and fact.deleted):
            continue
        if before is None:
            rows[identity] = _Said(fact, next_revision(None, at), 1, at)
        elif before.fact == fact or (before.fact.deleted and fact.deleted):
            rows[identity] = _Said(before.fact, before.revision, before.turn + 1, before.known_at)
        else:
            rows[identity] = _Said(fact, next_revision(before.revision, at), before.turn + 1, at)
    return rows


def _news(
    event: type[E], keys: Mapping[UUID, FactKey], said: Mapping[UUID, _Said], rows: Mapping[UUID, _Said]
) -> dict[UUID, E]:
    return {
        i: _event(event, rows[i].fact, rows[i].revision)
        for i in sorted(rows, key=keys.__getitem__)
        if i not in said or said[i].revision != rows[i].revision
    }


async def _said(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, _Said]:
    rows = await fetch(session, _STANDING, {"ids": list(ids)})
    return {row[0]: _Said(Fact(row[1], row[2]), *row[3:]) for row in rows}


async def _store(
    session: AsyncSession,
    event: type[Event],
    keys: Mapping[UUID, FactKey],
    rows: Mapping[UUID, _Said],
    news: Mapping[UUID, Event],
) -> set[UUID]:
    return await publish_stored(session, STORE, _values(event, keys, rows), news) if rows else set()


async def _keep(session: AsyncSession, superseded: Mapping[UUID, _Said]) -> None:
    if superseded:
        await fetch(session, _KEEP, _columns(list(superseded), superseded))


def _values(event: type[Event], keys: Mapping[UUID, FactKey], rows: Mapping[UUID, _Said]) -> dict[str, Any]:
    ids = sorted(rows)
    return _columns(ids, rows) | {
        "type": event.type(),
        "school_id": [rows[i].fact.state["school_id"] or "" for i in ids],
        "on_date": [_day(keys[i]) for i in ids],
        "turn": [rows[i].turn for i in ids],
    }


def _columns(ids: Sequence[UUID], rows: Mapping[UUID, _Said]) -> dict[str, Any]:
    return {
        "id": ids,
        "revision": [rows[i].revision for i in ids],
        "state": [to_json(rows[i].fact.state).decode() for i in ids],
        "known_at": [rows[i].known_at for i in ids],
        "deleted": [rows[i].fact.deleted for i in ids],
    }


def _event(event: type[E], fact: Fact, revision: int) -> E:
    return event.model_validate({**fact.state, "revision": revision, "deleted": fact.deleted})


def _day(key: FactKey) -> date | None:
    return next((value for value in key if isinstance(value, date)), None)
