"""The service ``sis`` on a real PostgreSQL, and a client that speaks as the SIS."""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.embedded import Cluster
from sis.policy import WAITING
from tests.harness import Running, run_service

EDFI = "/sis/data/v3/ed-fi"
CATEGORY = "uri://ed-fi.org/AttendanceEventCategoryDescriptor#"


def school(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"schoolId": number, "nameOfInstitution": f"School {number}", **more}


def student(name: str = "s1", **more: Any) -> dict[str, Any]:
    return {"studentUniqueId": name, "firstName": "Ada", "lastSurname": "Quill", **more}


def enrolment(name: str = "s1", number: int = 1, entry: str = "2026-08-24", **more: Any) -> dict[str, Any]:
    return {
        "studentReference": {"studentUniqueId": name},
        "schoolReference": {"schoolId": number},
        "entryDate": entry,
        **more,
    }


def absence(
    on: str = "2026-09-01", category: str = "Unexcused Absence", name: str = "s1", number: int = 1, **more: Any
) -> dict[str, Any]:
    return {
        "studentReference": {"studentUniqueId": name},
        "schoolReference": {"schoolId": number},
        "eventDate": on,
        "attendanceEventCategoryDescriptor": CATEGORY + category,
        **more,
    }


def contact(name: str = "c1", **more: Any) -> dict[str, Any]:
    return {"contactUniqueId": name, "firstName": "Grace", "lastSurname": "Hollow", **more}


def association(name: str = "s1", of: str = "c1", **more: Any) -> dict[str, Any]:
    return {"studentReference": {"studentUniqueId": name}, "contactReference": {"contactUniqueId": of}, **more}


def incident(name: str = "i1", number: int = 1, on: str = "2026-09-02", **more: Any) -> dict[str, Any]:
    return {"incidentIdentifier": name, "schoolReference": {"schoolId": number}, "incidentDate": on, **more}


def behavior(name: str = "s1", of: str = "i1", number: int = 1, kind: str = "Fighting") -> dict[str, Any]:
    return {
        "studentReference": {"studentUniqueId": name},
        "disciplineIncidentReference": {"incidentIdentifier": of, "schoolId": number},
        "behaviorDescriptor": f"uri://ed-fi.org/BehaviorDescriptor#{kind}",
    }


def action(name: str = "a1", of: str = "i1", **more: Any) -> dict[str, Any]:
    reference = {
        **behavior(of=of)["disciplineIncidentReference"],
        "studentUniqueId": "s1",
        "behaviorDescriptor": "x#Fighting",
    }
    return {
        "disciplineActionIdentifier": name,
        "disciplineDate": "2026-09-03",
        "studentReference": {"studentUniqueId": "s1"},
        "responsibilitySchoolReference": {"schoolId": 1},
        "disciplines": [{"disciplineDescriptor": "uri://ed-fi.org/DisciplineDescriptor#Out of School Suspension"}],
        "studentDisciplineIncidentBehaviorAssociations": [
            {"studentDisciplineIncidentBehaviorAssociationReference": reference}
        ],
        **more,
    }


@dataclass
class Sis:
    """The running service, spoken to as a SIS would."""

    running: Running

    async def post(self, resource: str, document: Any) -> httpx.Response:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return await self.call("POST", f"{EDFI}/{resource}", content=body)

    async def put_in(self, resource: str, *documents: Any) -> list[str]:
        """Ids of documents that must be accepted."""
        ids = []
        for document in documents:
            response = await self.post(resource, document)
            assert response.status_code in (200, 201), response.text
            ids.append(response.json()["id"])
        return ids

    async def bulk(self, resource: str, rows: Iterable[Any], *, deletes: bool = False) -> list[dict[str, Any]]:
        body = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
        response = await self.call("POST", f"/sis/v1/bulk/{resource}{'/deletes' if deletes else ''}", content=body)
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines()]

    async def delete(self, resource: str, document_id: str) -> httpx.Response:
        return await self.call("DELETE", f"{EDFI}/{resource}/{document_id}")

    async def close(self, on: str, number: int = 1) -> httpx.Response:
        return await self.call("POST", f"/sis/v1/schools/{number}/days/{on}/close")

    async def calendar(self, text: str | bytes) -> httpx.Response:
        return await self.call("POST", "/sis/v1/calendars", content=text)

    async def contacts(self, student_id: str | UUID) -> httpx.Response:
        path = f"/sis/v1/students/{student_id}/contacts"
        return await self.running.http.get(path, headers=self.running.service_headers("notifications"))

    async def call(self, method: str, path: str, role: str = "sis", **options: Any) -> httpx.Response:
        headers = {**self.running.headers(role), **options.pop("headers", {})}
        return await self.running.http.request(method, path, headers=headers, **options)

    async def rows(self, query: str, **values: Any) -> list[Any]:
        async with self.running.session() as session:
            return list((await session.execute(sa.text(query), values)).all())

    async def roster(self) -> str:
        """One school and one student; the student's id."""
        await self.put_in("schools", school())
        return (await self.put_in("students", student()))[0]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def service(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("sis", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def sis(service: Running) -> Sis:
    await service.empty()
    return Sis(service)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiting room is switched off."""
    monkeypatch.setattr("sis.documents.WAITING", replace(WAITING, on=False))


@pytest.fixture
def statements(sis: Sis) -> Callable[[], AbstractContextManager[list[str]]]:
    """The statements that the service executes inside ``with``."""
    engine = sis.running.runtime.engine.sync_engine

    @contextmanager
    def watch() -> Iterator[list[str]]:
        executed: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            executed.append(statement)

        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            yield executed
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)

    return watch
