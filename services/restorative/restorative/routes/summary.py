"""What a school may know of its conferences: numbers only."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel
from sqlmodel import col

from common.access import visible_to
from common.app import Router
from common.db import Session
from common.errors import NotFound
from restorative.models import Referral
from restorative.routes.referrals import Readers, days
from restorative.rules.conference import State

router = Router("restorative")

SchoolId = Annotated[str, Path(max_length=40, pattern=r"^[^\x00-\x1f]+$")]


class Summary(BaseModel):
    """How many conferences a school offered, held and completed; of those offered, how many were declined.

    ``days_avoided`` are days of exclusion proposed and not served, over all completed conferences.
    """

    offered: int
    held: int
    completed: int
    declined: int
    days_avoided: float


@router.get("/v1/schools/{school_id}/summary")
async def read_summary(school_id: SchoolId, who: Readers, session: Session) -> Summary:
    """The numbers of one school."""
    if not await session.scalar(sa.select(visible_to(who, sa.literal(school_id)))):
        raise NotFound(what="school")
    completed = col(Referral.state) == State.COMPLETED
    avoided = sa.func.greatest(0, col(Referral.hundredths_proposed) - col(Referral.hundredths_served))
    row = (
        await session.execute(
            sa.select(
                sa.func.count(col(Referral.offered_on)),
                sa.func.count(col(Referral.held_on)),
                sa.func.count().filter(completed),
                sa.func.count().filter(col(Referral.state) == State.DECLINED),
                sa.func.coalesce(sa.func.sum(avoided).filter(completed), 0),
            ).where(col(Referral.school_id) == school_id)
        )
    ).one()
    offered, held, done, declined, hundredths = map(int, row)
    return Summary(offered=offered, held=held, completed=done, declined=declined, days_avoided=days(hundredths))
