from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest_asyncio

from common.embedded import Cluster
from common.events import Event, ExclusionRecorded, IncidentRecorded, StudentEnrolled
from tests.harness import TIME_ZONE, Running, run_service

SCHOOL, OTHER_SCHOOL = "255901001", "255901044"
SUSPENSION = "Out of School Suspension"
TODAY = datetime.now(ZoneInfo(TIME_ZONE)).date()
"""Lateness is measured by the database's clock, which no test can set."""


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


@dataclass
class Restorative:
    """The service at work, and what a test asks of it most."""

    running: Running
    student: UUID = field(default_factory=uuid4)
    harmed: UUID = field(default_factory=uuid4)
    incident: UUID = field(default_factory=uuid4)
    facilitator: UUID = field(default_factory=uuid4)
    assistant_principal: UUID = field(default_factory=uuid4)
    revision: int = 0

    async def hear(self, *events: Event) -> None:
        await self.running.deliver(*events)

    def enrolled(self, student: UUID | None = None, **changes: Any) -> StudentEnrolled:
        usual: dict[str, Any] = {"student_id": student or self.student, "school_id": SCHOOL, "entry_on": ago(90)}
        return StudentEnrolled(**usual | {"revision": self.next()} | changes)

    def happened(self, **changes: Any) -> IncidentRecorded:
        """The usual incident of ten days ago."""
        usual: dict[str, Any] = {
            "incident_id": self.incident,
            "student_id": self.student,
            "school_id": SCHOOL,
            "on": ago(10),
        }
        return IncidentRecorded(**usual | {"association_id": self.incident, "revision": self.next()} | changes)

    def excluded(self, action: UUID | None = None, **changes: Any) -> ExclusionRecorded:
        """Three days of suspension for the usual incident."""
        usual: dict[str, Any] = {
            "action_id": action or uuid4(),
            "student_id": self.student,
            "school_id": SCHOOL,
            "incident_ids": (self.incident,),
            "actions": (SUSPENSION,),
            "on": ago(10),
            "hundredths_proposed": 300,
            "staff_ids": (self.assistant_principal,),
        }
        return ExclusionRecorded(**usual | {"revision": self.next()} | changes)

    def next(self) -> int:
        self.revision += 1
        return self.revision

    async def get(self, path: str, role: str = "facilitator", **claims: Any) -> httpx.Response:
        usual: dict[str, Any] = {"schools": [SCHOOL], "staff": self.facilitator if role == "facilitator" else None}
        headers = self.running.headers(role, **usual | claims)
        return await self.running.http.get(f"/restorative/v1{path}", headers=headers)

    async def post(self, path: str, body: Any, role: str = "facilitator", **claims: Any) -> httpx.Response:
        usual: dict[str, Any] = {"schools": [SCHOOL], "staff": self.facilitator}
        headers = self.running.headers(role, **usual | claims)
        if path.startswith("/referrals/"):
            seen = await self.running.http.get(f"/restorative/v1/referrals/{path.split('/')[2]}", headers=headers)
            headers["If-Match"] = seen.headers.get("ETag", '"none"')
        return await self.running.http.post(f"/restorative/v1{path}", json=body, headers=headers)

    async def referrals(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.get("/referrals")).json()["items"]
        return items

    async def referral(self) -> dict[str, Any]:
        """The only one there is."""
        (only,) = await self.referrals()
        shown: dict[str, Any] = (await self.get(f"/referrals/{only['id']}")).json()
        return shown

    async def conference(self) -> "Conference":
        """A referral that opened by itself, of two students who are known."""
        await self.hear(self.enrolled(), self.enrolled(self.harmed), self.happened(), self.excluded())
        return Conference(self, (await self.referral())["id"])


@dataclass
class Conference:
    """The usual conference, step by step. Each step says what was answered."""

    service: Restorative
    id: str
    people: dict[str, str] = field(default_factory=dict)
    school: str = SCHOOL

    async def step(self, path: str, body: Any, **claims: Any) -> httpx.Response:
        return await self.service.post(f"/referrals/{self.id}/{path}", body, **{"schools": [self.school]} | claims)

    async def done(self, path: str, body: Any) -> dict[str, Any]:
        answer = await self.step(path, body)
        assert answer.status_code in (200, 201), answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def screen(self) -> dict[str, Any]:
        return await self.done("screen", {"suitable": True, "reason": "Both of them want to talk."})

    async def party(self, label: str, **body: Any) -> str:
        self.people[label] = (await self.done("parties", body))["id"]
        return self.people[label]

    async def gather(self) -> None:
        await self.party("student", kind="student", role="caused_harm", student_id=str(self.service.student))
        await self.party("harmed", kind="student", role="harmed", student_id=str(self.service.harmed))
        await self.party("aunt", kind="named", role="supporter", name="Wilhelmina Testcase")

    async def offer(self) -> dict[str, Any]:
        return await self.done("offer", {"offered_on": str(ago(9))})

    async def consent(self, label: str, **body: Any) -> dict[str, Any]:
        usual = {"given": True, "on": str(ago(8)), "part": "in_person"}
        return await self.done(f"parties/{self.people[label]}/consent", usual | body)

    async def prepare(self, label: str) -> dict[str, Any]:
        return await self.done("prepare", {"party_id": self.people[label], "on": str(ago(7))})

    async def schedule(self) -> dict[str, Any]:
        return await self.done("schedule", {"at": f"{ago(6)}T15:00:00Z", "place": "The quiet room upstairs"})

    async def hold(self) -> dict[str, Any]:
        return await self.done("hold", {"on": str(ago(6))})

    async def agree(self) -> dict[str, Any]:
        def item(what: str, kind: str) -> dict[str, Any]:
            who = {"by_party": self.people["student"], "for_party": self.people["harmed"]}
            return {"what": what, "kind": kind, "due_on": str(ago(2)), **who}

        return await self.done(
            "agreement", {"items": [item("Say sorry", "apology"), item("Mend the bicycle", "restitution")]}
        )

    async def keep(self) -> dict[str, Any]:
        evidence = {"on": str(ago(3)), "evidence": "Seen at the gate"}
        return [await self.done(f"items/{item}/keep", evidence) for item in await self.items()][-1]

    async def items(self) -> list[str]:
        """The ids of what was agreed."""
        shown = await self.service.get(f"/referrals/{self.id}", schools=[self.school])
        return [item["id"] for item in shown.json()["items"]]

    async def complete(self) -> dict[str, Any]:
        return await self.done("complete", {"on": str(ago(1))})

    async def through(self, last: str) -> dict[str, Any]:
        """Every step of the usual course up to ``last``."""
        await self.screen()
        await self.gather()
        shown: dict[str, Any] = {}
        for name in ("offer", "consents", "preparations", "schedule", "hold", "agree", "keep", "complete"):
            if name == "consents":
                shown = [await self.consent(label) for label in ("student", "harmed", "aunt")][-1]
            elif name == "preparations":
                shown = [await self.prepare(label) for label in ("student", "harmed", "aunt")][-1]
            else:
                shown = await getattr(self, name)()
            if name == last:
                break
        return shown


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("restorative", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def restorative(service: Running) -> Restorative:
    """The service, empty but for where the usual students go to school."""
    await service.empty()
    restorative = Restorative(service)
    await restorative.hear(restorative.enrolled(), restorative.enrolled(restorative.harmed))
    return restorative
