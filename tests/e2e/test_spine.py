"""The whole path as a user meets it: real processes, real PostgreSQL, with and without a real Kafka."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.commands import make_token
from tests.harness import SERVICES
from tests.kafka.broker import Broker, fresh_topics
from tests.processes import free_port, trellis, up

MONDAY = date(2025, 9, 1)
SCHOOL, UNIQUE_ID = "42", "S-1"
DESCRIPTOR = "uri://ed-fi.org/AttendanceEventCategoryDescriptor#"


def school_days(number: int) -> list[date]:
    days = (MONDAY + timedelta(days=offset) for offset in range(number * 2))
    return [day for day in days if day.weekday() < 5][:number]


@dataclass
class Trellis:
    """Trellis at an address, asked as a district, told as a student information system."""

    url: str
    data: Path

    def ask(self, path: str, role: str = "district") -> Any:
        answer = httpx.get(self.url + path, headers=self._headers(role), trust_env=False, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def tell(self, method: str, path: str, *, kind: str = "application/json", **body: Any) -> httpx.Response:
        headers = self._headers("sis") | {"Content-Type": kind}
        answer = httpx.request(method, self.url + path, headers=headers, trust_env=False, timeout=30, **body)
        assert answer.is_success, answer.text
        return answer

    def push(self, resource: str, **document: Any) -> str:
        answer = self.tell("POST", f"/sis/data/v3/ed-fi/{resource}", json=document)
        assert answer.status_code in {200, 201}
        return str(answer.json()["id"])

    def status_of(self, path: str) -> int:
        return httpx.get(self.url + path, headers=self._headers("district"), trust_env=False).status_code

    def quiet(self) -> bool:
        states = [self.ask(f"/{name}/v1/status") for name in SERVICES]
        return not any(state["unpublished"] or state["lag"] or state["parked"] for state in states)

    def _headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {make_token(self.data, role)}"}


def eventually(what: str, holds: Callable[[], Any], *, within: float = 60) -> Any:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if found := holds():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {within} s: {what}")


@contextmanager
def running(data: Path, *arguments: str) -> Iterator[Trellis]:
    port = free_port()
    data.parent.chmod(0o711)  # PostgreSQL may run as another user
    with up(data, port, *arguments):
        yield Trellis(f"http://127.0.0.1:{port}", data)


def enrolled(at: Trellis, days: int) -> str:
    """Our id of a student at a school with so many instructional days."""
    at.push("schools", schoolId=int(SCHOOL), nameOfInstitution="Alder School")
    student = at.push("students", studentUniqueId=UNIQUE_ID, firstName="Ada", lastSurname="Birch")
    rows = "".join(f"{SCHOOL},{day},true\n" for day in school_days(days))
    at.tell("POST", "/sis/v1/calendars", content=f"school_id,date,instructional\n{rows}", kind="text/csv")
    at.push(
        "studentSchoolAssociations",
        studentReference={"studentUniqueId": UNIQUE_ID},
        schoolReference={"schoolId": int(SCHOOL)},
        entryDate=str(MONDAY),
        entryGradeLevelDescriptor="uri://ed-fi.org/GradeLevelDescriptor#Fifth grade",
    )
    return student


def absent(at: Trellis, day: date) -> str:
    return at.push(
        "studentSchoolAttendanceEvents",
        studentReference={"studentUniqueId": UNIQUE_ID},
        schoolReference={"schoolId": int(SCHOOL)},
        sessionReference={"schoolId": int(SCHOOL), "schoolYear": 2026, "sessionName": "Fall"},
        eventDate=str(day),
        attendanceEventCategoryDescriptor=f"{DESCRIPTOR}Excused Absence",
    )


def close(at: Trellis, day: date) -> None:
    at.tell("POST", f"/sis/v1/schools/{SCHOOL}/days/{day}/close")


@pytest.fixture(params=["in one process", "over Kafka"])
def transport(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "in one process":
        return []
    kafka: Broker = request.getfixturevalue("kafka")
    kafka.start()
    return ["--kafka", kafka.bootstrap]


async def test_a_push_becomes_a_decision_with_its_reason_and_a_correction_withdraws_it(
    transport: list[str], tmp_path: Path
) -> None:
    if transport:
        await fresh_topics(transport[1], SERVICES)
    days = school_days(60)
    with running(tmp_path / "var", *transport) as at:
        student = enrolled(at, 60)
        rows = [absent(at, day) for day in days[:60:10]]
        close(at, days[-1])

        eventually("all is heard", at.quiet)
        first, last = _decisions(at, student)[0], _decisions(at, student)[-1]
        assert (first["tier_before"], last["tier"], last["cause"]) == (None, "targeted", "entered")
        now = at.ask(f"/mtss/v1/students/{student}")
        attendance = next(clause for clause in now["clauses"] if clause["clause"] == "attendance")
        assert (attendance["evidence"]["days_absent"], attendance["evidence"]["days_enrolled"]) == (6.0, 60)
        assert last["what_would_change_it"]

        at.tell("DELETE", f"/sis/data/v3/ed-fi/studentSchoolAttendanceEvents/{rows[1]}")
        then = eventually("a further decision", lambda: _decisions(at, student, after=last))[-1]
        assert (then["tier"], then["tier_before"], then["cause"]) == ("universal", "targeted", "withdrawn")

    with running(tmp_path / "var", *transport) as at:  # what was committed is there again
        assert _decisions(at, student)[-1] == then
        absent(at, days[10])
        again = eventually("a further decision", lambda: _decisions(at, student, after=then))
        assert again[-1]["tier"] == "targeted"
        assert [each["number"] for each in again] == list(range(1, len(again) + 1))
        resent = trellis("events", "resend", "sis", "--url", at.url, "--data", str(at.data))
        assert resent.returncode == 0, resent.stderr
        eventually("everything said again is heard", at.quiet)
        assert _decisions(at, student) == again
        shown = trellis("status", "--url", at.url, "--data", str(at.data))
        assert shown.stdout.count("current") == len(SERVICES)
        assert trellis("events", "parked", "--url", at.url, "--data", str(at.data)).stdout == "No event is parked.\n"
        verified = trellis("verify", "decisions", "--school", SCHOOL, "--url", at.url, "--data", str(at.data))
        number = len(again)
        said = (
            f"{number} decisions verified: {number} the same, 0 differ.\n0 proposals verified: 0 the same, 0 differ.\n"
        )
        assert verified.stdout == said, verified.stderr


async def test_a_district_gets_the_same_decisions_with_and_without_kafka(kafka: Broker, tmp_path: Path) -> None:
    kafka.start()
    await fresh_topics(kafka.bootstrap, SERVICES)
    sample = tmp_path / "sample"
    assert trellis("sample", str(sample), "--students", "80").returncode == 0

    outcomes = []
    for name, arguments in (("alone", ()), ("kafka", ("--kafka", kafka.bootstrap))):
        with running(tmp_path / name, *arguments) as at:
            loaded = trellis("load", str(sample), "--url", at.url, "--data", str(at.data))
            assert loaded.returncode == 0, loaded.stdout + loaded.stderr
            eventually("all is heard", at.quiet)
            outcomes.append(_outcome(at))

    assert outcomes[0] == outcomes[1]
    assert {tier for _, tier, *_ in outcomes[0]} == {"universal", "targeted"}


def _decisions(at: Trellis, student: str, *, after: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    path = f"/mtss/v1/students/{student}/decisions"
    if at.status_of(path) == 404:
        return []
    items: list[dict[str, Any]] = sorted(at.ask(path)["items"], key=lambda each: int(each["number"]))
    return items if after is None or items[-1]["number"] > after["number"] else []


def _outcome(at: Trellis) -> list[tuple[str, str, str]]:
    """Each student's number in the SIS, tier and since when, sorted."""
    known: dict[str, str] = {}
    while page := at.ask(f"/sis/data/v3/ed-fi/students?limit=500&offset={len(known)}"):
        known |= {each["id"]: each["studentUniqueId"] for each in page}
    found = []
    for school in at.ask("/sis/v1/summary")["schools"]:
        path: str | None = f"/mtss/v1/students?school={school['school_id']}&limit=500"
        while path:
            answer = at.ask(path)
            found += [(known[each["student_id"]], each["tier"], each["since"]) for each in answer["items"]]
            cursor = answer["next"]
            path = f"/mtss/v1/students?school={school['school_id']}&limit=500&cursor={cursor}" if cursor else None
    return sorted(found)
