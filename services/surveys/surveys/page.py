"""The one page that students see: rendered here, nothing from elsewhere, nothing kept by the browser."""

import json
import secrets
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from babel.core import negotiate_locale
from babel.dates import format_date
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from surveys.instruments import Instrument, Language
from surveys.rules import Answers, Door

_STATUS = {Door.NOT_YET: 409, Door.CLOSED: 410, Door.GONE: 404}
_pages = Environment(
    loader=PackageLoader("surveys"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@cache
def _texts() -> dict[Language, dict[str, str]]:
    texts: dict[Language, dict[str, str]] = json.loads(files("surveys").joinpath("templates/texts.json").read_bytes())
    return texts


def language_of(*wishes: str | None, accepted: str) -> Language:
    """The first wish that we speak, else the first language of an ``Accept-Language`` header that we speak, else English."""
    offered = [wish for wish in wishes if wish] + [part.split(";")[0].strip() for part in accepted.split(",")]
    found = negotiate_locale(offered, list(_texts()), sep="-")
    return next((language for language in _texts() if language == found), "en")


def survey_page(
    instrument: Instrument, answers: Answers, language: Language, closes_on: date, *, saved: bool, check: bool
) -> HTMLResponse:
    """The questions, with the answers so far. ``check`` asks back because some questions are open."""
    numbered = enumerate(instrument.items, start=1)
    return _page(
        "survey.html",
        200,
        language,
        instrument=instrument,
        answers=answers,
        open_items=[(number, item) for number, item in numbered if item.key not in answers],
        closes=_day(closes_on, language),
        saved=saved,
        check=check,
    )


def message_page(
    door: Door, language: Language, opens_on: date | None = None, closes_on: date | None = None
) -> HTMLResponse:
    """What somebody reads who cannot answer, or has."""
    days = {"opens": _day(opens_on, language), "closes": _day(closes_on, language)}
    return _page("message.html", _STATUS.get(door, 200), language, message=door.value, **days)


def _page(template: str, status: int, language: Language, **facts: Any) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    texts = _texts()
    html = _pages.get_template(template).render(
        facts,
        lang=language,
        languages={code: text["name"] for code, text in texts.items()},
        texts=texts[language],
        nonce=nonce,
    )
    return HTMLResponse(html, status, _headers(nonce))


def _headers(nonce: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return PRIVATE | {"Content-Security-Policy": policy, "Vary": "Accept-Language"}


PRIVATE = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
"""The headers of everything behind a personal link: whoever finds this browser later finds nothing."""


def _day(on: date | None, language: Language) -> str:
    return format_date(on, "long", locale=language) if on else ""
