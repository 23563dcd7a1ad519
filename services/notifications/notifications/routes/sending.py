"""How many families were told, wait or are held back; and the switch that lets messages out."""

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session
from common.errors import DomainError
from common.idempotency import ONCE
from common.inbox import acknowledge_set_back, database_was_set_back
from common.preconditions import IfMatch, check_seen, etag_of
from common.runtime import Now, RuntimeOf
from notifications.gate import gate_of, last_switch
from notifications.ledger import doubt_everything
from notifications.mail import MailServer, mail_server
from notifications.models import Switch

router = Router("notifications")

_DISTRICT = require("district", reads=["non_personal"], purpose="operations")

# A family is known by the least id of its household, which is sorted: siblings have notices of their own, and who is the
# recipient among the parents may differ from child to child.
_TOLD = sa.text(
    """
    SELECT channel, language, fallback, count(DISTINCT household[1]) AS families FROM notifications_notice
    WHERE state IN ('accepted', 'delivered') GROUP BY channel, language, fallback ORDER BY channel, language, fallback
    """
)
_PENDING = sa.text(
    """
    SELECT greatest(not_before, :now) AS until, count(DISTINCT household[1]) AS families FROM notifications_notice
    WHERE state = 'pending'
    AND (not_before > :now OR CASE channel WHEN 'letter' THEN CAST(:letter AS text) ELSE CAST(:email AS text) END IS NULL)
    GROUP BY 1 ORDER BY 1
    """
)
_HELD = sa.text(
    """
    SELECT reason, count(DISTINCT family) AS families FROM (
        SELECT CASE state WHEN 'uncertain' THEN 'uncertain' ELSE reason END AS reason, household[1] AS family
        FROM notifications_notice WHERE state IN ('held', 'uncertain', 'cancelled')
        UNION ALL
        SELECT CASE channel WHEN 'letter' THEN CAST(:letter AS text) ELSE CAST(:email AS text) END, household[1]
        FROM notifications_notice WHERE state = 'pending' AND not_before <= :now
        UNION ALL
        SELECT coalesce(nullif(reason, ''), CAST(:undecided AS text)), student_id FROM notifications_occasion AS o
        WHERE (reason <> '' OR state = 'open')
        AND NOT EXISTS (SELECT FROM notifications_notice AS n WHERE n.occasion_id = o.id)
    ) AS held WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason
    """
)
_UNDECIDED = sa.text(
    """
    SELECT count(*) AS waiting, count(*) FILTER (WHERE NOT doubtful) AS may_go_out
    FROM notifications_occasion AS o WHERE state = 'open' AND reason = ''
    AND NOT EXISTS (SELECT FROM notifications_notice AS n WHERE n.occasion_id = o.id)
    """
)
_WOULD_BE_TOLD = sa.text(
    """
    SELECT channel, language, fallback, count(DISTINCT household[1]) AS families FROM notifications_notice
    WHERE state = 'pending' AND (channel = 'letter' OR :mail)
    GROUP BY channel, language, fallback ORDER BY channel, language, fallback
    """
)
_FAMILIES = sa.text(
    """
    SELECT count(DISTINCT household[1]) FROM notifications_notice
    WHERE state = 'pending' AND (channel = 'letter' OR :mail)
    """
)
_ALONE = sa.text("LOCK TABLE notifications_switch IN SHARE ROW EXCLUSIVE MODE")
_STILL_REPLAYING = sa.text(
    """
    SELECT EXISTS (
        SELECT FROM inbox_set_back AS b LEFT JOIN inbox_offset AS o USING (topic, partition)
        WHERE b.acknowledged_at IS NULL AND coalesce(o.next_offset, 0) < b.committed_offset
    )
    """
)


class PreviewChanged(DomainError):
    """Other families would be told now than those in the preview that was seen; look at it again."""


class StillUndecided(DomainError):
    """For {undecided} students it is not decided yet whom to tell; the preview is complete once it is."""


class StillCatchingUp(DomainError):
    """A backup was restored and the events since then are still being heard; try again when they are."""


class Told(BaseModel):
    """Families told, or that would be told, through one channel in one language: each once, however many children."""

    channel: str
    language: str = Field(description="The home language, ISO 639-1.")
    fallback: bool = Field(description="English with the interpreter line, as no text is approved in that language.")
    families: int


class Waiting(BaseModel):
    """Families that are told at a certain time."""

    until: datetime
    families: int = Field(description="Households, or students where no household is decided.")


class HeldBack(BaseModel):
    """Families that are not told, and why.

    ``families`` counts each household once for a reason, however many children or matters are held back; where no
    household is decided yet, it counts students instead.
    """

    reason: str
    families: int = Field(description="Households, or students where no household is decided.")


class Summary(BaseModel):
    """Everybody who was to be told."""

    told: list[Told]
    waiting: list[Waiting]
    held_back: list[HeldBack]
    sending: str = Field(description="Whether e-mails go out, and why or why not.")


class Preview(BaseModel):
    """Whom switching sending on would tell."""

    families: int = Field(description="Households, each once: also one that is told of several children.")
    told: list[Told]
    undecided: int = Field(
        description="Students for whom it is not decided yet whom to tell; sending stays off till then."
    )
    sending: str
    server: str | None = Field(description="Host and port of the mail server that would be used.")


