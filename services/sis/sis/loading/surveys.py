"""Survey windows and the answers given in them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sis.loading.door import As, NotPermitted, Refused, reason_of
from sis.loading.folder import RESPONSES, WINDOWS, Line
from sis.loading.lanes import in_lanes
from sis.loading.rows import Pusher

DISTRICT = As("district")
IMPORTER = As("district", permissions=("surveys.import-paper",))
_LANES, _AT_ONCE = 2, 500
_NOT_YET_KNOWN = "student-not-yet-known"
_PATIENCE, _PAUSE = 120.0, 0.5
_SHEET = ("answered_on", "language", "answers")


@dataclass
class SurveyPusher:
    """Pushes windows and responses. A student whom surveys has not heard of yet is tried again for a while."""

    pusher: Pusher
    windows: dict[str, str] = field(default_factory=dict)
    left_out: bool = False

    async def push_all(self) -> None:
        """Push the windows, then the responses."""
        folder, report = self.pusher.folder, self.pusher.report
        if folder.has(WINDOWS):
            report.begin(WINDOWS, folder.count(WINDOWS))
            for line in folder.lines(WINDOWS):
                await self._push_window(line)
        if folder.has(RESPONSES):
            report.begin(RESPONSES, folder.count(RESPONSES))
            if self.left_out:
                report.leave_out(RESPONSES)
            else:
                await in_lanes(self._keyed_responses(), self._push_responses, lanes=_LANES, at_once=_AT_ONCE)

    async def _push_window(self, line: Line) -> None:
        report, window = self.pusher.report, line.value()
        try:
            answer = await self.pusher.door.send("POST", "/surveys/v1/windows", DISTRICT, json=window)
        except NotPermitted:
            self.left_out = True
            report.leave_out(WINDOWS)
        except Refused as refused:
            report.reject(f"{WINDOWS}.jsonl", line.number, str(refused))
        else:
            self.windows[str(window.get("key"))] = answer.json()["id"]
            report.take(WINDOWS)

    def _keyed_responses(self) -> Iterator[tuple[str, tuple[Line, dict[str, Any]]]]:
        for line in self.pusher.folder.lines(RESPONSES):
            row = line.value()
            yield str(row.get("studentUniqueId")), (line, row)

    async def _push_responses(self, rows: list[tuple[Line, dict[str, Any]]]) -> None:
        of_window: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        for line, row in rows:
            window = self.windows.get(str(row.get("window")))
            student = await self.pusher.id_of("students", str(row.get("studentUniqueId"))) if window else None
            if window is None or student is None:
                self._reject(line.number, "its window was not taken" if window is None else "there is no such student")
            else:
                sheet = {"student_id": student} | {name: row.get(name) for name in _SHEET}
                of_window[window].append((line.number, sheet))
        for window, sheets in of_window.items():
            await self._import(window, sheets)

    async def _import(self, window: str, sheets: list[tuple[int, dict[str, Any]]]) -> None:
        gives_up = time.monotonic() + _PATIENCE
        while sheets:
            try:
                answer = await self.pusher.door.send(
                    "POST",
                    f"/surveys/v1/windows/{window}/responses/import",
                    IMPORTER,
                    json={"items": [sheet for _, sheet in sheets]},
                )
            except NotPermitted:
                self.pusher.report.leave_out(RESPONSES)
                return
            except Refused as refused:
                for number, _ in sheets:
                    self._reject(number, str(refused))
                return
            rejected = {each["index"]: each["problem"] for each in answer.json()["rejected"]}
            later = {index for index, problem in rejected.items() if problem["type"].endswith(_NOT_YET_KNOWN)}
            if time.monotonic() > gives_up:
                later.clear()
            for index in rejected.keys() - later:
                self._reject(sheets[index][0], reason_of(rejected[index]))
            self.pusher.report.take(RESPONSES, len(sheets) - len(rejected))
            sheets = [sheets[index] for index in sorted(later)]
            if sheets:
                await asyncio.sleep(_PAUSE)

    def _reject(self, line: int, reason: str) -> None:
        self.pusher.report.reject(f"{RESPONSES}.jsonl", line, reason)
