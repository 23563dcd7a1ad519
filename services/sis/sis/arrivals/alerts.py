"""What district IT should hear of: schools whose days were not submitted, sources that stopped pushing, rows that wait long."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import transaction_time
from common.events import AlertKind, AlertRaised, SchoolCalendarSet, SchoolDayClosed
from common.runtime import Runtime
from common.telemetry import record_alert
from sis import facts
from sis.facts import Fact, FactKey, say
from sis.policy import ARRIVALS, WAITING

log = structlog.get_logger(__name__)

_DAYS = """
    SELECT DISTINCT f.school_id, CAST(said.day AS date) AS day FROM sis_fact AS f
    CROSS JOIN LATERAL jsonb_array_elements_text(f.state -> 'instructional_days') AS said(day)
    WHERE f.type = :calendar AND NOT f.deleted AND said.day <= :latest_text
"""
# Who closes a day closes all before it, so what is open stands after the last closed day.
_UNSUBMITTED = sa.text(
    f"""
    SELECT days.school_id AS subject, max(school.body ->> 'nameOfInstitution') AS name, min(days.day) AS since, count(*) AS age
    FROM ({_DAYS}) AS days
    JOIN sis_document AS school
        ON school.resource = 'schools' AND school.school_id = days.school_id AND NOT school.deleted
    LEFT JOIN LATERAL (
        SELECT on_date FROM sis_fact
        WHERE type = :closed AND sis_fact.school_id = days.school_id AND NOT deleted ORDER BY on_date DESC LIMIT 1
    ) AS last ON true
    WHERE days.day > coalesce(last.on_date, '-infinity')
    GROUP BY days.school_id ORDER BY age DESC, days.school_id
    """  # noqa: S608 (only a constant of ours is filled in)
)
_SILENT = sa.text(
    f"""
    WITH days AS MATERIALIZED ({_DAYS})
    SELECT pushed.source AS subject, (SELECT name FROM sis_client WHERE CAST(id AS text) = pushed.source) AS name, pushed.since, (
        SELECT count(DISTINCT days.day) FROM days WHERE days.day > pushed.since
    ) AS age
    FROM (
        SELECT said.source, CAST(max(said.at) AT TIME ZONE :zone AS date) AS since
        FROM (
            SELECT source, last_at AS at FROM sis_arrival
            UNION ALL SELECT CAST(id AS text), created_at FROM sis_client
        ) AS said
        WHERE NOT EXISTS (SELECT FROM sis_client WHERE CAST(id AS text) = said.source AND revoked_at IS NOT NULL)
        GROUP BY said.source
    ) AS pushed
    ORDER BY age DESC, pushed.source
    """  # noqa: S608 (the same)
)
_WAITING = sa.text(
    f"""
    WITH days AS MATERIALIZED ({_DAYS})
    SELECT waits.source AS subject, (SELECT name FROM sis_client WHERE CAST(id AS text) = waits.source) AS name, waits.since, (
        SELECT count(DISTINCT days.day) FROM days WHERE days.day > waits.since
    ) AS age
    FROM (
        SELECT source, CAST(min(since) AT TIME ZONE :zone AS date) AS since FROM sis_waiting
        WHERE NOT taken_back AND since < :listed GROUP BY source
    ) AS waits
    ORDER BY waits.since, waits.source
    """  # noqa: S608 (the same)
)
_RAISED = sa.text("SELECT state FROM sis_fact WHERE type = :type AND NOT deleted")


@dataclass(frozen=True, slots=True)
class Alert:
    """A school or a source that has been silent, or whose rows wait; ``age`` in school days, ``reached`` the set age it has come to.

    Rows that wait are an alert from the hour at which they are listed: then ``reached`` is 0 until the first set age.
    """

    kind: AlertKind
    subject: str
    name: str | None
    since: date
    """The first day not submitted, the day of the last push or, without one, on which the client was made, or that of the
    oldest row that waits."""
    age: int
    reached: int


async def alerts_now(session: AsyncSession, runtime: Runtime, *, source: str | None = None) -> list[Alert]:
    """Schools with open days, sources without a push, and sources of which rows wait; with ``source`` only that one.

    Silence is one from the first set age on, waiting from the hour at which such rows are listed.
    A school day is due in the evening, by the policy. Where no calendar has come nobody is late.
    """
    zone = runtime.settings.zone
    latest = ARRIVALS.latest_due(runtime.now().astimezone(zone))
    days = {"calendar": SchoolCalendarSet.type(), "latest_text": latest.isoformat()}
    silent = await session.execute(_SILENT, days | {"zone": zone.key})
    listed = runtime.now() - timedelta(hours=WAITING.listed_after_hours)
    waiting = await session.execute(_WAITING, days | {"zone": zone.key, "listed": listed})
    found = _alerts(AlertKind.SOURCE_SILENT, silent) + _alerts(AlertKind.ROWS_WAITING, waiting, first=0)
    if source is not None:
        return [alert for alert in found if alert.subject == source]
    unsubmitted = await session.execute(_UNSUBMITTED, days | {"closed": SchoolDayClosed.type()})
    return _alerts(AlertKind.SCHOOL_NOT_SUBMITTED, unsubmitted) + found


async def tell_alerts(runtime: Runtime) -> None:
    """Say each alert once at each set age, and when it is over; log and count it, naming the school.

    A source may be a person's name and is not named.
    """
    async with runtime.transaction() as session:
        standing = {_key_of(alert): alert for alert in await alerts_now(session, runtime)}
        told = await _tell(session, standing)
    for alert in (standing[event.fact_key] for event in told if not event.deleted):
        where = {"where": alert.subject} if alert.kind is AlertKind.SCHOOL_NOT_SUBMITTED else {}
        log.warning("an alert", service=runtime.name, reason=alert.kind, count=alert.age, **where)
        record_alert(runtime.name, state=alert.kind)


async def _tell(session: AsyncSession, standing: Mapping[FactKey, Alert]) -> list[AlertRaised]:
    raised = await session.scalars(_RAISED, {"type": AlertRaised.type()})
    before = {AlertRaised.model_validate({**state, "revision": 1}).fact_key for state in raised}

    async def resolve(said: facts.Standing) -> Mapping[FactKey, Fact]:
        over = {key: Fact(fact.state, deleted=True) for key, fact in said.items()}
        return over | {key: Fact(_state_of(alert)) for key, alert in standing.items()}

    return await say(session, await transaction_time(session), AlertRaised, {*before, *standing}, resolve)


def _key_of(alert: Alert) -> FactKey:
    return alert.kind, alert.subject, alert.since


def _state_of(alert: Alert) -> dict[str, Any]:
    return {
        "kind": str(alert.kind),
        "about": alert.subject,
        "school_id": alert.subject if alert.kind is AlertKind.SCHOOL_NOT_SUBMITTED else None,
        "since": alert.since.isoformat(),
        "school_days": alert.reached,
    }


def _alerts(kind: AlertKind, rows: sa.Result[Any], *, first: int | None = None) -> list[Alert]:
    """Those that have come to a set age, or to ``first`` without one."""
    found = ((row, ARRIVALS.reached(row.age) or first) for row in rows)
    return [Alert(kind, row.subject, row.name, row.since, row.age, step) for row, step in found if step is not None]
