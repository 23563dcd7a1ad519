"""Up to which change version nothing can be missed any more."""

from datetime import timedelta

import sqlalchemy as sa
from pydantic import BaseModel

from common.access import require
from common.app import Router
from common.db import Session, next_revision
from sis.problems import RESPONSES

router = Router(
    "availableChangeVersions", tags=["Ed-Fi"], responses=RESPONSES, dependencies=[require("sis", "district")]
)

SETTLING = timedelta(seconds=1)
"""A transaction takes its time a moment before others can see that it has begun: it is given this long."""

# A document's revision is at least the time at which its transaction began. Later transactions get later ones, so just below
# the oldest that is open, and below a moment ago if none is, everything has been committed.
_SETTLED = sa.text(
    """
    SELECT least(min(xact_start), statement_timestamp() - CAST(:settling AS interval))
    FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
    """
)


class ChangeVersions(BaseModel):
    """The range of change versions that can be asked for."""

    oldestChangeVersion: int  # noqa: N815 (Ed-Fi's name)
    newestChangeVersion: int  # noqa: N815 (Ed-Fi's name)


@router.get("")
async def read_change_versions(session: Session) -> ChangeVersions:
    """The oldest change version and the newest that is settled: nothing at or below it is still to come."""
    settled = (await session.execute(_SETTLED, {"settling": SETTLING})).scalar_one()
    return ChangeVersions(oldestChangeVersion=0, newestChangeVersion=next_revision(None, settled) - 1)
