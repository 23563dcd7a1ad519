"""Up to which change version nothing can be missed any more."""

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

# Whoever writes documents holds this until that is committed: once we have it alone, every version given out is settled.
_ALONE = sa.text("SELECT pg_advisory_xact_lock(hashtext('sis change versions'))")
_NEWEST = sa.text("SELECT coalesce(pg_sequence_last_value('sis_change_version'), 0)")


class ChangeVersions(BaseModel):
    """The range of change versions that can be asked for."""

    oldestChangeVersion: int  # noqa: N815 (Ed-Fi's name)
    newestChangeVersion: int  # noqa: N815 (Ed-Fi's name)


@router.get("")
async def read_change_versions(session: Session) -> ChangeVersions:
    """The oldest change version and the newest: what was accepted has one of these, and nothing at or below is still to come."""
    await session.execute(_ALONE)
    newest = (await session.execute(_NEWEST)).scalar_one()
    return ChangeVersions(oldestChangeVersion=0, newestChangeVersion=newest)
