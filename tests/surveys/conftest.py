from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest_asyncio

from common.embedded import Cluster
from common.events import StudentEnrolled
from tests.harness import Running, run_service

SCHOOL, OTHER_SCHOOL = "255901001", "255901044"
OPENS, TODAY, CLOSES = date(2026, 10, 5), date(2026, 10, 7), date(2026, 10, 16)
IMPORTER = ("surveys.import-paper",)
ITEMS = (
    *("adult_support_1", "adult_support_2", "peer_support_1", "peer_support_2"),
    *("belonging_1", "belonging_2", "feeling_heard_1", "feeling_heard_2"),
)
WINDOW: dict[str, Any] = {
    "key": "belonging-fall",
    "instrument": "belonging-8",
    "schools": [SCHOOL],
    "opens_on": "2026-10-05",
    "closes_on": "2026-10-16",
    "audience": "student",
    "notice": {"sent_on": "2026-09-14", "kind": "opt_out", "text_reference": "letter 14"},
}


@dataclass
class Surveys:
    """The service at work, and what a test asks of it most."""

    running: Running
    revision: int = field(default=0)

    @property
    def http(self) -> httpx.AsyncClient:
        return self.running.http

    async def ask(
        self, method: str, path: str, body: Any = None, *, role: str = "district", **claims: Any
    ) -> httpx.Response:
        headers = self.running.headers(role, **claims)
        if method == "PUT" and "/consents/" in path:
            seen = await self.http.get(f"/surveys/v1{path}", headers=headers)
            headers["If-Match"] = seen.headers.get("ETag", '"none"')
        return await self.http.request(method, f"/surveys/v1{path}", json=body, headers=headers)

    async def window(self, **changes: Any) -> str:
        """The id of a window like the usual one."""
        response = await self.ask("POST", "/windows", WINDOW | changes)
        assert response.status_code == 201, response.text
        identity: str = response.json()["id"]
        return identity

    async def enrol(self, count: int = 1, school: str = SCHOOL, **changes: Any) -> list[UUID]:
        """Students who came to the school in August."""
        students = [uuid4() for _ in range(count)]
        await self.running.deliver(*(self.enrolled(student, school, **changes) for student in students))
        return students

    def enrolled(self, student: UUID, school: str = SCHOOL, **changes: Any) -> StudentEnrolled:
        self.revision += 1
        usual: dict[str, Any] = {"entry_on": date(2026, 8, 20), "revision": self.revision}
        return StudentEnrolled(student_id=student, school_id=school, **usual | changes)

    def on(self, day: date) -> None:
        """Let it be noon of ``day`` in the district."""
        self.running.clock.set(datetime.combine(day, time(18), UTC))

    async def consent(self, window: str, student: UUID, state: str) -> httpx.Response:
        said = {"state": state, "by": "guardian", "on": "2026-09-20"}
        return await self.ask("PUT", f"/windows/{window}/consents/{student}", said)

    async def links(self, window: str, **asked: Any) -> dict[str, str]:
        """New links by student."""
        response = await self.ask("POST", f"/windows/{window}/links", asked)
        assert response.status_code == 200, response.text
        return {item["student_id"]: item["url"] for item in response.json()["items"]}

    async def bring(self, window: str, *sheets: Any) -> dict[str, Any]:
        """Import sheets of paper."""
        response = await self.ask(
            "POST", f"/windows/{window}/responses/import", {"items": sheets}, permissions=IMPORTER
        )
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


def sheet(student: UUID, given: Sequence[int | None] = (4,) * 8, **changes: Any) -> dict[str, Any]:
    """A sheet of paper, typed in."""
    usual = {"student_id": str(student), "answered_on": "2026-10-06", "language": "en"}
    return usual | {"answers": dict(zip(ITEMS, given, strict=True))} | changes


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("surveys", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def surveys(service: Running) -> Surveys:
    """The service, empty, on a Wednesday on which the usual window is open."""
    await service.empty()
    empty = Surveys(service)
    empty.on(TODAY)
    return empty
