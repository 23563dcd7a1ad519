"""The link in every e-mail that stops e-mail (RFC 8058). Opening it changes nothing: mail scanners open links."""

from importlib.resources import files
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment

from common.access import public
from common.app import Router
from common.db import Session
from common.idempotency import repeatable
from common.runtime import Now
from notifications.mailboxes import is_known, stop
from notifications.texts import TEXTS

router = Router(
    "notifications",
    dependencies=[
        public(
            "whoever holds the link owns the mailbox it was sent to, and stopping must need no account",
            reads=["non_personal"],
            purpose="contact",
            link="token",
        )
    ],
)

_PAGE = Environment(autoescape=True).from_string(
    files("notifications").joinpath("templates/unsubscribe.html").read_text(encoding="utf-8")
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
_MISSING: dict[int | str, dict[str, Any]] = {
    404: {"description": "The link is not known, has run out, or was taken back.", "content": {"text/html": {}}}
}


@router.get("/v1/unsubscribe/{token}", response_class=HTMLResponse, responses=_MISSING)
async def read_unsubscribe_page(token: str, session: Session, now: Now) -> HTMLResponse:
    """A page with one button. Looking at it changes nothing."""
    return _page("page_question", button=True) if await is_known(session, token, now) else _unknown()


@router.post("/v1/unsubscribe/{token}", response_class=HTMLResponse, responses=_MISSING)
@repeatable("a mailbox that gets nothing gets nothing again")
async def create_opt_out(token: str, session: Session, now: Now) -> HTMLResponse:
    """Send no more e-mail to the mailbox that got this link, at once; one click of a mail program is enough."""
    return _page("page_done") if await stop(session, token, now) else _unknown()


def _unknown() -> HTMLResponse:
    return _page("page_unknown", status=404)


def _page(text: str, *, button: bool = False, status: int = 200) -> HTMLResponse:
    page = _PAGE.render(languages=TEXTS.languages, text=text, button=button)
    return HTMLResponse(page, status_code=status, headers=_HEADERS)
