"""The rule of becoming targeted by absence, read from a folder's raw rows as plainly as can be."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

ABSENCES = {"Excused Absence", "Unexcused Absence"}


def rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """The rows of one file; none if it is not there."""
    path = folder / f"{name}.jsonl"
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def code(descriptor: str) -> str:
    """What stands after the ``#``."""
    return descriptor.rpartition("#")[2]


def instructional_days(folder: Path) -> dict[str, list[date]]:
    """The instructional days of each school, ascending."""
    days = defaultdict(list)
    with (folder / "calendar.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["instructional"] == "true":
                days[row["school_id"]].append(date.fromisoformat(row["date"]))
    return {school: sorted(found) for school, found in days.items()}


def attendance_key(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """The natural key of an attendance row."""
    return (
        row["studentReference"]["studentUniqueId"],
        str(row["schoolReference"]["schoolId"]),
        str(row.get("sessionReference")),
        row["eventDate"],
        row["attendanceEventCategoryDescriptor"],
    )


def missed(folder: Path) -> dict[str, dict[date, Fraction]]:
    """How much of which day each student missed, with corrections and deletions applied."""
    standing: dict[Any, dict[str, Any]] = {}
    for row in rows(folder, "studentSchoolAttendanceEvents"):
        standing[attendance_key(row)] = row
    for row in rows(folder, "studentSchoolAttendanceEvents.deletes"):
        del standing[attendance_key(row)]
    result: dict[str, dict[date, Fraction]] = defaultdict(dict)
    for (student, _, _, on, category), row in standing.items():
        usual = 1 if code(category) in ABSENCES else 0
        fraction = Fraction(row.get("eventDuration", usual))
        day = date.fromisoformat(on)
        result[student][day] = max(fraction, result[student].get(day, Fraction(0)))
    return result


def entry_days(days: list[date], absent: dict[date, Fraction]) -> list[date]:
    """The days on which 10 percent of at least 20 days is reached; it ends on the 20th day in a row under 8 percent."""
    entries, total, stands, run = [], Fraction(0), False, 0
    for enrolled, day in enumerate(days, start=1):
        total += absent.get(day, Fraction(0))
        if not stands and enrolled >= 20 and total >= Fraction(enrolled, 10):
            stands, run = True, 0
            entries.append(day)
        elif stands:
            run = run + 1 if total < Fraction(8 * enrolled, 100) else 0
            stands = run < 20
    return entries


def told_by_mail(folder: Path) -> set[str]:
    """Students all of whose contacts are unrestricted, and one of whom has an e-mail address nobody else's contact has."""
    mails: dict[str, set[str]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    addresses = {
        row["contactUniqueId"]: {mail["electronicMailAddress"] for mail in row.get("electronicMails", [])}
        for row in rows(folder, "contacts")
    }
    restricted = set()
    for row in rows(folder, "studentContactAssociations"):
        student = row["studentReference"]["studentUniqueId"]
        for mail in addresses[row["contactReference"]["contactUniqueId"]]:
            mails[student].add(mail)
            readers[mail].add(student)
        if row.get("contactRestrictions"):
            restricted.add(student)
    return {
        student
        for student, found in mails.items()
        if student not in restricted and any(readers[mail] == {student} for mail in found)
    }
