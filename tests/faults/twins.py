"""Runs one service as ``trellis serve`` does, whole or with a part broken on purpose, so that the checker can be checked.

python tests/faults/twins.py TWIN SERVICE [options of `trellis serve`]
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common import cli, commands, inbox, outbox
from common.db import fetch_from
from common.outbox import BATCH, Record

_AFTER = sa.text(
    """
    SELECT id, type, subject, key, body, traceparent, created_at, position FROM outbox
    WHERE position > :position ORDER BY position LIMIT :batch
    """
)


def whole() -> None:
    """Nothing is broken."""


def no_inbox() -> None:
    """Every event is new, however often it comes."""
    real = inbox._remember

    async def remember(session: AsyncSession, records: Iterable[Record]) -> set[UUID]:
        await real(session, records)
        return {record.id for record in records}

    inbox._remember = remember


def cursor_relay() -> None:
    """The relay remembers a position and reads on from there, as if rows were committed in order."""
    position = 0

    async def read_on(driver: Any) -> list[Record]:
        nonlocal position
        rows = await fetch_from(driver, _AFTER, {"position": position, "batch": BATCH})
        position = max((row["position"] for row in rows), default=position)
        return [Record(*list(row)[:-1]) for row in rows]

    outbox._next = read_on


TWINS: Mapping[str, Callable[[], None]] = {"whole": whole, "no-inbox": no_inbox, "cursor-relay": cursor_relay}


def main(twin: str, service: str, *options: str) -> None:
    """Break what ``twin`` says and serve."""
    TWINS[twin]()
    commands.services = lambda: {service: lambda: import_module(f"{service}.app").app}
    cli.app(["serve", service, *options])


if __name__ == "__main__":
    main(*sys.argv[1:])
