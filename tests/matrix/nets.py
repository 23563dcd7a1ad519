"""The two nets that bound what a person sees, each of which a test can take away."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from common import db
from common.scope import sight
from tests.harness import Running

_PROTECTED = sa.text("SELECT DISTINCT quote_ident(tablename) FROM pg_policies WHERE schemaname = 'public'")


@asynccontextmanager
async def row_security_alone(_: Running) -> AsyncIterator[None]:
    """``visible_to`` and ``visible_school`` let everything through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sight, "seen", lambda _: sa.true())
        patch.setattr(sight, "seen_school", lambda _: sa.true())
        yield


@asynccontextmanager
async def filter_alone(running: Running) -> AsyncIterator[None]:
    """No table has row security."""
    await _switch(running, "DISABLE")
    try:
        yield
    finally:
        await _switch(running, "ENABLE")


async def _switch(running: Running, how: str) -> None:
    async with running.admin.begin() as connection:
        for table in (await connection.execute(_PROTECTED)).scalars().all():
            await connection.execute(sa.text(f"ALTER TABLE {table} {how} ROW LEVEL SECURITY"))


@contextmanager
def nothing_kept() -> Iterator[None]:
    """What the application writes is seen by it to the end of its transaction, and rolled back then: everybody finds the same."""
    execute = db._Driver.execute

    async def rolled_back(self: Any, query: str, *args: Any, **options: Any) -> Any:
        return await execute(self, "ROLLBACK" if query.startswith("COMMIT") else query, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db._Driver, "execute", rolled_back)
        yield


NETS = {"row security": row_security_alone, "visible_to": filter_alone}
"""Each net by the name of what is left."""
