"""A small HTTP client that costs little: connections kept open, one request at a time on each."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bench.parts.district import DAYS, SCHOOL_YEAR, District

JSON, LINES, CSV = "application/json", "application/jsonl", "text/csv"
BULK_ROWS = 500
ATTENDANCE = "studentSchoolAttendanceEvents"
_ABSENT = "uri://ed-fi.org/AttendanceEventCategoryDescriptor#Unexcused Absence"


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection to a server on this machine."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    token: str

    async def post(self, path: str, body: bytes, media_type: str = JSON) -> bytes:
        """The body of the answer, which must be one of success."""
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self.token}\r\n"
            f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + body)
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        answer = await self.reader.readexactly(length)
        assert status.split()[1] in {"200", "201"}, (status, answer)
        return answer

    async def push_lines(self, resource: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Push rows of one resource in bulk; the ids of their documents."""
        body = b"\n".join(json.dumps(row).encode() for row in rows)
        answers = [json.loads(line) for line in (await self.post(f"/sis/v1/bulk/{resource}", body, LINES)).splitlines()]
        assert all(answer["status"] in {200, 201} for answer in answers), answers
        return [answer["id"] for answer in answers]


@asynccontextmanager
async def connections(port: int, token: str, count: int) -> AsyncIterator[list[Connection]]:
    """So many open connections."""
    opened = [Connection(*await asyncio.open_connection("127.0.0.1", port), token) for _ in range(count)]
    try:
        yield opened
    finally:
        for each in opened:
            each.writer.close()


async def push_roster(door: Connection, district: District) -> list[str]:
    """Push schools, students, enrolments and the calendar; the ids of the students in their order."""
    schools = sorted({district.school(student) for student in range(len(district.students))})
    await door.push_lines("schools", ({"schoolId": school} for school in schools))
    students = iter({"studentUniqueId": unique_id(student)} for student in range(len(district.students)))
    ids: list[str] = []
    while some := list(islice(students, BULK_ROWS)):
        ids += await door.push_lines("students", some)
    enrolments = iter(_enrolment(district, student) for student in range(len(ids)))
    while some := list(islice(enrolments, BULK_ROWS)):
        await door.push_lines("studentSchoolAssociations", some)
    lines = [f"{school},{day},true,{SCHOOL_YEAR}\n" for school in schools for day in DAYS]
    calendar = "school_id,date,instructional,school_year\n" + "".join(lines)
    await door.post("/sis/v1/calendars", calendar.encode(), CSV)
    return ids


def unique_id(student: int) -> str:
    """The SIS's own number of the student at this place."""
    return f"{student + 100_000}"


def attendance(district: District, student: int, day: Any, missed: int) -> dict[str, Any]:
    """The Ed-Fi document that says what was missed, in hundredths."""
    return {
        "studentReference": {"studentUniqueId": unique_id(student)},
        "schoolReference": {"schoolId": int(district.school(student))},
        "eventDate": f"{day}",
        "attendanceEventCategoryDescriptor": _ABSENT,
        "eventDuration": missed / 100,
    }


def _enrolment(district: District, student: int) -> dict[str, Any]:
    return {
        "studentReference": {"studentUniqueId": unique_id(student)},
        "schoolReference": {"schoolId": int(district.school(student))},
        "entryDate": f"{DAYS[0]}",
    }
