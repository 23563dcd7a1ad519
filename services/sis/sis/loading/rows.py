"""Pushing Ed-Fi rows: in bulk or one by one, resource after resource."""

import asyncio
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from sis.loading.door import Door, NotPermitted, Refused, jsonl, reason_of
from sis.loading.folder import ATTENDANCE, CALENDAR_FILE, RESPONSES, STEPS, Folder, Line, as_text, calendars_of
from sis.loading.lanes import in_lanes
from sis.loading.report import Report
from sis.policy import BULK_ROWS
from sis.resources import NAMED, RESOURCES, WAVES
from sis.rules.members import value_at

_LANES, _SINGLE_LANES = 4, 16
_IN_FLIGHT = 8
_LARGEST_CALENDAR = 3_000_000
_WAITING_PAGE = 500
_DONE = frozenset({200, 201, 204})
_GONE_ALREADY = 404


@dataclass
class Pusher:
    """Pushes the Ed-Fi part of a folder and remembers our ids of students and staff for what comes after."""

    door: Door
    folder: Folder
    report: Report
    single: bool = False
    replace: bool = False
    """Whether the calendar may take a large part of a school year's days away."""
    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    not_attended: set[int] = field(default_factory=set)
    """Lines of the attendance file that were rejected or wait: they close no day."""
    waiting: dict[str, tuple[str, int]] = field(default_factory=dict)
    """File and line of the rows that were to wait, by id."""
    _in_flight: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_IN_FLIGHT))

    async def push_all(self) -> None:
        """Push every resource in dependency order, then the calendar's school days, then deletions the other way round."""
        for wave in WAVES:
            async with asyncio.TaskGroup() as group:
                for name in _names(wave):
                    group.create_task(self._push_file(name, name))
                if "calendarDates" in wave:
                    group.create_task(self._push_calendar())
        for wave in reversed(WAVES):
            for name in _names(wave):
                await self._push_file(f"{name}.deletes", name)
        await self._list_waiting()

    def remembers(self, resource: str) -> bool:
        """Whether what comes after the rows asks for our ids of this resource."""
        return resource in ("students", "staffs") and (self.folder.has(RESPONSES) or self.folder.has(STEPS))

    async def id_of(self, resource: str, unique_id: str) -> str | None:
        """Our id of a student or member of staff by the SIS's number; ``None`` if there is none."""
        key = resource, unique_id
        if key not in self.ids:
            name = RESOURCES[resource].identity[0]
            found = (await self.door.send("GET", f"/sis/data/v3/ed-fi/{resource}", params={name: unique_id})).json()
            if not found:
                return None
            self.ids[key] = found[0]["id"]
        return self.ids[key]

    async def _push_file(self, file: str, resource: str) -> None:
        if not self.folder.has(file):
            return
        self.report.begin(file, self.folder.count(file))
        part = _Part(self, file, resource)
        one_by_one = self.single and not part.deletes
        push = part.push_single if one_by_one else part.push_bulk
        lanes, at_once = (_SINGLE_LANES, 1) if one_by_one else (_LANES, BULK_ROWS)
        await in_lanes(part.keyed_lines(), push, lanes=lanes, at_once=at_once)
        if part.left_out:
            self.report.leave_out(file)

    async def _list_waiting(self) -> None:
        """Tell which rows of this folder still wait; most do not, for what they waited for has come meanwhile."""
        asked: dict[str, str | int] = {"all": "true", "limit": _WAITING_PAGE}
        while self.waiting:
            page = (await self.door.send("GET", "/sis/v1/waiting", params=asked)).json()
            for item in page["items"]:
                file, line = self.waiting.pop(item["id"], (None, 0))
                if file == ATTENDANCE:
                    self.not_attended.add(line)
                if file:
                    self.report.wait(f"{file}.jsonl", line, item["waits_for"])
            if page["next"] is None:
                return
            asked["cursor"] = page["next"]

    async def _push_calendar(self) -> None:
        body = self.folder.calendar()
        if body is None:
            return
        self.report.begin(CALENDAR_FILE, max(0, len(body.splitlines()) - 1))
        for part in calendars_of(body, _LARGEST_CALENDAR):
            asked, headers = {"replace": self.replace}, {"Content-Type": "text/csv"}
            try:
                answer = await self.door.send("POST", "/sis/v1/calendars", params=asked, content=part, headers=headers)
            except NotPermitted:
                self.report.leave_out(CALENDAR_FILE)
                return
            except Refused as refused:
                self.report.reject(CALENDAR_FILE, 0, str(refused))
                return
            taken = answer.json()
            rejected, left = taken.get("rejected") or (), taken.get("left") or ()
            for line in rejected:
                reason = f"{line.get('column') or ''} {line.get('rule') or 'is not acceptable'}".strip()
                self.report.reject(CALENDAR_FILE, line["line"], reason)
            for year in left:
                self.report.leave_year(CALENDAR_FILE, year["school_id"], year["school_year"], year["lines"])
            lost = len(rejected) + sum(year["lines"] for year in left)
            self.report.take(CALENDAR_FILE, max(0, len(part.splitlines()) - 1 - lost))


