"""The page behind a personal link: read it, save answers, send them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import sqlalchemy as sa
from fastapi import Header, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import public
from common.app import Router
from common.db import Session, transaction_time
from common.errors import Invalid
from common.idempotency import repeatable
from common.links import opened, opened_nothing
from common.pages import PRIVATE
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from surveys import models, rules
from surveys.instruments import Instrument, Language, instrument_named
from surveys.page import language_of, message_page, survey_page
from surveys.routes.recording import Given, record
from surveys.rules import Answers, Door

router = Router("surveys")

_LINK_IS_THE_KEY = public(
    "a personal link of 128 random bits is its own key", reads=["survey_answer"], purpose="support", link="token"
)
_SKIP = "skip"
_PAGES: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {"text/html": {}}}
    for status, meaning in ((404, "The link does not work."), (409, "Not open yet."), (410, "Not open any more."))
}
_FIELDS = {"type": "object", "properties": {"action": {"type": "string"}}, "additionalProperties": {"type": "string"}}
_FORM = {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": _FIELDS}}}}
AcceptLanguage = Annotated[str, Header(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a link leads to, and for whom."""

    window: models.Window
    student_id: UUID
    school_id: str | None
    door: Door
    draft: models.Draft | None

    @property
    def instrument(self) -> Instrument:
        """What is asked."""
        return instrument_named(self.window.instrument)

    def answers(self, vault: Vault) -> Answers:
        """The answers saved so far."""
        saved: Answers = json.loads(models.unseal(vault, self.draft)) if self.draft else {}
        return saved


@router.get("/v1/answer/{token}", dependencies=[_LINK_IS_THE_KEY], response_class=HTMLResponse, responses=_PAGES)
async def read_survey(
    token: str,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    lang: str | None = None,
    saved: bool = False,
    check: bool = False,
    accept_language: AcceptLanguage = "",
) -> HTMLResponse:
    """The questions with the answers saved so far, or why there are none."""
    invitation = await _invitation(session, token, today)
    draft = invitation.draft if invitation else None
    language = language_of(lang, draft.language if draft else None, accepted=accept_language)
    if invitation is None or invitation.door is not Door.OPEN:
        return _closed_door(invitation, language)
    answers, closes_on = invitation.answers(runtime.vault), invitation.window.closes_on
    return survey_page(invitation.instrument, answers, language, closes_on, saved=saved, check=check)


@router.post(
    "/v1/answer/{token}",
    dependencies=[_LINK_IS_THE_KEY],
    response_class=Response,  # leads back to the page, and has no content of its own
    status_code=303,
    responses=_PAGES,
    openapi_extra=_FORM,
)
@repeatable("a student has one draft and one response, which the same form leaves as they are")
async def save_answers(
    token: str,
    request: Request,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    lang: str | None = None,
    accept_language: AcceptLanguage = "",
) -> Response:
    """Save what the form holds; send it if the student says so and nothing is open, or says to send it as it is."""
    language = language_of(lang, accepted=accept_language)
    invitation = await _invitation(session, token, today, to_answer=True)
    if invitation is None or invitation.door not in (Door.OPEN, Door.ANSWERED):
        return _closed_door(invitation, language)
    action, answers = _form(await request.form(), invitation.instrument)
    language = language_of(action.removeprefix("lang-"), language, accepted="")
    if invitation.door is Door.ANSWERED:
        return _back(lang=language)
    if action == "send-as-is" or (action == "send" and len(answers) == len(invitation.instrument.items)):
        await _send(session, runtime.vault, invitation, answers, language, today)
        return _back(lang=language)
    await _save(session, runtime.vault, invitation, answers, language)
    asked = {"send": {"check": "true"}, "save": {"saved": "true"}}.get(action, {})
    return _back(lang=language, **asked)


async def _invitation(session: AsyncSession, token: str, today: date, *, to_answer: bool = False) -> Invitation | None:
    """What this token opens, ``None`` if it was never issued or is revoked.

    ``to_answer`` locks the link, so that a student's own requests wait for one another, and shares the window with
    other students; an import holds the window alone.
    """
    link = await opened(session, models.Link, token, lock=to_answer)
    if link is None:
        return None
    lock = {"read": True} if to_answer else None
    window = await session.get_one(models.Window, link.window_id, with_for_update=lock)
    return await _invited(session, window, link.student_id, today)


async def _invited(session: AsyncSession, window: models.Window, student_id: UUID, today: date) -> Invitation:
    mine = (window.id, student_id)
    enrolments = await session.execute(
        sa.select(models.Enrolment).where(models.enrolled(window), col(models.Enrolment.student_id) == student_id)
    )
    school = rules.school_on([row.rule() for row in enrolments.scalars()], today)
    notice = window.rule().notice
    door = rules.door(
        window.rule().stage(today),
        answered=await session.get(models.Response, mine) is not None,
        allowed=notice is not None and rules.may_answer(notice, await _consent(session, window, student_id)),
        enrolled=school is not None,
    )
    return Invitation(window, student_id, school, door, await session.get(models.Draft, mine))


async def _consent(session: AsyncSession, window: models.Window, student_id: UUID) -> rules.ConsentState | None:
    standing = models.standing_consents(window.id)
    state = await session.scalar(sa.select(standing.c.state).where(standing.c.student_id == student_id))
    return rules.ConsentState(state) if state else None


def _closed_door(invitation: Invitation | None, language: Language) -> HTMLResponse:
    if invitation is None:
        return message_page(Door.GONE, language)
    if invitation.door in (Door.CLOSED, Door.GONE):
        opened_nothing(models.Link, f"its door is {invitation.door}")
    return message_page(invitation.door, language, invitation.window.opens_on, invitation.window.closes_on)


def _form(fields: Mapping[str, object], instrument: Instrument) -> tuple[str, Answers]:
    """The button that was pressed, and the answers: a number, or ``None`` for *prefer not to answer*."""
    answers = {item.key: _answer(item.key, fields[item.key]) for item in instrument.items if item.key in fields}
    rules.check_answers(instrument.scoring_key(), answers)
    return str(fields.get("action", "save")), answers


def _answer(item: str, value: object) -> int | None:
    if value == _SKIP:
        return None
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 3):
        raise Invalid(field=f"answers.{item}", rule="must be a whole number or skip")
    return int(value)


async def _save(
    session: AsyncSession, vault: Vault, invitation: Invitation, answers: Answers, language: Language
) -> None:
    window, student = invitation.window.id, invitation.student_id
    state = {
        "answers": models.seal(vault, models.Draft, window, student, json.dumps(answers)),
        "language": language,
        "saved_at": await transaction_time(session),
    }
    draft = insert(models.Draft).values(window_id=window, student_id=student, **state)
    await session.execute(draft.on_conflict_do_update(index_elements=["window_id", "student_id"], set_=state))


async def _send(
    session: AsyncSession, vault: Vault, invitation: Invitation, answers: Answers, language: Language, today: date
) -> None:
    given = Given(invitation.student_id, str(invitation.school_id), today, language, "online", answers)
    await record(session, vault, invitation.window, [given])


def _back(**query: str) -> RedirectResponse:
    """Back to the page by GET, so that reloading it sends nothing twice."""
    return RedirectResponse(f"?{urlencode(query)}", 303, PRIVATE)
