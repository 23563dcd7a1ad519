"""What handlers and loops both write: occasions opened and withdrawn, and tasks for persons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from notifications.models import Notice

_NOTICES = uuid5(NAMESPACE_URL, "trellis:notices")


@dataclass(frozen=True, slots=True)
class Matter:
    """What can stand or not: a purpose with its ground, about one student."""

    student_id: UUID
    purpose: str
    ground: str


@dataclass(frozen=True, slots=True)
class Opening:
    """A matter that is to be told."""

    matter: Matter
    school_id: str
    effective_on: date

    @property
    def identity(self) -> UUID:
        """Always the same for the same thing to tell, also in a database that was restored."""
        return _identity(self.matter, self.effective_on)


def notice_identity(matter: Matter, effective_on: date, recipient: UUID) -> UUID:
    """The id of the notice to one recipient; the same in every copy of the database, as it becomes the Message-ID."""
    return uuid5(_identity(matter, effective_on), str(recipient))


def _identity(matter: Matter, effective_on: date) -> UUID:
    return uuid5(_NOTICES, "\n".join((str(matter.student_id), matter.purpose, matter.ground, effective_on.isoformat())))


_OPEN = sa.text(
    """
    INSERT INTO notifications_occasion (id, student_id, school_id, purpose, ground, effective_on, state, reason, doubtful)
    SELECT o.*, 'open', '', false
    FROM unnest(CAST(:ids AS uuid[]), CAST(:students AS uuid[]), CAST(:schools AS text[]), CAST(:purposes AS text[]),
                CAST(:grounds AS text[]), CAST(:days AS date[])) AS o(id, student_id, school_id, purpose, ground, effective_on)
    ON CONFLICT (student_id, purpose, ground, effective_on) DO UPDATE SET state = 'open', reason = '', ask_at = NULL
    WHERE notifications_occasion.state = 'cancelled'
    """
)
_MATTERS = """
    unnest(CAST(:students AS uuid[]), CAST(:purposes AS text[]), CAST(:grounds AS text[])) AS m(student_id, purpose, ground)
"""
_CANCEL_OCCASIONS = sa.text(
    f"""
    UPDATE notifications_occasion AS o SET state = 'cancelled', reason = 'withdrawn' FROM {_MATTERS}
    WHERE (o.student_id, o.purpose, o.ground) = (m.student_id, m.purpose, m.ground) AND o.state IN ('open', 'settled')
    """  # noqa: S608 (the text is ours)
)
_CANCEL_NOTICES = sa.text(
    f"""
    UPDATE notifications_notice AS n SET state = 'cancelled', reason = 'withdrawn' FROM {_MATTERS}
    WHERE (n.student_id, n.purpose, n.ground) = (m.student_id, m.purpose, m.ground) AND n.state IN ('pending', 'held')
    """  # noqa: S608 (the text is ours)
)
_ASK_ABOUT_TOLD = sa.text(
    f"""
    INSERT INTO notifications_task (id, kind, about, student_id, school_id, notice_id)
    SELECT gen_random_uuid(), 'withdrawn_after_told', n.id::text, n.student_id, n.school_id, n.id
    FROM notifications_notice AS n JOIN {_MATTERS}
      ON (n.student_id, n.purpose, n.ground) = (m.student_id, m.purpose, m.ground)
    WHERE n.state IN ('attempting', 'accepted', 'uncertain', 'delivered')
      AND n.effective_on = (SELECT max(o.effective_on) FROM notifications_occasion AS o
                            WHERE (o.student_id, o.purpose, o.ground) = (m.student_id, m.purpose, m.ground))
    ON CONFLICT (kind, about) DO NOTHING
    """  # noqa: S608 (the text is ours)
)
_TASK = sa.text(
    """
    INSERT INTO notifications_task (id, kind, about, student_id, school_id, notice_id)
    VALUES (:id, :kind, :about, CAST(:student AS uuid), :school, CAST(:notice AS uuid)) ON CONFLICT (kind, about) DO NOTHING
    """
)


_DOUBT = sa.text("UPDATE notifications_occasion SET doubtful = true WHERE state = 'open' AND NOT doubtful")


async def open_occasions(session: AsyncSession, openings: Sequence[Opening]) -> None:
    """Note what is to be told, each matter once. One that is there already stays as it is, unless it was withdrawn."""
    if openings:
        await session.execute(
            _OPEN,
            {
                "ids": [opening.identity for opening in openings],
                "schools": [opening.school_id for opening in openings],
                "days": [opening.effective_on for opening in openings],
                **_arrays([opening.matter for opening in openings]),
            },
        )


async def withdraw(session: AsyncSession, matters: Sequence[Matter]) -> None:
    """Cancel what was not sent yet about matters that no longer stand."""
    if matters:
        await session.execute(_CANCEL_OCCASIONS, _arrays(matters))
        await session.execute(_CANCEL_NOTICES, _arrays(matters))


async def ask_about_told(session: AsyncSession, matters: Sequence[Matter]) -> None:
    """Give a person a task for whoever was told what has now been taken back: no second message goes out by itself."""
    if matters:
        await session.execute(_ASK_ABOUT_TOLD, _arrays(matters))


async def add_task(
    session: AsyncSession,
    kind: str,
    about: object,
    *,
    student: UUID | None = None,
    school: str | None = None,
    notice: UUID | None = None,
) -> None:
    """Give a person a task, once for each kind and subject."""
    await session.execute(
        _TASK,
        {
            "id": uuid_utils.uuid7(),
            "kind": kind,
            "about": str(about),
            "student": student,
            "school": school,
            "notice": notice,
        },
    )


async def hold_for_person(session: AsyncSession, notice: Notice, reason: str) -> None:
    """Send nothing; a person decides."""
    notice.state, notice.reason = "held", reason
    await add_task(session, reason, notice.id, student=notice.student_id, school=notice.school_id, notice=notice.id)


async def call_uncertain(session: AsyncSession, notice: Notice, reason: str) -> None:
    """Nobody knows whether it was sent: it is never tried again by itself, a person finds out."""
    notice.state, notice.reason = "uncertain", reason
    await add_task(
        session, "uncertain", notice.id, student=notice.student_id, school=notice.school_id, notice=notice.id
    )


async def doubt_everything(session: AsyncSession) -> None:
    """Call everything unsent uncertain: after a backup was restored, nobody here knows what was sent since."""
    await session.execute(_DOUBT)
    rows = await session.execute(sa.select(Notice).where(col(Notice.state) == "pending").with_for_update())
    for notice in rows.scalars().all():
        await call_uncertain(session, notice, "after_restore")


def _arrays(matters: Sequence[Matter]) -> dict[str, Any]:
    return {
        "students": [matter.student_id for matter in matters],
        "purposes": [matter.purpose for matter in matters],
        "grounds": [matter.ground for matter in matters],
    }
