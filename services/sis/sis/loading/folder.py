"""The folder that is pushed: JSON lines named after the resources, read one line at a time."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from sis.policy import CALENDAR
from sis.resources import RESOURCES
from sis.rules.members import value_at

WAVES = (
    ("schools", "staffs", "students", "contacts"),
    (
        "staffEducationOrganizationAssignmentAssociations",
        "studentSchoolAssociations",
        "studentContactAssociations",
        "calendarDates",
    ),
    ("studentSchoolAttendanceEvents", "disciplineIncidents"),
    ("studentDisciplineIncidentBehaviorAssociations",),
    ("disciplineActions",),
)
"""Resources of one wave do not refer to each other; each refers only to earlier waves."""

CALENDAR_FILE = "calendar.csv"
WINDOWS, RESPONSES, STEPS = "surveyWindows", "surveyResponses", "conferenceSteps"
_ATTENDANCE = "studentSchoolAttendanceEvents"
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
        every = [*RESOURCES, *(f"{name}.deletes" for name in RESOURCES), WINDOWS, RESPONSES, STEPS]
        found = [f"{name}.jsonl" for name in every if self.has(name)]
        return [*found, CALENDAR_FILE] if (self.path / CALENDAR_FILE).exists() else found

    def days_to_close(self, today: date) -> dict[str, date]:
        """For each school its last instructional day on or before the newest attendance row, and not after today."""
        newest = max((str(line.value().get("eventDate", "")) for line in self._attendance()), default="")
        through = min(newest, today.isoformat())
        last: dict[str, str] = {}
        for school, day in self._instructional_days():
            if last.get(school, "") < day <= through:
                last[school] = day
        return {school: date.fromisoformat(day) for school, day in sorted(last.items())}

    def _attendance(self) -> Iterator[Line]:
        return self.lines(_ATTENDANCE) if self.has(_ATTENDANCE) else iter(())

    def _instructional_days(self) -> Iterator[tuple[str, str]]:
        body = self.calendar()
        if body is not None:
            for row in csv.DictReader(body.decode("utf-8-sig", "replace").splitlines()):
                cells = {(name or "").strip().lower(): (cell or "").strip() for name, cell in row.items() if name}
                if cells.get("instructional", "").lower() in ("true", "1", "yes") and _is_day(cells.get("date", "")):
                    yield cells.get("school_id", ""), cells["date"]
        for line in self.lines("calendarDates") if self.has("calendarDates") else ():
            row_ = line.value()
            events = [str(value_at(event, "calendarEventDescriptor")) for event in row_.get("calendarEvents") or ()]
            if CALENDAR.is_instructional(events) and _is_day(row_.get("date")):
                yield str(value_at(row_, "calendarReference.schoolId")), row_["date"]

    def _lines_path(self, name: str) -> Path:
        return self.path / f"{name}.jsonl"


def calendars_of(body: bytes, largest: int) -> Iterator[bytes]:
    """A calendar file in parts of at most ``largest`` bytes if it is larger; all lines of a school stay together."""
    if len(body) <= largest:
        yield body
        return
    header, *lines = body.splitlines(keepends=True)
    schools: dict[bytes, list[bytes]] = defaultdict(list)
    for line in lines:
        schools[line.partition(b",")[0]].append(line)
    part, size = [header], len(header)
    for of_school in schools.values():
        more = sum(map(len, of_school))
        if len(part) > 1 and size + more > largest:
            yield b"".join(part)
            part, size = [header], len(header)
        part += of_school
        size += more
    yield b"".join(part)


def _is_day(value: Any) -> bool:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True
