"""Who of the staff was trained to see that a student needs help, and whose training is over."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from typer.testing import CliRunner

from common.policies import PolicyInvalid
from mtss.commands.trainings import app
from mtss.supports import POLICY, read_catalogue
from tests.harness import Running, over_http
from tests.mtss.made_up import School, named, school_days
from tests.mtss.test_people import at_noon, call
from tests.scoped import TEACHER, assigned

SCHOOL = School("north", days=school_days(60))
COUNSELOR, AWAY, GONE = (named("staff", each) for each in ("counselor", "away", "gone"))
TRAINED_ON = str(SCHOOL.days[0])


@pytest_asyncio.fixture(loop_scope="session")
async def school(mtss: Running) -> AsyncIterator[Running]:
    """At noon of day 20 two work at the school, one at another, and one until day 10."""
    mtss.clock.set(at_noon(20))
    begin_on = SCHOOL.days[0]
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), assigned(begin_on=begin_on))
    await mtss.deliver(
        assigned(COUNSELOR, begin_on=begin_on), assigned(COUNSELOR, begin_on=begin_on, classification="dean")
    )
    await mtss.deliver(assigned(AWAY, "south", begin_on), assigned(GONE, begin_on=begin_on, end_on=SCHOOL.days[10]))
    yield mtss


async def record(
    mtss: Running, *staff: UUID, on: str = TRAINED_ON, training: str = "signs", **who: Any
) -> httpx.Response:
    body = {"training": training, "trained_on": on, "staff_ids": list(map(str, staff))}
    return await call(mtss, "POST", "/trainings", json=body, **{"role": "district"} | who)


async def listed(mtss: Running, **more: Any) -> Any:
    return (await call(mtss, "GET", "/schools/north/trainings", **{"role": "principal"} | more)).json()


async def test_many_are_recorded_at_once_and_again_nothing_changes(school: Running) -> None:
    once = await record(school, TEACHER, COUNSELOR, AWAY, TEACHER)
    again = await record(school, TEACHER)

    assert (once.status_code, once.json()) == (201, {"recorded": 3, "known": 0})
    assert again.json() == {"recorded": 0, "known": 1}


async def test_a_school_reads_who_works_there_today_and_how_many_of_them_hold_it(school: Running) -> None:
    await record(school, TEACHER, GONE)
    told = await listed(school)

    (counted,) = told["counts"]
    assert (counted["training"], counted["staff"], counted["hold"]) == ("signs", 2, 1)
    held = {
        each["staff_id"]: [(one["trained_on"], one["holds"]) for one in each["trainings"]] for each in told["items"]
    }
    assert held == {str(TEACHER): [(TRAINED_ON, True)], str(COUNSELOR): []}

    first = await listed(school, params={"limit": 1})
    second = await listed(school, params={"limit": 1, "cursor": first["next"]})
    assert [each["items"] for each in (first, second)] == [[each] for each in told["items"]]
    assert second["next"] is None


async def test_a_training_holds_through_its_last_day_and_the_latest_one_counts(school: Running) -> None:
    await record(school, TEACHER, COUNSELOR)
    await record(school, TEACHER, on=str(SCHOOL.days[15]))
    school.clock.set(at_noon(0) + timedelta(days=1095))  # 1,095 days after the first
    (before,) = (await listed(school))["counts"]
    school.clock.set(at_noon(0) + timedelta(days=1096))
    told = await listed(school)

    assert (before["staff"], before["hold"], told["counts"][0]["hold"]) == (2, 2, 1)
    holds = {each["staff_id"]: [one["holds"] for one in each["trainings"]] for each in told["items"]}
    assert holds == {str(TEACHER): [True], str(COUNSELOR): [False]}


async def test_what_was_recorded_by_mistake_is_withdrawn_and_stays_on_record(school: Running) -> None:
    await record(school, TEACHER)
    (held,) = next(each["trainings"] for each in (await listed(school))["items"] if each["staff_id"] == str(TEACHER))
    path = f"/trainings/{held['id']}"
    answers = [(await call(school, "DELETE", path, role="district")).status_code for _ in range(2)]

    assert answers == [204, 404]
    assert (await listed(school))["counts"][0]["hold"] == 0
    assert (await record(school, TEACHER)).json() == {"recorded": 1, "known": 0}
    async with school.admin.connect() as connection:
        kept = sa.text("SELECT withdrawn_by IS NOT NULL FROM mtss_training ORDER BY id")
        assert (await connection.execute(kept)).scalars().all() == [True, False]


async def test_what_cannot_be_is_refused_by_its_place_and_nobody_is_recorded(school: Running) -> None:
    unknown = await record(school, TEACHER, named("staff", "nobody"))
    other = await record(school, TEACHER, training="yoga")
    later = await record(school, TEACHER, on=str(SCHOOL.days[40]))

    assert [each.status_code for each in (unknown, other, later)] == [422, 422, 422]
    said = [(each.json()["errors"][0]["field"], each.json()["errors"][0]["rule"]) for each in (unknown, other, later)]
    assert said[0] == ("staff_ids", "must be staff whom the SIS assigns to a school or a district; not so: number 2")
    assert [field for field, _ in said] == ["staff_ids", "training", "trained_on"]
    assert (await listed(school))["counts"][0]["hold"] == 0


async def test_only_the_district_records_and_a_principal_reads_of_their_own_school(school: Running) -> None:
    path = "/schools/north/trainings"
    for role in ("principal", "counselor", "teacher"):
        assert (await record(school, TEACHER, role=role)).status_code == 403
    assert (await call(school, "GET", path, role="counselor")).status_code == 403
    assert (await call(school, "GET", path, role="principal", schools=["south"])).status_code == 404


async def test_an_operator_records_shows_and_withdraws(school: Running, tmp_path: Path) -> None:
    staff, bad, token = tmp_path / "trained.txt", tmp_path / "bad.txt", tmp_path / "token"
    staff.write_text(f"{TEACHER}\n\n")
    bad.write_text(f"{TEACHER}\nT. Field\n")
    token.write_text(school.headers("district")["Authorization"].removeprefix("Bearer "))
    async with over_http(school.app) as url:
        at = ["--url", url, "--token-file", str(token)]

        async def run(*arguments: str) -> Any:
            return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *at])

        refused = await run("record", "signs", str(bad), "--on", TRAINED_ON)
        recorded = await run("record", "signs", str(staff), "--on", TRAINED_ON)
        shown = await run("show", "north")
        due = await run("show", "north", "--due", "--json")
        (held,) = next(each["trainings"] for each in (await listed(school))["items"] if each["trainings"])
        withdrawn = await run("withdraw", held["id"])

    assert (refused.exit_code, refused.stderr.strip()) == (1, "Line 2 of bad.txt is no id that sis gives.")
    assert recorded.stdout.endswith("1 recorded, 0 known before.\n")
    assert "signs: 1 of 2 hold it" in shown.stdout
    assert str(COUNSELOR) in due.stdout
    assert str(TEACHER) not in due.stdout
    assert withdrawn.exit_code == 0


def test_a_training_that_never_holds_is_refused() -> None:
    never = {"signs": {"title": "Signs", "holds_days": 0}}
    with pytest.raises(PolicyInvalid, match=r"trainings\.signs\.holds_days must be at least 1"):
        read_catalogue(POLICY | {"trainings": never})
