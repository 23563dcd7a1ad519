"""Equity of decisions: what each month came to by group, and the ratios that wait until a person says what they found."""

from collections.abc import Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.errors import DomainError, NotFound
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import RuntimeOf
from common.sealed import Vault
from common.words import Words
from mtss.models.monthly import Equity, EquityAlert
from mtss.routes.documents import PURPOSE
from mtss.routes.handing import Assigned, HandoverDocument, handed

router = Router("mtss", tags=["equity"])

Reader = Annotated[Principal, require("district", reads=("non_personal", "narrative"), purpose=PURPOSE)]
Finder = Annotated[Principal, require("district", second_factor=True, reads=("narrative",), purpose=PURPOSE)]
_FINDING = {"table": "mtss_equity_alert", "column": "finding"}


class AlreadyFound(DomainError):
    """Somebody has said already what they found about this ratio; it is there to read."""


class RatioDocument(BaseModel):
    """How many times as likely it is in a group as among all others, with the 95 percent interval."""

    ratio: float
    low: float
    high: float


class ToldDocument(BaseModel):
    """To how many of how many students of a group it happened."""

    count: int
    of: int
    share: float
    low: float
    high: float
    against_all_others: Annotated[RatioDocument | None, Field(description="Null: not calculable.")]
    school_days_until_decided: Annotated[
        list[int] | None,
        Field(
            description="Of those who entered, the school days between the ground and the decision: a quarter had at most the "
            "first, half at most the second, three quarters at most the third. Null: another measure, or told before it was kept.",
            examples=[[0, 1, 4]],
        ),
    ] = None


class GroupLine(BaseModel):
    """One group."""

    group: Annotated[str, Field(examples=["hispanic"])]
    told: Annotated[ToldDocument | None, Field(description="Null: not told, so that nobody can be told from it.")]


class AlertDocument(BaseModel):
    """A group that a measure harms: its ratio is at or beyond the threshold. It waits until a person says what they found."""

    id: UUID
    month: Annotated[date, Field(description="The first day of the month in which it was seen.")]
    measure: Annotated[str, Field(examples=["entered"])]
    kind: Annotated[str, Field(examples=["race"])]
    group: str
    side: Annotated[str, Field(description="more or less: how often it happens to the group, against all others.")]
    ratio: Annotated[float | None, Field(description="Null: not told, so that nobody can be told from it.")]
    low: float | None
    high: float | None
    threshold: float
    found_at: Annotated[datetime | None, Field(description="Null: it waits.")]
    found_by: str | None
    finding: str | None
    assigned: Assigned


class MonthDocument(BaseModel):
    """What the decisions of one month came to, by group."""

    month: Annotated[date, Field(description="Its first day.")]
    made_at: datetime
    students: Annotated[int, Field(description="Who were enrolled on a day of it.")]
    minimum: Annotated[dict[str, int], Field(examples=[{"cell": 10, "students": 30}])]
    measures: Annotated[
        dict[str, dict[str, list[GroupLine]]], Field(description="By measure and kind of group.", examples=[{}])
    ]
    alerts: Annotated[list[AlertDocument], Field(description="Raised by this month.")]


class Finding(BaseModel):
    """What somebody found when they looked into a ratio, and what is done about it. It is sealed."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {"finding": "One school refers for dress code alone; its principal changes that by March."}
        },
    )

    finding: Annotated[Words, Field(min_length=10)]


@router.get("/v1/equity")
async def list_equity(
    who: Reader, session: Session, runtime: RuntimeOf, cursor: Cursor = None, limit: Limit = 100
) -> Page[MonthDocument]:
    """Every month that was told of, the newest first."""
    asked = keyset(sa.select(Equity), col(Equity.month), cursor, limit, latest_first=True)
    months = (await session.scalars(asked)).all()
    alerts = await _alerts(session, runtime.vault)
    return Page(
        items=[
            MonthDocument(
                month=each.month,
                made_at=each.made_at,
                students=each.students,
                minimum=each.report["minimum"],
                measures=each.report["measures"],
                alerts=[alert for alert in alerts if alert.month == each.month],
            )
            for each in months[:limit]
        ],
        next=next_of(months, limit, attrgetter("month")),
    )


@router.get("/v1/equity/alerts")
async def list_equity_alerts(
    who: Reader,
    session: Session,
    runtime: RuntimeOf,
    waiting: bool | None = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[AlertDocument]:
    """Ratios that wait for a person, and those that somebody looked into, the oldest first."""
    asked = sa.select(EquityAlert)
    if waiting is not None:
        asked = asked.where(col(EquityAlert.found_at).is_(None) == waiting)
    found = (await session.scalars(keyset(asked, col(EquityAlert.id), cursor, limit))).all()
    shown = await _shown(session, runtime.vault, found[:limit])
    return Page(items=shown, next=next_of(found, limit, attrgetter("id")))


@router.post("/v1/equity/alerts/{alert_id}/finding", status_code=201, dependencies=[ONCE])
async def record_finding(
    alert_id: UUID, said: Finding, who: Finder, session: Session, runtime: RuntimeOf
) -> AlertDocument:
    """Say what you found about a ratio. It waits no longer; a later month may raise it again.

    Raises:
        AlreadyFound: somebody has.
    """
    asked = sa.select(EquityAlert).where(col(EquityAlert.id) == alert_id).with_for_update()
    alert = (await session.scalars(asked)).one_or_none()
    if alert is None:
        raise NotFound(what="alert")
    if alert.found_at is not None:
        raise AlreadyFound
    alert.found_at, alert.found_by = await transaction_time(session), who.subject
    alert.finding = runtime.vault.seal(said.finding, row=alert.id, **_FINDING)
    session.add(alert)
    await session.flush()
    (shown,) = await _shown(session, runtime.vault, [alert])
    return shown


async def _alerts(session: AsyncSession, vault: Vault) -> Sequence[AlertDocument]:
    found = await session.scalars(sa.select(EquityAlert).order_by(col(EquityAlert.id)))
    return await _shown(session, vault, found.all())


async def _shown(session: AsyncSession, vault: Vault, alerts: Sequence[EquityAlert]) -> list[AlertDocument]:
    assigned = await handed(session, vault, [each.id for each in alerts])
    return [_document(vault, each, assigned.get(each.id)) for each in alerts]


def _document(vault: Vault, alert: EquityAlert, assigned: HandoverDocument | None) -> AlertDocument:
    said: dict[str, Any] = alert.model_dump(exclude={"finding", "group_name"})
    finding = None if alert.finding is None else vault.open(alert.finding, row=alert.id, **_FINDING)
    return AlertDocument(**said, group=alert.group_name, finding=finding, assigned=assigned)