def _names(wave: Collection[str]) -> list[str]:
    """Names of files with rows of these resources."""
    return [name for name, resource in NAMED.items() if resource.name in wave]


@dataclass
class _Part:
    """One file on its way."""

    pusher: Pusher
    file: str
    resource: str
    left_out: bool = False

    @property
    def deletes(self) -> bool:
        """Whether the file lists documents to take away."""
        return self.file != self.resource

    def keyed_lines(self) -> Iterator[tuple[str, Line]]:
        """Each line with what keeps it behind earlier rows of the same key: the first member of the natural key."""
        path = NAMED[self.resource].told_identity[0]
        for line in self.pusher.folder.lines(self.file):
            row = line.value()
            first = value_at(row, path)
            yield as_text(row.get(path.rpartition(".")[2]) if first is None else first), line

    async def push_bulk(self, lines: list[Line]) -> None:
        """Push up to 500 lines in one request; a request that is refused as a whole is halved until the row is found."""
        if self.left_out:
            return
        path = f"/sis/v1/bulk/{self.resource}" + ("/deletes" if self.deletes else "")
        try:
            async with self.pusher._in_flight:  # noqa: SLF001 (a part is a piece of its pusher)
                answer = await self.pusher.door.send("POST", path, **jsonl([line.text for line in lines]))
        except NotPermitted:
            self.left_out = True
        except Refused as refused:
            if len(lines) == 1:
                self._reject(lines[0], str(refused))
                return
            half = len(lines) // 2
            await self.push_bulk(lines[:half])
            await self.push_bulk(lines[half:])
        else:
            results = map(json.loads, filter(None, answer.content.split(b"\n")))
            for line, result in zip(lines, results, strict=True):
                self._settle(line, result)

    async def push_single(self, lines: list[Line]) -> None:
        """Push each line by a request of its own, as a student information system does."""
        for line in lines:
            if self.left_out:
                return
            try:
                async with self.pusher._in_flight:  # noqa: SLF001 (a part is a piece of its pusher)
                    answer = await self.pusher.door.send(
                        "POST",
                        f"/sis/data/v3/ed-fi/{self.resource}",
                        content=line.text,
                        headers={"Content-Type": "application/json"},
                    )
            except NotPermitted:
                self.left_out = True
            except Refused as refused:
                self._reject(line, str(refused))
            else:
                self._settle(line, {**answer.json(), "status": answer.status_code})

    def _settle(self, line: Line, result: dict[str, Any]) -> None:
        status = result["status"]
        if status in _DONE or (self.deletes and status == _GONE_ALREADY):
            self.pusher.report.take(self.file)
            if result.get("waiting"):
                self.pusher.waiting[result["id"]] = self.file, line.number
            if self.pusher.remembers(self.resource) and result.get("id"):
                unique_id = as_text(line.value().get(RESOURCES[self.resource].identity[0]))
                self.pusher.ids[self.resource, unique_id] = result["id"]
        else:
            self._reject(line, reason_of(result.get("problem") or {}) or f"status {status}")

    def _reject(self, line: Line, reason: str) -> None:
        if self.file == ATTENDANCE:
            self.pusher.not_attended.add(line.number)
        self.pusher.report.reject(f"{self.file}.jsonl", line.number, reason)
