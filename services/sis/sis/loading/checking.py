"""The dry run: reads every file as the doors would, and pushes nothing."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from common.errors import DomainError
from common.json import parse
from sis.loading.door import As
from sis.loading.folder import CALENDAR_FILE, RESPONSES, STEPS, WINDOWS, Folder
from sis.loading.report import Report
from sis.loading.surveys import DISTRICT, IMPORTER
from sis.resources import NAMED
from sis.rows import read_deletion, read_row
from sis.rules.calendar import read_calendar
from sis.rules.members import InvalidMember

_EVERY_MANY = 500
_REQUIRED = {
    WINDOWS: ("key", "instrument", "schools", "opens_on", "closes_on", "audience"),
    RESPONSES: ("window", "studentUniqueId", "answered_on", "language", "answers"),
    STEPS: ("incident", "studentUniqueId", "facilitator", "step", "on"),
}
_PUSHED_AS = {WINDOWS: (DISTRICT,), RESPONSES: (IMPORTER,), STEPS: (As(), As("facilitator"))}
"""As whom a part is pushed that is not pushed as a SIS. No one token takes the steps of conferences."""

Check = Callable[[Any], object]


def check_folder(folder: Folder, report: Report, token: As | None = None) -> None:
    """Check every row by itself. Whether what it refers to is there, only the doors know.

    Parts that ``token`` may not push are left out, as the doors would have it; without one nothing is.
    """
    for name, check in _checks():
        if folder.has(name) and _may_push(token, name, report):
            _check_file(folder, report, name, check)
    body = folder.calendar()
    if body is not None and _may_push(token, CALENDAR_FILE, report):
        _check_calendar(body, report)


def _checks() -> Iterator[tuple[str, Check]]:
    for name, resource in NAMED.items():
        yield name, partial(read_row, resource)
        yield f"{name}.deletes", partial(read_deletion, resource)
    for name, members in _REQUIRED.items():
        yield name, partial(_require, members)


def _may_push(token: As | None, part: str, report: Report) -> bool:
    if token is None or all(token.covers(who) for who in _PUSHED_AS.get(part, (As(),))):
        return True
    report.leave_out(part)
    return False


def _check_file(folder: Folder, report: Report, name: str, check: Check) -> None:
    report.begin(name, folder.count(name))
    good = 0
    for line in folder.lines(name):
        try:
            check(parse(line.text))
        except DomainError as error:
            report.reject(f"{name}.jsonl", line.number, _reason(error))
        else:
            good += 1
            if good % _EVERY_MANY == 0:
                report.take(name, _EVERY_MANY)
    report.take(name, good % _EVERY_MANY)


def _check_calendar(body: bytes, report: Report) -> None:
    lines = max(0, len(body.splitlines()) - 1)
    report.begin(CALENDAR_FILE, lines)
    try:
        file = read_calendar(body)
    except DomainError as error:
        report.reject(CALENDAR_FILE, 0, _reason(error))
        return
    for line in file.rejected:
        report.reject(CALENDAR_FILE, line.line, f"{line.column} {line.rule}".strip())
    for (school, year), left in file.incomplete.items():
        report.leave_year(CALENDAR_FILE, school, year, left)
    report.take(CALENDAR_FILE, lines - len(file.rejected) - sum(file.incomplete.values()))


def _reason(error: DomainError) -> str:
    return "{field} {rule}".format(**error.facts) if isinstance(error, InvalidMember) else error.detail


def _require(members: tuple[str, ...], row: Any) -> None:
    for name in members:
        if not isinstance(row, dict) or row.get(name) is None:
            raise InvalidMember(field=f"$.{name}", rule="is required")
