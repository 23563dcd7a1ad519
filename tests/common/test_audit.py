"""The audit log: written with what it records, sealed into a chain, and whole or not to the row."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.audit.chain import Entry, anchors_in, check
from common.audit.sealing import BATCH, anchor, seal
from common.auth import READ_AUDIT
from common.db import create_engine
from common.embedded import Cluster
from common.policy import AUDIT_SEALED
from tests.common.test_telemetry import Written, written
from tests.harness import Running

__all__ = ["written"]

NOTE = {"name": "Aurelia-Canary", "number": 1}
ROUTE = "/echo/v1/notes"
STAFF = uuid4()
ADDED = """
    INSERT INTO audit SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), 'number', 6))).*
    FROM audit AS a WHERE number = 5
    """
"""A row put behind the last one, as if the sealer had."""


async def record(echo: Running, note: Any = NOTE, **headers: str) -> Any:
    return await echo.http.post(ROUTE, json=note, headers=echo.headers("district", staff=STAFF) | headers)


async def rows(echo: Running) -> Sequence[Any]:
    async with echo.session() as session:
        return (await session.execute(sa.text("SELECT * FROM audit ORDER BY number NULLS LAST, id"))).all()


async def entries(echo: Running, **asked: Any) -> list[Entry]:
    headers, cursor = echo.headers("district", permissions=[READ_AUDIT]), None
    found: list[Entry] = []
    while True:
        query = asked | ({"cursor": cursor} if cursor else {})
        page = (await echo.http.get("/echo/v1/audit", params=query, headers=headers)).json()
        found += map(Entry.model_validate, page["items"])
        if (cursor := page["next"]) is None:
            return found


async def change(echo: Running, statement: str) -> None:
    """Change the log as only whoever owns the whole machine can: no trigger asks."""
    async with echo.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        await connection.execute(sa.text(statement))


@pytest_asyncio.fixture(loop_scope="session")
async def sealed(echo: Running) -> AsyncIterator[Running]:
    """Five changes, sealed."""
    for _ in range(5):
        await record(echo)
    await seal(echo.runtime)
    yield echo


# --- written -----------------------------------------------------------------------------------------------------------


async def test_a_change_is_on_record_by_who_what_and_how_it_ended_and_never_what_it_said(echo: Running) -> None:
    await record(echo)

    (row,) = await rows(echo)
    assert (row.subject, row.role, row.method, row.route, row.status) == (str(STAFF), "district", "POST", ROUTE, 201)
    assert (row.purpose, row.reads, row.repeated) == ("support", ["directory"], False)
    assert "Canary" not in str(row)


async def test_what_was_refused_or_failed_left_nothing(echo: Running) -> None:
    for note in (NOTE | {"number": -1}, NOTE | {"more": 1}):
        assert (await record(echo, note)).status_code in (409, 422)
    assert await rows(echo) == []


async def test_fifty_at_once_are_each_on_record_once(echo: Running) -> None:
    students = [(await one).json()["id"] for one in asyncio.as_completed([record(echo) for _ in range(50)])]
    await asyncio.gather(*(seal(echo.runtime) for _ in range(5)))

    found = await rows(echo)
    assert len(students) == len(found) == 50
    assert [row.number for row in found] == list(range(1, 51))
    assert check("echo", await entries(echo), {}).faults == []


async def test_what_is_answered_again_says_that_it_happened_before(echo: Running) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    await record(echo, **key)
    await record(echo, **key)

    assert sorted(row.repeated for row in await rows(echo)) == [False, True]


# --- it stays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["application", "owner"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit",
        "TRUNCATE audit",
        "UPDATE audit SET subject = 'somebody else'",
        "UPDATE audit SET students = '{}'",
        "UPDATE audit SET at = now() - interval '1 day'",
        "UPDATE audit SET number = 7, digest = 'x'",
        "UPDATE audit SET number = NULL, digest = NULL",
    ],
)
async def test_nobody_who_works_on_the_database_changes_a_sealed_row(
    sealed: Running, cluster: Cluster, role: str, statement: str
) -> None:
    before = await rows(sealed)
    engine = create_engine(cluster.application_url("echo") if role == "application" else cluster.owner_url("echo"))

    async with engine.connect() as connection:
        await connection.execute(sa.text("SET LOCAL trellis.sees = 'all'"))
        with pytest.raises(sa.exc.DBAPIError, match=r"permission denied|the audit log stays"):
            await connection.execute(sa.text(statement))
    await engine.dispose()
    assert await rows(sealed) == before


async def test_the_application_says_neither_when_a_row_was_nor_where_it_stands(echo: Running, cluster: Cluster) -> None:
    engine = create_engine(cluster.application_url("echo"))
    for column, value in (("at", "now()"), ("number", "1")):
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            async with engine.begin() as connection:
                await connection.execute(sa.text(f"INSERT INTO audit ({column}) VALUES ({value})"))
    await engine.dispose()


# --- whole -------------------------------------------------------------------------------------------------------------


async def test_a_log_that_nobody_touched_is_whole(sealed: Running) -> None:
    found = check("echo", await entries(sealed, limit=2), {})
    assert (found.sealed, found.faults) == (5, [])


async def test_a_row_that_commits_late_gets_its_place_when_it_is_seen(sealed: Running) -> None:
    async with sealed.session() as session:
        await session.execute(
            sa.text(
                "INSERT INTO audit (id, subject, role, method, route, purpose, reads, students, status, repeated) "
                "VALUES ('00000000-0000-7000-8000-000000000000', 'a', 'b', 'c', 'd', 'e', '{}', '{}', 200, false)"
            )
        )
        await record(sealed)
        await seal(sealed.runtime)
    await seal(sealed.runtime)

    assert [(row.number, row.subject) for row in await rows(sealed)][-2:] == [(6, str(STAFF)), (7, "a")]
    assert check("echo", await entries(sealed), {}).faults == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE audit SET subject = overlay(subject placing 'x' from 3 for 1) WHERE number = 3",
            ["row 3 was changed"],
        ),
        (f"UPDATE audit SET students = '{{{UUID(int=1)}}}' WHERE number = 2", ["row 2 was changed"]),
        ("UPDATE audit SET status = 404 WHERE number = 5", ["row 5 was changed"]),
        ("UPDATE audit SET digest = repeat('0', 64) WHERE number = 3", ["row 3 was changed", "row 4 was changed"]),
        ("DELETE FROM audit WHERE number = 3", ["row 3 is missing"]),
        ("DELETE FROM audit WHERE number IN (1, 2)", ["rows 1 to 2 are missing"]),
        ("DELETE FROM audit WHERE number > 3", ["rows 4 to 5 are missing, as an anchor shows"]),
        (ADDED, ["row 6 was changed or added"]),
    ],
)
async def test_what_was_changed_added_or_taken_away_is_found(
    sealed: Running, written: Written, statement: str, said: list[str]
) -> None:
    await anchor(sealed.runtime)
    anchors = anchors_in(map(json.dumps, written.lines))["echo"]
    assert list(anchors) == [5]

    await change(sealed, statement)

    faults = check("echo", await entries(sealed), anchors).faults
    assert len(faults) == len(said)
    assert [fault[: len(words)] for fault, words in zip(faults, said, strict=True)] == said


async def test_a_chain_that_was_made_anew_is_found_by_an_anchor(sealed: Running, written: Written) -> None:
    await anchor(sealed.runtime)
    anchors = anchors_in([*map(json.dumps, written.lines), "no line of ours", '{"event": "another"}'])["echo"]

    await change(sealed, "UPDATE audit SET subject = 'nobody', number = NULL, digest = NULL WHERE number >= 4")
    await seal(sealed.runtime)

    assert check("echo", await entries(sealed), {}).faults == []
    (fault,) = check("echo", await entries(sealed), anchors).faults
    assert fault.startswith("row 5 is not the one that was anchored")


async def test_no_rows_of_another_service_fit_at_the_beginning(sealed: Running) -> None:
    assert check("mtss", await entries(sealed), {}).faults == ["row 1 was changed or added, or the one before it was"]


async def test_more_rows_than_one_batch_are_sealed_by_one_pass(echo: Running) -> None:
    async with echo.session() as session:
        await session.execute(
            sa.text(
                "INSERT INTO audit (id, subject, role, method, route, purpose, reads, students, status, repeated) "
                "SELECT gen_random_uuid(), 'a', 'b', 'c', 'd', 'e', '{}', '{}', 200, false FROM generate_series(1, :n)"
            ),
            {"n": 2 * BATCH + 1},
        )
    await seal(echo.runtime)

    found = check("echo", await entries(echo, limit=500), {})
    assert (found.sealed, found.faults) == (2 * BATCH + 1, [])


async def test_rows_that_are_not_sealed_in_time_are_told(sealed: Running) -> None:
    async def told() -> tuple[int, int]:
        headers = sealed.headers("district", permissions=[READ_AUDIT])
        page = (await sealed.http.get("/echo/v1/audit", params={"limit": 1}, headers=headers)).json()
        return page["unsealed"], page["late"]

    await record(sealed)
    assert await told() == (1, 0)  # and that it was asked is a row, too
    await change(sealed, f"UPDATE audit SET at = at - interval '{AUDIT_SEALED.seconds} seconds' WHERE number IS NULL")
    assert await told() == (2, 2)
    await seal(sealed.runtime)
    assert await told() == (0, 0)


# --- read --------------------------------------------------------------------------------------------------------------


async def test_the_log_is_read_by_who_has_the_permission_and_that_is_on_record(sealed: Running) -> None:
    path = "/echo/v1/audit"
    for headers in (sealed.headers("district"), sealed.headers("principal", permissions=[READ_AUDIT])):
        assert (await sealed.http.get(path, headers=headers)).status_code == 403
    page = (await sealed.http.get(path, headers=sealed.headers("district", permissions=[READ_AUDIT]))).json()
    assert (len(page["items"]), page["unsealed"]) == (5, 0)

    await seal(sealed.runtime)
    *_, last = await entries(sealed)
    assert (last.method, last.route, last.reads, last.status) == ("GET", path, ["access_record"], 200)


async def test_the_log_is_asked_by_who_about_whom_and_since_when(sealed: Running) -> None:
    other, student = uuid4(), uuid4()
    await change(sealed, f"UPDATE audit SET subject = '{other}', students = '{{{student}}}' WHERE number = 2")
    await change(sealed, "UPDATE audit SET at = at - interval '3 days' WHERE number = 1")
    today = sealed.runtime.today()

    assert [entry.number for entry in await entries(sealed, subject=str(other))] == [2]
    assert [entry.number for entry in await entries(sealed, student=str(student))] == [2]
    assert [entry.number for entry in await entries(sealed, since=str(today))] == [2, 3, 4, 5]
