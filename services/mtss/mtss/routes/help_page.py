"""The page behind a personal link: a student or somebody of the family asks for help. It says nothing of anybody."""

from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID, uuid4, uuid5

import sqlalchemy as sa
from fastapi import Header, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from sqlmodel import col

from common.access import public
from common.app import Router
from common.db import Session
from common.errors import Invalid, SisterUnavailable
from common.idempotency import repeatable
from common.links import opened, opened_nothing
from common.pages import PRIVATE, Pages
from common.runtime import Runtime, RuntimeOf, Today
from common.scope import NOTHING
from mtss.contacts import may_be_told
from mtss.models import Author, HelpLink, HelpRequest, Student
from mtss.routes.help_requests import HelpAsked, take
from mtss.ruling import days_within

router = Router("mtss")

_LINK_IS_THE_KEY = public(
    "a personal link of 128 random bits is its own key", reads=["non_personal"], purpose="support", link="token"
)
_PAGES = Pages("mtss")
_STATUSES: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {"text/html": {}}}
    for status, meaning in (
        (404, "The link does not work."),
        (422, "There are no words, or too many."),
        (503, "Whether the link works cannot be found out at the moment."),
    )
}
_FIELDS = {name: {"type": "string"} for name in ("action", "once", "urgent", "words")}
_FORM = {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {"properties": _FIELDS}}}}}
AcceptLanguage = Annotated[str, Header(max_length=1000)]


@router.get("/v1/help/{token}", dependencies=[_LINK_IS_THE_KEY], response_class=HTMLResponse, responses=_STATUSES)
async def read_help_page(
    token: str,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    lang: str | None = None,
    sent: bool = False,
    urgent: bool = False,
    accept_language: AcceptLanguage = "",
) -> HTMLResponse:
    """Room for some words, and by when somebody takes them up."""
    language = _PAGES.language(lang, accepted=accept_language)
    try:
        link = await _working(runtime, token, today)
    except SisterUnavailable:
        return _PAGES.message("later", language, status=503)
    if link is None:
        return _PAGES.message("gone", language, status=404)
    within = await days_within(session, "help_answered", today)
    if not sent:
        return _form(link, language, within)
    return _PAGES.message("sent_urgent" if urgent else "sent", language, days=within)


@router.post(
    "/v1/help/{token}",
    dependencies=[_LINK_IS_THE_KEY],
    response_class=Response,  # leads back to the page, and has no content of its own
    status_code=303,
    responses=_STATUSES | {200: {"description": "The form in another language.", "content": {"text/html": {}}}},
    openapi_extra=_FORM,
)
@repeatable("the form carries an id of its own, and what it says under that id is there once")
async def ask_for_help_by_link(
    token: str,
    request: Request,
    session: Session,
    runtime: RuntimeOf,
    today: Today,
    lang: str | None = None,
    accept_language: AcceptLanguage = "",
) -> Response:
    """Ask for help, as staff do; or see the form in another language, with what was written so far."""
    language = _PAGES.language(lang, accepted=accept_language)
    try:
        link = await _working(runtime, token, today)
    except SisterUnavailable:
        return _PAGES.message("later", language, status=503)
    if link is None:  # a stranger's body is not read
        return _PAGES.message("gone", language, status=404)
    form = await request.form()
    action, words = (str(form.get(name, "")) for name in ("action", "words"))
    urgent = bool(form.get("urgent"))
    language = _PAGES.language(action.removeprefix("lang-"), lang, accepted=accept_language)
    within = await days_within(session, "help_answered", today)
    if (link := await opened(session, HelpLink, token, lock=True)) is None:
        return _PAGES.message("gone", language, status=404)
    if action != "send":
        return _form(link, language, within, words, urgent=urgent)
    try:
        asked = HelpAsked(words=words)
    except ValidationError:
        return _form(link, language, within, words, urgent=urgent, note="wrong", status=422)
    # Who goes back, writes more and sends again asks for something else.
    identity = uuid5(link.id, f"{_once(form.get('once'))} {urgent} {asked.words}")
    if await session.get(HelpRequest, identity) is None:
        made = HelpRequest(
            id=identity,
            student_id=link.student_id,
            asked_on=today,
            author=link.author,
            by=str(link.holder_id),
            urgent=urgent,
        )
        await take(session, runtime, made, asked.words)
    said = {"lang": language, "sent": "true"} | ({"urgent": "true"} if urgent else {})
    return RedirectResponse(f"?{urlencode(said)}", 303, PRIVATE)


async def _working(runtime: Runtime, token: str, today: date) -> HelpLink | None:
    """The link, if it works today: its student is enrolled, and the contact who has it may still be told something.

    sis is asked with no transaction open, for it may take a while.

    Raises:
        SisterUnavailable: sis does not answer.
    """
    async with runtime.transaction(lambda: NOTHING) as session:
        link = await opened(session, HelpLink, token)
        if link is None:
            return None
        if today > link.expires_on:
            opened_nothing(HelpLink, "it ran out")
            return None
        here = sa.exists().where(col(Student.student_id) == link.student_id, col(Student.enrolled))
        if not await session.scalar(sa.select(here)):
            opened_nothing(HelpLink, "its student left")
            return None
    if link.author == Author.FAMILY and not await may_be_told(runtime, link.student_id, link.holder_id):
        opened_nothing(HelpLink, "who has it may be told nothing")
        return None
    return link


def _form(
    link: HelpLink,
    language: str,
    within: int,
    words: str = "",
    *,
    urgent: bool = False,
    note: str = "",
    status: int = 200,
) -> HTMLResponse:
    facts = {"author": link.author, "once": uuid4(), "days": within, "words": words, "urgent": urgent, "note": note}
    return _PAGES.page("help.html", language, status=status, **facts)


def _once(given: object) -> UUID:
    try:
        return UUID(str(given))
    except ValueError:
        raise Invalid(field="once", rule="must be what the page put into it") from None
