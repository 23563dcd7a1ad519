"""Change queries: what changed and what is gone between two versions, and that no late commit is ever skipped."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import Transactions
from common.runtime import Runtime
from sis.documents import write
from sis.resources import RESOURCES
from sis.rows import read_row
from tests.sis.conftest import CATEGORY, EDFI, Sis, absence, enrolment, student

EVENTS = "studentSchoolAttendanceEvents"


async def newest(sis: Sis) -> int:
    answer = await sis.call("GET", "/sis/changeQueries/v1/availableChangeVersions")
    assert answer.status_code == 200, answer.text
    versions = answer.json()
    assert versions.keys() == {"oldestChangeVersion", "newestChangeVersion"}
    assert versions["oldestChangeVersion"] == 0
    newest: int = versions["newestChangeVersion"]
    return newest


async def listed(sis: Sis, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = await sis.call("GET", f"{EDFI}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()
    return rows


async def test_a_window_holds_exactly_what_was_last_changed_in_it(sis: Sis) -> None:
    await sis.put_in("students", student("s1"), student("s2"))
    first = await newest(sis)
    await sis.put_in("students", student("s2", firstName="Ida"), student("s3"))
    second = await newest(sis)
    await sis.put_in("students", student("s4"))

    async def names(**window: int) -> set[str]:
        return {row["studentUniqueId"] for row in await listed(sis, "students", **window)}

    assert second - first == 2, "versions are small numbers: some clients go through them in steps of 50,000"
    assert await names(maxChangeVersion=first) == {"s1"}
    assert await names(minChangeVersion=first + 1, maxChangeVersion=second) == {"s2", "s3"}
    assert await names(minChangeVersion=second + 1) == {"s4"}
    assert await names(minChangeVersion=0, maxChangeVersion=await newest(sis)) == {"s1", "s2", "s3", "s4"}
    assert await names(minChangeVersion=second, maxChangeVersion=second) == {"s3"}


async def test_what_was_confirmed_and_not_changed_keeps_its_version(sis: Sis) -> None:
    for modified in ("2020-09-01", "2020-09-02"):
        await sis.put_in("students", student("s1", _lastModifiedDate=f"{modified}T00:00:00Z"))
    assert await listed(sis, "students", minChangeVersion=await newest(sis)) == []


async def test_deletes_name_what_is_gone_by_its_natural_key_until_it_is_back(sis: Sis) -> None:
    await sis.roster()
    kept, gone = await sis.put_in(EVENTS, absence(), absence("2026-09-02", sessionReference={"schoolYear": 2027}))
    before = await newest(sis)
    assert (await sis.delete(EVENTS, gone)).status_code == 204
    after = await newest(sis)

    (deleted,) = await listed(sis, f"{EVENTS}/deletes")
    assert before < deleted["changeVersion"] <= after
    assert deleted == {
        "id": gone,
        "changeVersion": deleted["changeVersion"],
        "keyValues": {
            "studentUniqueId": "s1",
            "schoolId": 1,
            "eventDate": "2026-09-02",
            "attendanceEventCategoryDescriptor": f"{CATEGORY}Unexcused Absence",
            "schoolYear": 2027,
        },
    }
    assert [row["id"] for row in await listed(sis, EVENTS)] == [kept]
    assert await listed(sis, f"{EVENTS}/deletes", minChangeVersion=after + 1) == []
    assert await listed(sis, f"{EVENTS}/deletes", maxChangeVersion=before) == []
    assert await listed(sis, "students/deletes") == []

    await sis.put_in(EVENTS, absence("2026-09-02", sessionReference={"schoolYear": 2027}))
    assert await listed(sis, f"{EVENTS}/deletes") == []
    assert len(await listed(sis, EVENTS, minChangeVersion=after + 1)) == 1


async def test_deletes_and_key_changes_are_paged_and_counted_as_lists_are(sis: Sis) -> None:
    await sis.bulk("students", [student(f"s{number}") for number in range(7)])
    await sis.bulk("students", [student(f"s{number}") for number in range(7)], deletes=True)
    path, seen = f"{EDFI}/students/deletes", []
    page = await sis.call("GET", path, params={"limit": 3, "totalCount": "True"})
    assert page.headers["Total-Count"] == "7"
    while True:
        seen += [row["keyValues"]["studentUniqueId"] for row in page.json()]
        if (token := page.headers.get("Next-Page-Token")) is None:
            break
        page = await sis.call("GET", path, params={"pageToken": token, "pageSize": 3})
    assert sorted(seen) == [f"s{number}" for number in range(7)]

    none = await sis.call("GET", f"{EDFI}/students/keyChanges", params={"totalCount": "true", "limit": 0})
    assert (none.status_code, none.json(), none.headers["Total-Count"]) == (200, [], "0")
    assert (await sis.call("GET", f"{EDFI}/unheardOf/keyChanges")).status_code == 404
    assert (await sis.call("GET", path, role="principal")).status_code == 403


def before_each_commit(monkeypatch: pytest.MonkeyPatch, wait: Callable[[], Awaitable[object]]) -> None:
    """Let every transaction wait before it commits, those that pushes share too."""

    def waiting(begin: Callable[..., Any]) -> Callable[..., Any]:
        @asynccontextmanager
        async def waits(*arguments: Any) -> AsyncIterator[AsyncSession]:
            async with begin(*arguments) as session:
                yield session
                await wait()

        return waits

    monkeypatch.setattr(Runtime, "transaction", waiting(Runtime.transaction))
    monkeypatch.setattr(Transactions, "begin", waiting(Transactions.begin))


async def test_who_asks_waits_for_what_is_being_committed(sis: Sis, monkeypatch: pytest.MonkeyPatch) -> None:
    written, commit = asyncio.Event(), asyncio.Event()

    async def held() -> None:
        written.set()
        await commit.wait()

    before_each_commit(monkeypatch, held)
    pushed = asyncio.create_task(sis.post("students", student()))
    await asyncio.wait_for(written.wait(), 10)
    monkeypatch.undo()
    asked = asyncio.create_task(newest(sis))
    await asyncio.sleep(0.3)
    assert not asked.done()
    commit.set()
    assert (await pushed).status_code == 201
    assert len(await listed(sis, "students", minChangeVersion=await asked)) == 1


async def test_nobody_who_pushes_waits_for_who_asks(sis: Sis) -> None:
    (identity,) = await sis.put_in("students", student())
    async with sis.running.session() as session:
        rows = [read_row(RESOURCES["students"], student("s2"))]
        await write(session, sis.running.runtime.vault, RESOURCES["students"], rows, ["sis"])
        asked = asyncio.create_task(newest(sis))
        await asyncio.sleep(0.3)
        changed = student(firstName="Renamed")
        replaced = sis.call("PUT", f"{EDFI}/students/{identity}", json=changed | {"id": identity})
        for answer in await asyncio.wait_for(asyncio.gather(replaced, sis.post("students", student("s3"))), 5):
            assert answer.status_code in (201, 204)
        assert not asked.done()
        await session.commit()
    seen = await listed(sis, "students", maxChangeVersion=await asked)
    assert [row["studentUniqueId"] for row in seen] == ["s2"]  # the other two came after it was asked


async def test_who_follows_change_versions_misses_no_transaction_that_commits_late(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions of many lengths, and a follower that asks all the time: in the end it holds what we hold."""
    await sis.roster()
    pauses = cycle([0.0, 0.15, 0.01, 0.3, 0.05])
    before_each_commit(monkeypatch, lambda: asyncio.sleep(next(pauses)))
    done, followed = asyncio.Event(), dict[str, str]()
    follower = asyncio.create_task(_follow(sis, followed, done))
    await asyncio.gather(*(_push(sis, lane) for lane in range(6)))
    monkeypatch.undo()
    done.set()
    await asyncio.wait_for(follower, 20)
    held = {row["id"]: row["_etag"] for row in await listed(sis, EVENTS, limit=500)}
    assert len(held) == 54
    assert followed == held


async def _push(sis: Sis, lane: int) -> None:
    """Push twelve days of one month and take every fourth away."""
    for number in range(12):
        answer = await sis.post(EVENTS, absence(f"2026-{7 + lane:02}-{1 + number:02}"))
        if number % 4 == 3:
            await sis.delete(EVENTS, answer.json()["id"])


async def _follow(sis: Sis, followed: dict[str, str], done: asyncio.Event) -> None:
    """Take up each window of changes, for the last time after ``done``."""
    since, last = 0, False
    while not last:
        last, until = done.is_set(), await newest(sis)
        window = {"minChangeVersion": since, "maxChangeVersion": until, "limit": 500}
        followed |= {row["id"]: row["_etag"] for row in await listed(sis, EVENTS, **window)}
        for row in await listed(sis, f"{EVENTS}/deletes", **window):
            followed.pop(row["id"], None)
        since = until + 1


async def test_documents_of_other_resources_are_not_in_a_window(sis: Sis) -> None:
    await sis.roster()
    await sis.put_in("studentSchoolAssociations", enrolment())
    assert len(await listed(sis, "studentSchoolAssociations", minChangeVersion=0)) == 1