class SwitchSending(BaseModel):
    """Switch sending on after seeing the preview, or off."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"on": True, "seen": 14}]})

    on: bool
    seen: int = Field(default=0, ge=0, description="How many families the preview named.")


class Switched(BaseModel):
    """How sending was switched."""

    on: bool
    server: str
    seen: int
    by: str
    at: datetime


class SwitchRead(BaseModel):
    """How sending was switched last; ``last`` is null if nobody ever did."""

    last: Switched | None


@router.get("/v1/summary", dependencies=[_DISTRICT])
async def read_summary(session: Session, runtime: RuntimeOf, now: Now) -> Summary:
    """Families told by channel and language, waiting until when, and held back for which reason."""
    gate = await gate_of(runtime)
    why = {"now": now} | {channel: gate.why_waits(channel) for channel in ("letter", "email")}
    shut = None if gate.letters or gate.server else gate.reason
    pending = [Waiting(until=until, families=n) for until, n in await session.execute(_PENDING, why)]
    held = [HeldBack(reason=r, families=n) for r, n in await session.execute(_HELD, why | {"undecided": shut})]
    undecided, _ = (await session.execute(_UNDECIDED)).one()
    if undecided and not shut:
        pending.append(Waiting(until=now, families=undecided))
    return Summary(told=await _counted(session, _TOLD), waiting=_by_time(pending), held_back=held, sending=gate.reason)


@router.get("/v1/preview", dependencies=[_DISTRICT])
async def read_preview(session: Session, runtime: RuntimeOf) -> Preview:
    """How many families would be told once sending is on."""
    gate, server = await gate_of(runtime), mail_server(runtime.settings.smtp_url)
    told = await _counted(session, _WOULD_BE_TOLD, mail=server is not None)
    undecided, _ = (await session.execute(_UNDECIDED)).one()
    return Preview(
        families=await _families(session, server),
        told=told,
        undecided=undecided,
        sending=gate.reason,
        server=server.name if server else None,
    )


@router.get("/v1/sending", dependencies=[_DISTRICT])
async def read_sending(session: Session, response: Response) -> SwitchRead:
    """How sending was switched last. Its ETag goes into If-Match of who switches it on."""
    last = await last_switch(session)
    response.headers["ETag"] = _version(last)
    return SwitchRead(last=Switched(**last.model_dump(exclude={"id"})) if last else None)


@router.post("/v1/sending", dependencies=[ONCE])
async def switch_sending(
    asked: SwitchSending,
    who: Annotated[Principal, require("district", second_factor=True, reads=["non_personal"], purpose="operations")],
    session: Session,
    runtime: RuntimeOf,
    now: Now,
    response: Response,
    expected: IfMatch = None,
) -> Switched:
    """Let letters be printed and e-mails go out through the configured mail server, or stop both. Who did so is kept.

    Whoever switches on names in ``If-Match`` the switch they saw, so that nobody undoes an *off* unseen; *off* needs no such thing.
    After a backup was restored, switching on says that a person has taken over what may have been sent since.
    """
    await session.execute(_ALONE)
    if asked.on or expected is not None:
        check_seen(expected, _version(await last_switch(session)))
    server = mail_server(runtime.settings.smtp_url)
    if asked.on:
        await _check_preview(session, server, asked.seen)
        await _reconcile(session, who.subject)
        await _check_decided(session)
    name = server.name if server else ""
    switch = Switch(on=asked.on, server=name, seen=asked.seen, by=who.subject, at=now)
    session.add(switch)
    await session.flush()
    response.headers["ETag"] = _version(switch)
    return Switched(on=asked.on, server=name, seen=asked.seen, by=who.subject, at=now)


def _version(last: Switch | None) -> str:
    return etag_of("switch", last.id if last else 0)


async def _check_preview(session: AsyncSession, server: MailServer | None, seen: int) -> None:
    if await _families(session, server) != seen:
        raise PreviewChanged


async def _check_decided(session: AsyncSession) -> None:
    """Refuse while somebody would be told whom no preview named. What is doubtful goes to a person in any case."""
    _, undecided = (await session.execute(_UNDECIDED)).one()
    if undecided:
        raise StillUndecided(undecided=undecided)


async def _families(session: AsyncSession, server: MailServer | None) -> int:
    families: int = (await session.execute(_FAMILIES, {"mail": server is not None})).scalar_one()
    return families


async def _reconcile(session: AsyncSession, by: str) -> None:
    if not await database_was_set_back(session):
        return
    if (await session.execute(_STILL_REPLAYING)).scalar_one():
        raise StillCatchingUp
    await acknowledge_set_back(session, by)
    await doubt_everything(session)


async def _counted(session: AsyncSession, statement: sa.TextClause, **given: bool) -> list[Told]:
    return [Told.model_validate(row) for row in (await session.execute(statement, given)).mappings()]


def _by_time(waiting: list[Waiting]) -> list[Waiting]:
    until: dict[datetime, int] = {}
    for each in waiting:
        until[each.until] = until.get(each.until, 0) + each.families
    return [Waiting(until=at, families=families) for at, families in sorted(until.items())]
