"""The folder that is pushed: JSON lines named after the resources, read one line at a time."""

import csv
import json
from collections import defaultdict
from collections.abc import Container, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import DomainError
from sis.policy import CALENDAR
from sis.resources import NAMED, RESOURCES
from sis.rows import read_row
from sis.rules.calendar import read_calendar
from sis.rules.members import BrokenRule
from sis.rules.values import day, identifier

CALENDAR_FILE = "calendar.csv"
WINDOWS, RESPONSES, STEPS = "surveyWindows", "surveyResponses", "conferenceSteps"
ATTENDANCE = "studentSchoolAttendanceEvents"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line of a file that says something, and its number from 1."""

    number: int
    text: bytes

    def value(self) -> dict[str, Any]:
        """What the line says; empty if that is no JSON object, which whoever gets the line will say."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


class Folder:
    """A folder of exported files. Any file may be missing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Whether there is a file of JSON lines of this name."""
        return self._lines_path(name).exists()

    def count(self, name: str) -> int:
        """How many lines a file has, to know how far one is."""
        with self._lines_path(name).open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))

    def lines(self, name: str) -> Iterator[Line]:
        """The lines of a file that hold something."""
        with self._lines_path(name).open("rb") as file:
            for number, text in enumerate(file, start=1):
                stripped = text.removeprefix(_BYTE_ORDER_MARK).strip() if number == 1 else text.strip()
                if stripped:
                    yield Line(number, stripped)

    def calendar(self) -> bytes | None:
        """The calendar file, if there is one."""
        path = self.path / CALENDAR_FILE
        return path.read_bytes() if path.exists() else None

    def known_names(self) -> list[str]:
        """The names of all files that would be pushed."""
        every = [*NAMED, *(f"{name}.deletes" for name in NAMED), WINDOWS, RESPONSES, STEPS]
        found = [f"{name}.jsonl" for name in every if self.has(name)]
        return [*found, CALENDAR_FILE] if (self.path / CALENDAR_FILE).exists() else found

    def unread_names(self) -> list[str]:
        """The names of files that nothing here reads, such as a misspelled resource."""
        known = set(self.known_names())
        return sorted(
            path.name
            for path in self.path.iterdir()
            if path.is_file() and path.name not in known and not path.name.startswith(".")
        )

    def days_to_close(self, today: date, *, without: Container[int] = frozenset()) -> dict[str, date]:
        """For each school its last instructional day on or before the newest attendance row that is not after today.

        Rows dated after today, undated ones and lines ``without`` close nothing.
        """
        rows = (_day(line.value().get("eventDate")) for line in self._attendance() if line.number not in without)
        newest = max((on for on in rows if on is not None and on <= today), default=date.min)
        last: dict[str, date] = {}
        for school, on in self._instructional_days():
            if on <= newest and on > last.get(school, date.min):
                last[school] = on
        return dict(sorted(last.items()))

    def _attendance(self) -> Iterator[Line]:
        return self.lines(ATTENDANCE) if self.has(ATTENDANCE) else iter(())

    def _instructional_days(self) -> Iterator[tuple[str, date]]:
        with suppress(DomainError):  # whoever got the file has said so
            for (school, _), days in read_calendar(self.calendar() or b"").years.items():
                for on in days:
                    yield school, on
        for line in self.lines("calendarDates") if self.has("calendarDates") else ():
            with suppress(DomainError):
                body = read_row(RESOURCES["calendarDates"], line.value()).content.body
                events = (event["calendarEventDescriptor"] for event in body["calendarEvents"])
                if CALENDAR.is_instructional(events):
                    yield body["calendarReference"]["schoolId"], date.fromisoformat(body["date"])

    def _lines_path(self, name: str) -> Path:
        return self.path / f"{name}.jsonl"


def calendars_of(body: bytes, largest: int) -> Iterator[bytes]:
    """A calendar file in parts of at most ``largest`` bytes if it is larger; all lines of a school stay together."""
    if len(body) <= largest:
        yield body
        return
    header, *lines = body.splitlines(keepends=True)
    names = [name.strip().lower() for name in _cells(header.removeprefix(_BYTE_ORDER_MARK))]
    column = names.index("school_id") if "school_id" in names else 0
    schools: dict[str, list[bytes]] = defaultdict(list)
    for line in lines:
        schools["".join(_cells(line)[column : column + 1]).strip()].append(line)
    part, size = [header], len(header)
    for of_school in schools.values():
        more = sum(map(len, of_school))
        if len(part) > 1 and size + more > largest:
            yield b"".join(part)
            part, size = [header], len(header)
        part += of_school
        size += more
    yield b"".join(part)


def as_text(value: Any) -> str:
    """An identifier as the doors read it; whatever else there is, as some text."""
    try:
        return identifier(value)
    except BrokenRule:
        return str(value)


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode("utf-8", "replace")]), [])
    except csv.Error:
        return []


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(day(value))
    except BrokenRule:
        return None
