"""What a survey came to, as a page to read or print."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from babel.dates import format_date
from fastapi.responses import HTMLResponse

from common.pages import Report
from surveys.instruments import instrument_named


def results_page(told: Mapping[str, Any], opens_on: date, closes_on: date, counted_on: date) -> HTMLResponse:
    """The page of one school's results, of which it says what ``told`` does; sections of which nothing is told are counted."""
    instrument = instrument_named(told["instrument"])
    key = instrument.scoring_key()
    subscales = key.subscales()
    sections = [each for each in told["sections"] if each["answered"] is not None]
    return _REPORT.page(
        told=told,
        instrument=instrument,
        names=sorted(subscales),
        ends={name: key.ends(items[0]) for name, items in subscales.items()},
        sections=sections,
        untold=len(told["sections"]) - len(sections),
        opens_on=opens_on,
        closes_on=closes_on,
        counted_on=counted_on,
    )


def _long_day(day: date) -> str:
    return format_date(day, "d MMMM y", locale="en")


_REPORT = Report("surveys", "results.html", long_day=_long_day)
