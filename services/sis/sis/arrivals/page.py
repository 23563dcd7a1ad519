"""The page of sources: rendered here, nothing from elsewhere, no script; to be read, printed and heard."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from fastapi.responses import HTMLResponse

from common.events import AlertKind
from common.pages import Report
from sis.arrivals.alerts import Alert
from sis.arrivals.overview import SourceResource
from sis.arrivals.reconciliation import EVER, Compared, OfAnother
from sis.rules.words import long_day, moment, span


def sources_page(
    lines: Sequence[SourceResource],
    alerts: Sequence[Alert],
    differing: Sequence[Compared],
    others: Sequence[OfAnother],
    at: datetime,
    *,
    told: bool,
) -> HTMLResponse:
    """What arrived and what did not, as it stands ``at`` this moment of school time; ``told`` if any source has told its counts."""
    return _REPORT.page(
        lines=lines,
        schools=[alert for alert in alerts if alert.kind is AlertKind.SCHOOL_NOT_SUBMITTED],
        silent=[alert for alert in alerts if alert.kind is AlertKind.SOURCE_SILENT],
        waiting=[alert for alert in alerts if alert.kind is AlertKind.ROWS_WAITING],
        to_mend=sum(line.rejected_open for line in lines),
        differing=differing,
        others=_by_source(others),
        told=told,
        names=defaultdict(str, {line.source: line.name or line.source for line in lines}),
        at=at,
        ever=EVER,
    )


def _by_source(others: Sequence[OfAnother]) -> list[tuple[str, str, list[str]]]:
    """Each source, another one by its name, and the schools of that one which the first leaves out."""
    schools: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for one in others:
        schools[one.source, one.name or one.whose][one.school_id] = None
    return [(*pair, list(some)) for pair, some in schools.items()]


def oldest(line: SourceResource) -> datetime | None:
    """Since when the oldest row waits, to be mended or for what it refers to."""
    return min((at for at in (line.oldest_rejected_at, line.oldest_waiting_at) if at), default=None)


_REPORT = Report("sis", "sources.html", oldest=oldest, long_day=long_day, moment=moment, span=span)
