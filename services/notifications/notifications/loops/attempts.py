"""Attempts: committed before the call, ended after it, and never ended twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.runtime import Runtime
from common.telemetry import record_delivery
from notifications import mailboxes
from notifications.ledger import call_uncertain, hold_for_person
from notifications.letters import LetterNotPrintable, letter_pdf
from notifications.mail import Answer, MailServer, e_mail, message_id
from notifications.models import Letter, Notice, Occasion
from notifications.policy import POLICY
from notifications.rules.caps import retry_at
from notifications.sealing import seal_pdf
from notifications.texts import Message

_WORKER = uuid4()

_BEGIN = sa.text(
    """
    INSERT INTO notifications_attempt
        (notice_id, number, channel, mailbox, worker, lease_until, state, words, reached, again, ended_at)
    SELECT :notice, 1 + count(*), :channel, CAST(:mailbox AS text), :worker, now() + make_interval(secs => :lease), CAST(:state AS text), :words,
        true, false, CASE WHEN CAST(:state AS text) = 'attempting' THEN NULL ELSE now() END
    FROM notifications_attempt WHERE notice_id = :notice
    RETURNING fence
    """
)
_END = sa.text(
    """
    UPDATE notifications_attempt SET state = :state, words = :words, reached = :reached, again = :again, ended_at = now()
    WHERE fence = :fence AND state = 'attempting' RETURNING fence
    """
)
_LEASES_OVER = sa.text(
    """
    UPDATE notifications_attempt SET state = 'uncertain', words = 'its worker did not come back', ended_at = now()
    WHERE state = 'attempting' AND lease_until < now() RETURNING notice_id
    """
)
_REFUSALS = sa.text(
    "SELECT count(*) FROM notifications_attempt WHERE notice_id = :notice AND state = 'rejected' AND reached AND again"
)
_GIVE_UP = sa.text(
    "UPDATE notifications_attempt SET again = false WHERE notice_id = :notice AND state = 'rejected' AND reached"
)


@dataclass(frozen=True, slots=True)
class Ready:
    """An e-mail whose attempt is committed: from here on it may have been sent."""

    notice_id: UUID
    fence: int
    mail: EmailMessage
    server: MailServer


async def begin_e_mail(
    session: AsyncSession, runtime: Runtime, notice: Notice, message: Message, email: str, server: MailServer
) -> Ready:
    """Write down that the notice is about to be sent to ``email``; the caller commits, then sends."""
    of = await mailboxes.digests(session, runtime.vault)
    token, link = mailboxes.stop_link(of.of(email), runtime.now())
    session.add(link)
    notice.state = "attempting"
    fence = await _begin(session, notice, channel="email", mailbox=link.mailbox, state="attempting", words="")
    sender = runtime.settings.mail_from
    mail = e_mail(
        message,
        sender=sender,
        recipient=email,
        message_id=message_id(notice.id, sender),
        stop_url=f"{runtime.settings.public_url.rstrip('/')}/notifications/v1/unsubscribe/{token}",
        at=runtime.now(),
    )
    return Ready(notice.id, fence, mail, server)


async def queue_letter(
    session: AsyncSession, runtime: Runtime, notice: Notice, message: Message, address: Sequence[str]
) -> None:
    """Put a letter into the print queue. That is a row of ours, so it is done or not, and never uncertain."""
    try:
        pdf = letter_pdf(message, address, runtime.today())
    except LetterNotPrintable:
        notice.told_on = None
        await hold_for_person(session, notice, "letter_not_printable")
        return
    letter = Letter(
        id=notice.id,
        student_id=notice.student_id,
        school_id=notice.school_id,
        pdf=seal_pdf(runtime.vault, notice.id, pdf),
        made_at=runtime.now(),
    )
    session.add(letter)
    notice.state = "accepted"
    await _begin(session, notice, channel="letter", mailbox=None, state="accepted", words="in the print queue")
    record_delivery(runtime.name, channel="letter", outcome="accepted")


async def _begin(session: AsyncSession, notice: Notice, **attempt: Any) -> int:
    values = {"notice": notice.id, "worker": _WORKER, "lease": POLICY.lease_seconds, **attempt}
    fence: int = (await session.execute(_BEGIN, values)).scalar_one()
    return fence


async def call_abandoned_uncertain(runtime: Runtime) -> None:
    """An attempt whose lease is over belongs to a worker that died or was stopped: it may have sent."""
    async with runtime.transaction() as session:
        for notice_id in (await session.execute(_LEASES_OVER)).scalars().all():
            await call_uncertain(session, await session.get_one(Notice, notice_id), "worker_did_not_come_back")


async def end_attempt(runtime: Runtime, begun: Ready, answer: Answer) -> None:
    """Record what became of an attempt, unless its lease was over and somebody else has spoken."""
    async with runtime.transaction() as session:
        words = {"state": answer.state, "words": answer.words, "reached": answer.reached, "again": answer.again}
        mine = await session.execute(_END, {"fence": begun.fence, **words})
        if mine.first() is None:
            return
        record_delivery(runtime.name, channel="email", outcome=answer.state)
        notice = await session.get_one(Notice, begun.notice_id, with_for_update=True)
        match answer.state:
            case "accepted":
                notice.state = "accepted"
            case "uncertain":
                await call_uncertain(session, notice, "no_clear_answer")
            case "rejected":
                await _after_rejection(session, runtime, notice, answer)


async def _after_rejection(session: AsyncSession, runtime: Runtime, notice: Notice, answer: Answer) -> None:
    """Nothing was sent: the notice waits again, for the same mailbox or for the next way."""
    occasion = await session.get_one(Occasion, notice.occasion_id)
    gone = occasion.state == "cancelled"
    notice.told_on = None
    notice.state, notice.reason = ("cancelled", "withdrawn") if gone else ("pending", "")
    if not (answer.again and answer.reached):
        return
    refusals: int = (await session.execute(_REFUSALS, {"notice": notice.id})).scalar_one()
    later = retry_at(refusals, runtime.now(), POLICY)
    if later is None:
        await session.execute(_GIVE_UP, {"notice": notice.id})
    notice.not_before = later or runtime.now()
