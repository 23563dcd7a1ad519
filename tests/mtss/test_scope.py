"""What a teacher reads of whom, and that each of the two nets holds with the other off."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.events import Relation, TierDecided
from common.scope import sight
from tests.harness import Running
from tests.mtss.made_up import STUDENT, School, named, school_days
from tests.scoped import TEACHER, attends, related, teaches

OTHER = named("student", 1)
NORTH, SOUTH = School("north", days=school_days(60)), School("south", days=school_days(60))
PATHS = ("/students/{0}", "/students/{0}/course", "/students/{0}/decisions")


@pytest_asyncio.fixture(loop_scope="session")
async def district(mtss: Running) -> AsyncIterator[Running]:
    """Targeted students, by all three grounds in the north and by attendance in the south; the teacher teaches in the north."""
    mtss.clock.set(datetime(2024, 11, 1, 18, tzinfo=UTC))
    first = NORTH.days[0]
    await mtss.deliver(teaches(begin_on=first), attends(STUDENT, begin_on=first))
    await mtss.deliver(
        NORTH.calendar(),
        SOUTH.calendar(),
        NORTH.enrols(),
        SOUTH.enrols(OTHER),
        *(NORTH.absent(day) for day in (18, 19)),
        *(SOUTH.absent(day, OTHER) for day in (18, 19)),
        *(NORTH.refers(day, day) for day in range(6)),
        NORTH.scores(20, 2.0),
        *NORTH.closes_through(30),
        *SOUTH.closes_through(30),
    )
    yield mtss


@pytest.fixture(params=["both nets", "no first net", "no second net"])
async def nets(request: pytest.FixtureRequest, mtss: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Each net alone, and both."""
    if request.param == "no first net":
        monkeypatch.setattr(sight, "seen", lambda _: sa.true())
        monkeypatch.setattr(sight, "seen_school", lambda _: sa.true())
    if request.param == "no second net":
        await row_security(mtss, "DISABLE")
    yield request.param
    await row_security(mtss, "ENABLE")


async def row_security(mtss: Running, switched: str) -> None:
    async with mtss.admin.begin() as connection:
        protected = "SELECT tablename FROM pg_policies WHERE schemaname = 'public' AND tablename LIKE 'mtss_%'"
        for (table,) in (await connection.execute(sa.text(protected))).all():
            await connection.execute(sa.text(f"ALTER TABLE {table} {switched} ROW LEVEL SECURITY"))


async def get(mtss: Running, path: str, role: str = "teacher", schools: Sequence[str] = ()) -> tuple[int, Any]:
    headers = mtss.headers(role, staff=TEACHER, schools=schools)
    answer = await mtss.http.get(f"/mtss/v1{path}", headers=headers)
    return answer.status_code, answer.json()


async def statuses(mtss: Running, student: UUID, role: str = "teacher", schools: Sequence[str] = ()) -> set[int]:
    said = next(event for event in await mtss.said(TierDecided) if event.student_id == student)
    paths = [path.format(student) for path in PATHS] + [f"/decisions/{said.decision_id}"]
    return {(await get(mtss, path, role, schools))[0] for path in paths}


async def test_a_teacher_sees_the_students_of_the_section_and_nobody_else(district: Running, nets: str) -> None:
    assert (await statuses(district, STUDENT), await statuses(district, OTHER)) == ({200}, {404})
    _, page = await get(district, "/students?limit=1")
    assert ([line["student_id"] for line in page["items"]], page["next"]) == ([str(STUDENT)], None)
    assert (await get(district, "/students?school=south"))[1]["items"] == []


async def test_a_principal_sees_the_school_and_its_totals_alone(district: Running, nets: str) -> None:
    own: dict[str, Any] = {"role": "principal", "schools": ["north"]}
    assert (await statuses(district, STUDENT, **own), await statuses(district, OTHER, **own)) == ({200}, {404})
    assert (await get(district, "/schools/north/summary", **own))[1]["students"] == 1
    assert (await get(district, "/schools/south/summary", **own))[0] == 404


async def test_who_moves_takes_the_view_along(district: Running, nets: str) -> None:
    on = district.runtime.today()
    await district.deliver(NORTH.enrols(exit_on=on - timedelta(days=1)), SOUTH.enrols(entry_on=on))

    assert await statuses(district, STUDENT) == {404}
    assert await statuses(district, STUDENT, "principal", ["north"]) == {404}
    assert await statuses(district, STUDENT, "principal", ["south"]) == {200}


async def test_who_taught_until_yesterday_sees_nothing_today(district: Running, nets: str) -> None:
    yesterday = district.runtime.today() - timedelta(days=1)
    await district.deliver(teaches(begin_on=NORTH.days[0], end_on=yesterday))

    assert await statuses(district, STUDENT) == {404}
    assert (await get(district, "/students"))[1] == {"items": [], "next": None}


async def test_a_caseload_shows_a_student_of_another_school(district: Running, nets: str) -> None:
    await district.deliver(related(Relation.CASELOAD, OTHER, begin_on=NORTH.days[0]))

    assert await statuses(district, OTHER) == {200}


async def test_a_teacher_reads_attendance_and_nothing_of_discipline_and_surveys(district: Running) -> None:
    said = next(event for event in await district.said(TierDecided) if event.student_id == STUDENT)
    _, all_of_it = await get(district, f"/students/{STUDENT}", "district")
    mine = [clause for clause in all_of_it["clauses"] if "attendance" in clause["clause"]]
    others = [clause for clause in all_of_it["clauses"] if clause not in mine]
    assert {"adult_support", "referrals"} <= {clause["clause"] for clause in others}
    hidden = [clause[words] for clause in others for words in ("clause", "in_words", "what_would_change_it")]
    assert all_of_it["proposal"] is not None

    paths = (f"/students/{STUDENT}", f"/decisions/{said.decision_id}", f"/students/{STUDENT}/decisions")
    for path in (*paths, f"/decisions/{said.decision_id}/words"):
        status, document = await get(district, path)
        assert status == 200
        assert not [words for words in ("referral", "survey", *hidden) if words in str(document)]
    told = await district.http.get(f"/mtss/v1/students/{STUDENT}", headers=district.headers("teacher", staff=TEACHER))
    student = told.json()
    assert "ETag" not in told.headers, "whether a proposal is open could be tried out on it"
    assert (student["clauses"], student["proposal"], student["tier"]) == (mine, None, "targeted")
    assert student["coverage"] == {"known": len(mine), "of": len(mine)}
    _, course = await get(district, f"/students/{STUDENT}/course")
    names = {clause["clause"] for clause in mine}
    assert all(day["clauses"].keys() == names and day["intensive_candidate"] is None for day in course["items"])
    assert {line["proposal_open"] for line in (await get(district, "/students"))[1]["items"]} == {None}


async def test_a_teacher_reads_no_summary_of_a_school(district: Running) -> None:
    assert (await get(district, "/schools/north/summary"))[0] == 403
