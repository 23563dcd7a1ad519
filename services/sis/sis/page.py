"""The page of sources: rendered here, nothing from elsewhere, no script; to be read, printed and heard."""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from sis.alerts import Alert, AlertKind
from sis.overview import SourceLine
from sis.reconciliation import EVER, Compared

_pages = Environment(
    loader=PackageLoader("sis"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def sources_page(
    lines: Sequence[SourceLine], alerts: Sequence[Alert], differing: Sequence[Compared], at: datetime
) -> HTMLResponse:
    """What arrived and what did not, as it stands ``at`` this moment of school time."""
    nonce = secrets.token_urlsafe(16)
    html = _pages.get_template("sources.html").render(
        lines=lines,
        schools=[alert for alert in alerts if alert.kind is AlertKind.SCHOOL_NOT_SUBMITTED],
        silent=[alert for alert in alerts if alert.kind is AlertKind.SOURCE_SILENT],
        differing=differing,
        names=defaultdict(str, {line.source: line.name or line.source for line in lines}),
        at=at,
        ever=EVER,
        nonce=nonce,
    )
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, headers=_HEADERS | {"Content-Security-Policy": policy})


def long_day(day: date) -> str:
    """A day as people write it, such as 29 January 2027."""
    return f"{day.day} {day:%B %Y}"


def moment(at: datetime | None, now: datetime) -> str:
    """A moment in the time zone of ``now``, such as 29 Jan, 16:04; with the year if it is another one."""
    if at is None:
        return "–"
    local = at.astimezone(now.tzinfo)
    return f"{local.day} {local:%b}{'' if local.year == now.year else f' {local.year}'}, {local:%H:%M}"


def span(seconds: int) -> str:
    """A length of time in its largest fitting unit, such as 3 h or 12 days."""
    for unit, length in (("days", 2 * 86_400), ("h", 2 * 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // (86_400 if unit == 'days' else 3600 if unit == 'h' else 60)} {unit}"
    return "now"


def oldest(line: SourceLine) -> datetime | None:
    """Since when the oldest row waits, to be mended or for what it refers to."""
    return min((at for at in (line.oldest_rejected_at, line.oldest_waiting_at) if at), default=None)


_pages.filters.update(oldest=oldest, long_day=long_day, moment=moment, span=span)
