"""The one page that students see."""

from datetime import date
from typing import cast

from babel.dates import format_date
from fastapi.responses import HTMLResponse

from common.pages import Pages
from surveys.instruments import Instrument, Language
from surveys.rules import Answers, Door

_STATUS = {Door.NOT_YET: 409, Door.CLOSED: 410, Door.GONE: 404}
_PAGES = Pages("surveys")


def language_of(*wishes: str | None, accepted: str) -> Language:
    """The first wish that we speak, else the first language of an ``Accept-Language`` header that we speak, else English."""
    return cast(Language, _PAGES.language(*wishes, accepted=accepted))


def survey_page(
    instrument: Instrument, answers: Answers, language: Language, closes_on: date, *, saved: bool, check: bool
) -> HTMLResponse:
    """The questions, with the answers so far. ``check`` asks back because some questions are open."""
    numbered = enumerate(instrument.items, start=1)
    return _PAGES.page(
        "survey.html",
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
    return _PAGES.message(door.value, language, status=_STATUS.get(door, 200), **days)


def _day(on: date | None, language: Language) -> str:
    return format_date(on, "long", locale=language) if on else ""
