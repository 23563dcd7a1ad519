"""The print queue."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from fastapi import Response
from pydantic import BaseModel
from sqlmodel import col

from common.access import require, visible_to
from common.app import Router
from common.audit.writing import about
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.idempotency import repeatable
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import Now, RuntimeOf
from notifications.models import Letter, Notice
from notifications.routes.fields import TOLD
from notifications.sealing import open_pdf

router = Router("notifications")

Staff = Annotated[Principal, require("district", "principal", reads=TOLD, purpose="contact")]
Printer = Annotated[Principal, require("district", "principal", second_factor=True, reads=TOLD, purpose="contact")]


class LetterRead(BaseModel):
    """One letter in the print queue."""

    id: UUID
    student_id: UUID
    school_id: str
    language: str
    fallback: bool
    made_at: datetime
    printed_at: datetime | None


@router.get("/v1/letters")
async def list_letters(
    who: Staff, session: Session, printed: bool | None = None, limit: Limit = 100, cursor: Cursor = None
) -> Page[LetterRead]:
    """Letters of the schools the caller sees; with ``printed`` only those that were, or were not yet, printed."""
    asked = sa.true() if printed is None else col(Letter.printed_at).is_not(None) == printed
    letters = sa.select(Letter, Notice).join(Notice, col(Notice.id) == col(Letter.id))
    letters = letters.where(asked, visible_to(who, col(Letter.student_id)))
    rows = (await session.execute(keyset(letters, col(Letter.id), cursor, limit))).all()
    items = [
        LetterRead(
            **letter.model_dump(include=set(LetterRead.model_fields)),
            language=notice.language,
            fallback=notice.fallback,
        )
        for letter, notice in rows[:limit]
    ]
    return Page(items=items, next=next_of(rows, limit, lambda row: row[0].id))


@router.get(
    "/v1/letters/{letter_id}.pdf", response_class=Response, responses={200: {"content": {"application/pdf": {}}}}
)
async def read_letter(letter_id: UUID, who: Printer, session: Session, runtime: RuntimeOf) -> Response:
    """The letter as PDF, accessible (PDF/UA)."""
    letter = await _visible(session, who, letter_id)
    pdf = open_pdf(runtime.vault, letter.id, letter.pdf)
    return Response(pdf, media_type="application/pdf", headers={"Cache-Control": "no-store"})


@router.post("/v1/letters/{letter_id}/printed", status_code=204)
@repeatable("the first time counts")
async def record_printed(letter_id: UUID, who: Staff, session: Session, now: Now) -> None:
    """Note that the letter was printed, so that nobody prints it twice."""
    letter = await _visible(session, who, letter_id)
    letter.printed_at = letter.printed_at or now


async def _visible(session: Session, who: Principal, letter_id: UUID) -> Letter:
    found = await session.execute(
        sa.select(Letter).where(col(Letter.id) == letter_id, visible_to(who, col(Letter.student_id)))
    )
    letter = found.scalar_one_or_none()
    if letter is None:
        raise NotFound(what="letter")
    about(letter.student_id)
    return letter
