"""Up to which day each school is known, what is unknown of its students, and what waits to be handled."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from typer import Typer
from typer.testing import CliRunner

from common.clients import Clients
from common.embedded import Cluster
from common.keys import Trusted
from common.outbox import Record, drain
from common.telemetry import metrics_page
from mtss.commands.freshness import freshness
from mtss.commands.reviews import reviews
from mtss.loops import measure_silent_schools
from tests.faults.patience import eventually
from tests.harness import Running, over_http, record, run_service
from tests.mtss.made_up import School, named, school_days
from tests.scoped import TEACHER, assigned
from tests.sis.conftest import Sis
from tests.sis.conftest import enrolment as enrolment_row
from tests.sis.conftest import school as school_row
from tests.sis.conftest import student as student_row

NORTH, SOUTH = School("north", days=school_days(60)), School("south", days=school_days(60))
OTHER, THIRD = named("student", 1), named("student", 2)
PUSHED_AT = datetime(2024, 9, 27, 17, tzinfo=UTC)


def at_noon(day: int) -> datetime:
    on = NORTH.days[day]
    return datetime(on.year, on.month, on.day, 18, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def sister(cluster: Cluster, service: Running) -> AsyncIterator[Running]:
    """The real sis, which trusts what this mtss asks."""
    async with run_service("sis", cluster) as running:
        keys, asks = running.runtime.keys, {"mtss": service.runtime.keys.trusted.of["mtss"]}
        running.runtime.keys = replace(keys, trusted=Trusted({**keys.trusted.of, **asks}))
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def district(mtss: Running, sister: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """At noon of day 30: the north has closed every day before and asked one of two students, the south none since day 4."""
    clients = Clients("mtss", mtss.runtime.keys.signing, mtss.runtime.settings)
    clients.use("sis", httpx.ASGITransport(sister.app))
    monkeypatch.setattr(mtss.runtime, "clients", clients)
    await sister.empty()
    mtss.clock.set(at_noon(30))
    last = [each.model_copy(update={"revision": int(PUSHED_AT.timestamp()) * 10**6}) for each in NORTH.closes(29)]
    await mtss.deliver(
        NORTH.calendar(), NORTH.enrols(), NORTH.enrols(OTHER), NORTH.scores(8, 4.0), *NORTH.closes_through(29), *last
    )
    await mtss.deliver(SOUTH.calendar(), SOUTH.enrols(THIRD), *SOUTH.closes_through(5))
    yield mtss


async def ask(mtss: Running, path: str = "/freshness", role: str = "district", **more: Any) -> httpx.Response:
    headers = mtss.headers(role, schools=more.pop("schools", ()))
    return await mtss.http.get(f"/mtss/v1{path}", headers=headers, params=more)


async def test_each_school_is_shown_with_its_last_day_its_last_push_and_what_is_unknown(district: Running) -> None:
    north, south = (await ask(district)).json()["items"]
    assert north == {
        "school_id": "north",
        "closed_through": str(NORTH.days[29]),
        "silent_days": 0,
        "silent": False,
        "last_push_at": "2024-09-27T17:00:00Z",
        "students": 2,
        "undecided": 0,
        "unknown_clauses": {"adult_support": 1},
        "oldest_unprocessed_seconds": None,
    }
    assert (south["closed_through"], south["silent_days"], south["silent"]) == (str(SOUTH.days[4]), 25, True)
    assert south["unknown_clauses"] == {"adult_support": 1, "attendance": 1, "severe_attendance": 1}
    await district.deliver(NORTH.scores(9, 4.0, OTHER), SOUTH.enrols(named("student", 3), SOUTH.days[20]))
    north, south = (await ask(district)).json()["items"]
    assert (north["unknown_clauses"], south["students"], south["undecided"]) == ({}, 2, 1)


async def test_a_principal_sees_how_fresh_their_own_school_is(district: Running) -> None:
    (own,) = (await ask(district, role="principal", schools=["south"])).json()["items"]
    assert own["school_id"] == "south"
    assert (await ask(district, role="teacher")).status_code == 403
    first = (await ask(district, limit=1)).json()
    second = (await ask(district, limit=1, cursor=first["next"])).json()
    assert [page["items"][0]["school_id"] for page in (first, second)] == ["north", "south"]
    assert (second["next"], len((await ask(district, school="south")).json()["items"])) == (None, 1)


async def test_a_school_that_is_silent_for_two_school_days_waits_for_a_person(district: Running) -> None:
    async def silence(day: int, role: str = "principal") -> Any:
        district.clock.set(at_noon(day))
        return (await ask(district, "/schools/north/reviews", role, schools=["north"])).json()["silence"]

    assert await silence(31) is None  # day 30 alone is over
    waits = await silence(32)
    assert (waits["since"], waits["school_days"], waits["assigned"]) == (str(NORTH.days[30]), 2, None)
    await measure_silent_schools(district.runtime)
    assert 'trellis_schools_silent{service="mtss"} 2.0' in bytes(metrics_page().body).decode()
    elsewhere = await ask(district, "/schools/north/reviews", "principal", schools=["south"])
    assert elsewhere.json() == {"items": [], "next": None, "silence": None}

    await district.deliver(*NORTH.closes(30, 31))

    assert await silence(32) is None
    await measure_silent_schools(district.runtime)
    assert 'trellis_schools_silent{service="mtss"} 1.0' in bytes(metrics_page().body).decode()


async def test_a_silence_is_handed_over_to_who_works_at_the_school_and_a_later_one_waits_anew(
    district: Running,
) -> None:
    async def silence(day: int) -> Any:
        district.clock.set(at_noon(day))
        return (await ask(district, "/schools/north/reviews", "principal", schools=["north"])).json()["silence"]

    async def hand_over(staff: UUID, school: str = "north") -> httpx.Response:
        headers = district.headers("principal", schools=[school])
        body, path = (
            {"staff_id": str(staff), "reason": "He knows the SIS."},
            f"/mtss/v1/reviews/{waits['id']}/hand-over",
        )
        seen = await district.http.get(path, headers=headers)
        headers["If-Match"] = seen.headers.get("ETag", '"none"')
        return await district.http.post(path, json=body, headers=headers)

    waits, other = await silence(32), UUID(int=9)
    first = NORTH.days[0]
    await district.deliver(assigned(school="north", begin_on=first), assigned(other, "south", begin_on=first))
    assert ((await hand_over(other)).status_code, (await hand_over(TEACHER, "south")).status_code) == (422, 404)
    handed = await hand_over(TEACHER)
    assert (handed.status_code, (await silence(33))["assigned"]) == (201, handed.json())
    await district.deliver(*NORTH.closes(30, 31, 32))
    assert ((await silence(35))["assigned"], (await hand_over(TEACHER)).status_code) == (None, 404)


async def test_what_waits_in_sis_and_what_is_parked_is_told_by_its_age(district: Running, sister: Running) -> None:
    async def oldest() -> tuple[bool, Any]:
        found = (await ask(district, school="1")).json()
        return found["sis_answers"], found["items"][0]["oldest_unprocessed_seconds"]

    district.clock.at = None
    sis = Sis(sister)
    await sis.put_in("schools", school_row())
    await sis.put_in("students", student_row())
    await sis.put_in("studentSchoolAssociations", enrolment_row())
    await drain(sister.runtime, district.app.state.inbox.process)
    assert await oldest() == (True, None)

    await sis.put_in("studentSchoolAssociations", enrolment_row(entry="2026-08-31"))
    answers, age = await oldest()
    assert (answers, 0 < age < 30) == (True, True)
    await drain(sister.runtime, district.app.state.inbox.process)
    assert await oldest() == (True, None)

    await district.app.state.inbox.process([replace(record(School("1").enrols()), body=b"{")])
    district.clock.set(datetime.now(UTC) + timedelta(hours=1))
    answers, age = await oldest()
    assert (answers, 3590 < age < 3630) == (True, True)


async def test_only_mtss_asks_what_has_not_left(sister: Running) -> None:
    for headers in (sister.headers("district"), sister.headers("sis"), sister.service_headers("surveys")):
        assert (await sister.http.get("/sis/v1/unpublished", headers=headers)).status_code == 403


async def test_an_event_that_is_being_handled_has_an_age(district: Running) -> None:
    inbox, at = district.app.state.inbox, datetime(2024, 9, 30, 17, 59, tzinfo=UTC)

    async def is_handling() -> bool:
        return bool(inbox.in_hand)

    late = [
        Record(uuid4(), "other.v1", "s", "north", b"", created_at=at),
        Record(uuid4(), "other.v1", "s", "south", b""),
    ]
    async with district.session() as session:  # whoever decides about the student now has to wait
        await session.execute(sa.text("SELECT FROM mtss_student FOR UPDATE"))
        handling = asyncio.create_task(inbox.process([*late, record(NORTH.absent(3))]))
        await eventually("it is being handled", is_handling)
        assert inbox.oldest_in_hand() == {"north": at}
    await handling
    assert inbox.oldest_in_hand() == {}


async def test_the_command_shows_it_to_who_works_at_a_terminal(district: Running, tmp_path: Path) -> None:
    trellis, queue, token = Typer(), Typer(), tmp_path / "token"
    trellis.command()(freshness)
    queue.command()(reviews)
    token.write_text(district.headers("district")["Authorization"].removeprefix("Bearer "))
    async with over_http(district.app) as url:
        options = ["--url", url, "--token-file", str(token)]
        every = await asyncio.to_thread(CliRunner().invoke, trellis, options)
        silent = await asyncio.to_thread(CliRunner().invoke, trellis, ["--silent", "--json", *options])
        waits = await asyncio.to_thread(CliRunner().invoke, queue, ["south", *options])
    assert f"Silent: 25 school days from {SOUTH.days[5]}" in waits.output
    assert (every.exit_code, "north" in every.output, "silent: 25" in every.output) == (0, True, True)
    assert ("south" in silent.output, "north" in silent.output) == (True, False)
