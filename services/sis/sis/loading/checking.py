"""The dry run: reads every file as the doors would, and pushes nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

from common.errors import DomainError
from common.json import parse
from sis.loading.folder import CALENDAR_FILE, RESPONSES, STEPS, WINDOWS, Folder
from sis.loading.report import Report
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

Check = Callable[[Any], object]


def check_folder(folder: Folder, report: Report) -> None:
    """Check every row by itself. Whether what it refers to is there, only the doors know."""
    for name, resource in NAMED.items():
        _check_file(folder, report, name, partial(read_row, resource))
        _check_file(folder, report, f"{name}.deletes", partial(read_deletion, resource))
    for name, members in _REQUIRED.items():
        _check_file(folder, report, name, partial(_require, members))
    body = folder.calendar()
    if body is not None:
        _check_calendar(body, report)


def _check_file(folder: Folder, report: Report, name: str, check: Check) -> None:
    if not folder.has(name):
        return
    report.begin(name, folder.count(name))
    good = 0
    for line in folder.lines(name):
        try:
            check(parse(line.text))
        except DomainError as error:
            reason = "{field} {rule}".format(**error.facts) if isinstance(error, InvalidMember) else error.detail
            report.reject(f"{name}.jsonl", line.number, reason)
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
        report.reject(CALENDAR_FILE, 1, error.detail)
        return
    for line in file.rejected:
        report.reject(CALENDAR_FILE, line.line, f"{line.column} {line.rule}".strip())
    for (school, year), left in file.incomplete.items():
        report.leave_year(CALENDAR_FILE, school, year, left)
    report.take(CALENDAR_FILE, lines - len(file.rejected) - sum(file.incomplete.values()))


def _require(members: tuple[str, ...], row: Any) -> None:
    for name in members:
        if not isinstance(row, dict) or row.get(name) is None:
            raise InvalidMember(field=f"$.{name}", rule="is required")
