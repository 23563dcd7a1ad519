"""The sealer gives committed rows of the audit log their numbers and digests, and says now and then where the chain stands."""

from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.audit.chain import Entry, beginning, digest_of
from common.audit.tables import SEAL, WRITTEN
from common.db import fetch
from common.failpoints import failpoint
from common.runtime import Runtime

BATCH = 500
_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(0x61756469)")  # any number, the same for every sealer of one database
_COLUMNS = ("at", *WRITTEN)
_UNSEALED = sa.text(
    f"SELECT {', '.join(_COLUMNS)} FROM audit WHERE number IS NULL ORDER BY id LIMIT :batch"  # noqa: S608 (columns of our own)
)
_HEAD = sa.text("SELECT number, digest FROM audit WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1")
_SEAL = sa.text(
    """
    UPDATE audit SET number = given.number, digest = given.digest
    FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS bigint[]), CAST(:digests AS text[])) AS given(id, number, digest)
    WHERE audit.id = given.id
    """
)

log = structlog.get_logger(__name__)


async def seal(runtime: Runtime) -> None:
    """Seal every committed row that is not sealed yet. A row that commits late gets its place when it is seen."""
    while True:
        async with runtime.transaction() as session:
            count = await _seal_some(runtime.name, session)
        if count < BATCH:
            return


async def anchor(runtime: Runtime) -> None:
    """Say in the log, which is kept outside the database, where the chain stands."""
    async with runtime.transaction() as session:
        number, digest = await _head(runtime.name, session)
    if number:
        log.info("the audit log was anchored", service=runtime.name, count=number, digest=digest)


async def _seal_some(service: str, session: AsyncSession) -> int:
    # Outside this transaction nobody numbers: whoever has the lock next sees what was committed before it was given back.
    if not await session.scalar(_LOCK):
        return 0
    rows = await fetch(session, _UNSEALED, {"batch": BATCH})
    if not rows:
        return 0
    number, digest = await _head(service, session)
    sealed: list[Entry] = []
    for place, row in enumerate(rows, number + 1):
        entry = Entry(number=place, digest="", **dict(zip(_COLUMNS, row, strict=True)))
        entry.digest = digest = digest_of(digest, entry)
        sealed.append(entry)
    seals = {f"{name}s": [getattr(entry, name) for entry in sealed] for name in ("id", *SEAL)}
    failpoint("audit-before-seal")
    await fetch(session, _SEAL, seals)
    return len(rows)


async def _head(service: str, session: AsyncSession) -> tuple[int, str]:
    """Number and digest of the last sealed row."""
    last: Any = (await session.execute(_HEAD)).one_or_none()
    return (last.number, last.digest) if last else (0, beginning(service))
