"""Up to which change version nothing can be missed any more."""

import asyncio

import sqlalchemy as sa
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.db import Session

router = Router(
    "availableChangeVersions",
    tags=["Ed-Fi"],
    dependencies=[require("sis", "district", reads=["non_personal"], purpose="records")],
)

_NEWEST = sa.text("SELECT coalesce(pg_sequence_last_value('sis_change_version'), 0)")
# Whoever writes documents holds this from before it gives them versions until they are committed. We only look who does, and never
# stand in the queue for it: those behind us would wait too, while they hold what those before us wait for.
_WRITING = sa.text(
    """
    SELECT virtualtransaction FROM pg_locks, (SELECT CAST(hashtext('sis change versions') AS bigint) AS number) AS noted
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = CAST(number >> 32 & 4294967295 AS oid) AND objid = CAST(number & 4294967295 AS oid) AND objsubid = 1
        AND granted
    """
)
_AGAIN_SECONDS = 0.005


class ChangeVersions(BaseModel):
    """The range of change versions that can be asked for."""

    oldestChangeVersion: int  # noqa: N815 (Ed-Fi's name)
    newestChangeVersion: int  # noqa: N815 (Ed-Fi's name)


@router.get("")
async def read_change_versions(session: Session) -> ChangeVersions:
    """The oldest change version and the newest: what was accepted has one of these, and nothing at or below is still to come."""
    newest = (await session.execute(_NEWEST)).scalar_one()
    writing = set(await session.scalars(_WRITING))
    while writing:  # the versions up to the newest are settled once these have ended
        await asyncio.sleep(_AGAIN_SECONDS)
        writing &= set(await session.scalars(_WRITING))
    return ChangeVersions(oldestChangeVersion=0, newestChangeVersion=newest)
