"""F1 at the Ed-Fi door: a client of eight connections pushes row by row while sis is killed: nothing twice, nothing lost."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.faults.checker import settled, violations
from tests.faults.district import District
from tests.faults.push import School, school

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

PATH = "/sis/data/v3/ed-fi/studentSchoolAttendanceEvents"
CONNECTIONS, KILLS = 8, 2
AGAIN_SECONDS = 0.05

Fact = tuple[str, date]


async def test_rows_pushed_one_by_one_while_sis_is_killed_are_each_there_once(shared: District) -> None:
    pushed = school(shared, students=40)
    await pushed.open()
    facts = [(name, day) for day in pushed.days[-12:] for name in pushed.ids]
    lanes: list[list[Fact]] = [facts[lane::CONNECTIONS] for lane in range(CONNECTIONS)]
    ids, answers = dict[Fact, set[str]](), Counter[int]()

    clients = [asyncio.create_task(push(shared, pushed, lane, ids, answers)) for lane in lanes]
    for kill in range(1, KILLS + 1):
        await until_answered(answers, kill * len(facts) // (KILLS + 1), clients)
        shared.sis.kill()
        await shared.sis.started()
    await asyncio.gather(*clients)

    assert pushed.cut, "no request was cut off: the kills came too late"
    assert {len(found) for found in ids.values()} == {1}, "a row was answered under two ids"
    assert answers.keys() <= {200, 201}
    assert await standing(shared, pushed) == {next(iter(found)) for found in ids.values()}
    assert await twice_said(shared, pushed) == []
    await pushed.close(pushed.days[-1])
    await pushed.leave()
    await settled(shared)
    assert await violations(shared, [pushed]) == []


async def push(
    district: District, pushed: School, lane: list[Fact], ids: dict[Fact, set[str]], answers: Counter[int]
) -> None:
    """Push the rows of one connection in their order, each until it is accepted, as exporters do."""
    async with district.http("sis", "sis") as client:
        for fact in lane:
            answer = await accepted(client, pushed, pushed._absence(*fact, 100))
            answers[answer.status_code] += 1
            ids.setdefault(fact, set()).add(answer.json()["id"])
            pushed.accepted.add(UUID(answer.json()["id"]))
            pushed.missed[pushed.ids[fact[0]], fact[1]] = 100


async def accepted(client: httpx.AsyncClient, pushed: School, row: Mapping[str, Any]) -> httpx.Response:
    """The answer that is not *try again*: after a cut connection and after 5xx the same row is sent again."""
    body = gzip.compress(json.dumps(row).encode())
    while True:
        try:
            answer = await client.post(PATH, content=body, headers={"Content-Encoding": "gzip"})
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code < 500:
            assert answer.is_success, answer.text
            return answer
        pushed.cut += 1
        await asyncio.sleep(AGAIN_SECONDS)


async def until_answered(answers: Counter[int], count: int, clients: list[asyncio.Task[None]]) -> None:
    """Wait until so many rows have been answered."""
    while answers.total() < count:
        for client in clients:
            if client.done():
                client.result()
        await asyncio.sleep(0.005)


async def standing(district: District, pushed: School) -> set[str]:
    """Ids of the school's attendance rows: each natural key once, none with an earlier revision."""
    rows = await district.rows(
        "sis",
        """
        SELECT d.id::text, d.turn, (SELECT count(*) FROM sis_revision AS r WHERE r.id = d.id) AS earlier
        FROM sis_document AS d
        WHERE d.resource = 'studentSchoolAttendanceEvents' AND d.school_id = :school AND NOT d.deleted
        """,
        school=pushed.id,
    )
    assert {(row.turn, row.earlier) for row in rows} == {(1, 0)}, "a row was written twice"
    return {row.id for row in rows}


async def twice_said(district: District, pushed: School) -> list[Any]:
    """Absences that were told to the others more than once."""
    said = await district.rows(
        "sis",
        """
        SELECT subject, convert_from(body, 'UTF8')::jsonb ->> 'on' AS day, count(*) FROM outbox
        WHERE type = 'sis.attendance-recorded.v1' AND convert_from(body, 'UTF8')::jsonb ->> 'school_id' = :school
        GROUP BY 1, 2 HAVING count(*) > 1
        """,
        school=pushed.id,
    )
    return list(said)
