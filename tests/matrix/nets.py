"""The two nets that bound what a person sees, each of which a test can take away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa

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


NETS = {"row security": row_security_alone, "visible_to": filter_alone}
"""Each net by the name of what is left."""
