"""What a school may know of its conferences: numbers only."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Path
from pydantic import BaseModel
from sqlmodel import col

from common.access import visible_numbers
from common.app import Router
from common.db import Session
from common.errors import NotFound
from restorative.conferences import visible
from restorative.models import Enrolment, Referral
from restorative.routes.documents import days
from restorative.routes.referrals import Readers
from restorative.rules.conference import State

router = Router("restorative")

SchoolId = Annotated[str, Path(max_length=40, pattern=r"^[^\x00-\x1f]+$")]


class Summary(BaseModel):
    """How many conferences a school offered, held and completed.

    How many were declined is not told: at a school with one conference it would say that a party refused.
    ``days_avoided`` are days of exclusion proposed and not served, over all completed conferences.
    """

    offered: int
    held: int
    completed: int
    days_avoided: float


@router.get("/v1/schools/{school_id}/summary")
async def read_summary(school_id: SchoolId, who: Readers, session: Session) -> Summary:
    """The numbers of one school."""
    if not await session.scalar(sa.select(sa.and_(visible_numbers(who, sa.literal(school_id)), _known(school_id)))):
        raise NotFound(what="school")
    completed = col(Referral.state) == State.COMPLETED
    avoided = sa.func.greatest(0, col(Referral.hundredths_proposed) - col(Referral.hundredths_served))
    row = (
        await session.execute(
            sa.select(
                sa.func.count(col(Referral.offered_on)),
                sa.func.count(col(Referral.held_on)),
                sa.func.count().filter(completed),
                sa.func.coalesce(sa.func.sum(avoided).filter(completed), 0),
            ).where(col(Referral.school_id) == school_id, visible(who))
        )
    ).one()
    offered, held, done, hundredths = map(int, row)
    return Summary(offered=offered, held=held, completed=done, days_avoided=days(hundredths))


def _known(school_id: str) -> sa.ColumnElement[bool]:
    """Whether anything was heard of this school. A referral may come before its student's enrolment."""
    return sa.or_(
        sa.exists().where(col(Referral.school_id) == school_id),
        sa.exists().where(col(Enrolment.school_id) == school_id),
    )
