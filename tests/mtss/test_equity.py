"""Real decisions of a month by group, from a real sis: told once, and what calls for a person waits for one."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from common.errors import SisterUnavailable
from common.keys import read_keys
from common.telemetry import metrics_page
from mtss.commands.equity import app
from mtss.models.monthly import happened
from mtss.monthly import span_of, tell_equity
from tests.harness import Running, over_http
from tests.mtss.made_up import School, named, policy, school_days
from tests.mtss.test_rehearsal_groups import _ids, _push, _races, _stored
from tests.mtss.test_rehearsals import mtss, sis
from tests.scoped import TEACHER, assigned

__all__ = ["mtss", "sis"]

SCHOOL = School(days=school_days(60))
IN_OCTOBER = datetime(2024, 10, 1, 18, tzinfo=UTC)
FOUND = {"finding": "One school refers for dress code alone; its principal changes that."}


async def _backdate(mtss: Running, on: datetime, *tables: str) -> None:
    """As if what was decided had been decided then."""
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table in tables or ("mtss_decision",):
            await connection.execute(sa.text(f"UPDATE {table} SET known_at = :on"), {"on": on})


async def _district(mtss: Running, sis: Running) -> Sequence[UUID]:
    """Of forty Asian students 24 entered in September, of forty White ones 10."""
    named = [{"studentUniqueId": f"s{n}", "firstName": "Ada", "lastSurname": "Quill"} for n in range(80)]
    await _push(sis, mtss.headers("sis"), "students", named)
    students = await _ids(sis)
    said = [
        {
            "studentReference": {"studentUniqueId": f"s{n}"},
            "educationOrganizationReference": {"educationOrganizationId": 1},
            **_races("Asian" if n < 40 else "White"),
        }
        for n in range(80)
    ]
    await _push(sis, mtss.headers("sis"), "studentEducationOrganizationAssociations", said)
    missing = [students[n] for n in (*range(24), *range(40, 50))]
    await mtss.deliver(SCHOOL.calendar(), *(SCHOOL.enrols(each) for each in students), *SCHOOL.closes_through(22))
    await mtss.deliver(*(SCHOOL.absent(day, each) for each in missing for day in range(3)))
    await _backdate(mtss, datetime(2024, 9, 20, tzinfo=UTC))
    mtss.clock.set(IN_OCTOBER)
    return students


async def _ask(mtss: Running, path: str = "", **json: Any) -> httpx.Response:
    headers, address = mtss.headers("district"), f"/mtss/v1/equity{path}"
    return await (
        mtss.http.post(address, json=json, headers=headers) if json else mtss.http.get(address, headers=headers)
    )


async def _call(mtss: Running, path: str, **json: Any) -> Any:
    answer = await mtss.http.post(f"/mtss/v1{path}", json=json, headers=mtss.headers("district"))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def _again(mtss: Running) -> None:
    """The same month once more, as if it were the next."""
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("DELETE FROM mtss_equity"))
    await tell_equity(mtss.runtime)


async def test_a_month_is_told_once_and_a_ratio_beyond_the_threshold_waits_until_somebody_says_what_they_found(
    mtss: Running, sis: Running, tmp_path: Path
) -> None:
    students = await _district(mtss, sis)
    mtss.clock.set(datetime(2024, 9, 30, 18, tzinfo=UTC))
    await tell_equity(mtss.runtime)
    assert (await _ask(mtss)).json()["items"] == []  # the month is not over

    mtss.clock.set(IN_OCTOBER)
    await asyncio.gather(*(tell_equity(mtss.runtime) for _ in range(3)))

    (month,) = (await _ask(mtss)).json()["items"]
    assert (month["month"], month["students"], month["minimum"]) == ("2024-09-01", 80, {"cell": 10, "students": 30})
    asian, white = month["measures"]["entered"]["race"]
    assert [(each["group"], each["told"]["count"], each["told"]["of"]) for each in (asian, white)] == [
        ("asian", 24, 40),
        ("white", 10, 40),
    ]
    assert month["measures"]["overridden_up"]["race"] == [{"group": each, "told": None} for each in ("asian", "white")]
    (alert,) = month["alerts"]
    said = alert["measure"], alert["kind"], alert["group"], alert["side"], alert["threshold"]
    assert (said, round(alert["ratio"], 6)) == (("entered", "race", "asian", "more", 2.0), 2.4)
    assert 'trellis_alerts_total{service="mtss",state="inequity"}' in bytes(metrics_page().body).decode()

    stored = await _stored(mtss)
    assert {table for table, text in stored.items() if "asian" in text} == {"mtss_equity", "mtss_equity_alert"}
    assert not [each for each in students if str(each) in stored["mtss_equity"] + stored["mtss_equity_alert"]]

    await _again(mtss)
    assert (await _ask(mtss, "/alerts?waiting=true")).json()["items"] == [alert]  # held, and not raised twice

    await mtss.deliver(assigned(begin_on=date(2024, 8, 1)))
    path, body = f"/mtss/v1/reviews/{alert['id']}/hand-over", {"staff_id": str(TEACHER), "reason": "She leads equity."}
    principal = mtss.headers("principal", schools=["north"])
    assert (await mtss.http.post(path, json=body, headers=principal)).status_code == 404  # it is the district's
    seen = (await mtss.http.get(path, headers=mtss.headers("district"))).headers["ETag"]
    handed = await mtss.http.post(path, json=body, headers=mtss.headers("district") | {"If-Match": seen})
    (held,) = (await _ask(mtss, "/alerts?waiting=true")).json()["items"]
    assert (handed.status_code, held["assigned"]) == (201, handed.json())

    found = await _ask(mtss, f"/alerts/{alert['id']}/finding", **FOUND)
    assert (found.status_code, found.json()["finding"]) == (201, FOUND["finding"])
    assert (await _ask(mtss, f"/alerts/{alert['id']}/finding", **FOUND)).json()["type"].endswith("already-found")
    assert (await _ask(mtss, f"/alerts/{named('nobody')}/finding", **FOUND)).status_code == 404
    assert (await _ask(mtss, "/alerts?waiting=true")).json()["items"] == []
    assert FOUND["finding"] not in (await _stored(mtss))["mtss_equity_alert"]
    for change in ("UPDATE mtss_equity_alert SET found_at = NULL", "DELETE FROM mtss_equity_alert"):
        async with mtss.admin.begin() as connection:
            with pytest.raises(sa.exc.DBAPIError, match="never changes"):
                await connection.execute(sa.text(change))

    await _again(mtss)
    raised = (await _ask(mtss, "/alerts")).json()["items"]
    assert [each["found_at"] is None for each in raised] == [False, True]
    async with over_http(mtss.app) as url:
        token = tmp_path / "token"
        token.write_text(mtss.headers("district")["Authorization"].removeprefix("Bearer "))

        async def typed(*arguments: str) -> str:
            options = [*arguments, "--url", url, "--token-file", str(token)]
            return " ".join((await asyncio.to_thread(CliRunner().invoke, app, options)).output.split())

        shown = await typed("show")
        assert ("2024-09" in shown, "waits for" in shown, "dress code" in shown) == (True, True, True)
        assert (await typed("found", raised[1]["id"], FOUND["finding"])).startswith("Kept.")
    assert (await _ask(mtss, "/alerts?waiting=true")).json()["items"] == []


async def test_without_sis_a_month_is_told_later(mtss: Running, sis: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(22))
    await _backdate(mtss, datetime(2024, 8, 20, tzinfo=UTC))
    mtss.clock.set(IN_OCTOBER)
    with monkeypatch.context() as patch:
        patch.setattr(sis.runtime, "keys", read_keys(sis.keys / "sis"))  # by which it does not believe this mtss
        with pytest.raises(SisterUnavailable):
            await tell_equity(mtss.runtime)
    assert (await _ask(mtss)).json()["items"] == []

    await tell_equity(mtss.runtime)

    assert [each["month"] for each in (await _ask(mtss)).json()["items"]] == ["2024-09-01", "2024-08-01"]


async def _support(mtss: Running, student: UUID) -> None:
    await mtss.deliver(assigned(school="100", begin_on=date(2024, 8, 1)))
    path, headers = f"/mtss/v1/students/{student}", mtss.headers("district")
    headers["If-Match"] = (await mtss.http.get(path, headers=headers)).headers["ETag"]
    said = {"kind": "mentor", "owner_id": str(TEACHER), "review_on": "2024-10-04", "reason": "Seen by the team."}
    assert (await mtss.http.post(f"{path}/supports", json=said, headers=headers)).status_code == 201


async def test_what_happened_to_whom_in_a_month(mtss: Running, sis: Running) -> None:
    entered, left, overridden, asked, lowered, elsewhere = (named("student", n) for n in range(6))
    every, gone = (entered, left, overridden, asked, lowered), SCHOOL.enrols(elsewhere, exit_on=SCHOOL.days[3])
    await mtss.deliver(SCHOOL.calendar(), *map(SCHOOL.enrols, every), gone)
    often = [SCHOOL.absent(day, student) for day in range(3) for student in (left, lowered)]
    await mtss.deliver(*often, *SCHOOL.closes_through(22))
    await _backdate(mtss, datetime(2024, 8, 30, tzinfo=UTC))
    await mtss.deliver(*(SCHOOL.absent(day, entered) for day in range(3)), SCHOOL.absent(0, left, deleted=True))
    await mtss.deliver(SCHOOL.absent(1, left, deleted=True))
    for day, student in ((3, asked), (16, entered)):
        mtss.clock.set(datetime(2024, 9, day, 18, tzinfo=UTC))
        words = await _call(mtss, f"/students/{student}/help-requests", words="Seen alone.")
        if student == asked:
            await _call(mtss, f"/help-requests/{words['id']}/answer", answer="Met him on Tuesday.")
    mtss.clock.set(datetime(2024, 9, 26, 18, tzinfo=UTC))
    await _call(mtss, f"/students/{overridden}/help-requests", words="Seen alone.", signs=["danger"])
    for student, tier in ((overridden, "targeted"), (lowered, "universal")):
        path, headers = f"/mtss/v1/students/{student}", mtss.headers("district")
        headers["If-Match"] = (await mtss.http.get(path, headers=headers)).headers["ETag"]
        said = {"tier": tier, "until": "2024-09-30", "reason": "Seen by the team."}
        assert (await mtss.http.post(f"{path}/overrides", json=said, headers=headers)).status_code == 201
    for student in (overridden, asked):  # who is in no tier of more support is not counted as served
        await _support(mtss, student)
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table in ("mtss_decision", "mtss_ruling"):
            late = f"UPDATE {table} SET known_at = '2024-09-26' WHERE known_at > '2025-01-01'"
            await connection.execute(sa.text(late))

    async with mtss.session() as session:
        september = span_of(SCHOOL.days[15], mtss.runtime.settings.zone)
        students, schools, month = await happened(session, september, "America/Denver", policy())

    def who(flag: str) -> set[UUID]:
        return {each for each, said in zip(students, getattr(month, flag), strict=True) if said}

    assert (set(students), set(schools)) == (set(every), {"100"})
    assert who("supported") == {entered, left, overridden, lowered}
    assert who("entered") == {entered, overridden}
    assert (who("left"), who("served")) == ({left, lowered}, {overridden})
    assert (who("overridden_up"), who("overridden_down")) == ({overridden}, {lowered})
    days = {entered: 7, overridden: 0, left: -1, asked: -1, lowered: -1}
    assert dict(zip(students, month.between.tolist(), strict=True)) == days
    assert who("waited") == {entered}  # its ground is that of day 19; the override took effect on the day it was made
    # what is urgent was due on the day on which it was asked
    assert (who("help_due"), who("help_late")) == ({asked, entered, overridden}, {entered, overridden})


async def test_who_answered_a_survey_in_a_month_and_whose_mean_is_low_enough_for_a_clause(mtss: Running) -> None:
    at_the_level, above, in_part, in_august = (named("student", n) for n in range(4))
    every = (at_the_level, above, in_part, in_august)
    await mtss.deliver(SCHOOL.calendar(), *map(SCHOOL.enrols, every))
    await mtss.deliver(SCHOOL.scores(15, 2.5, at_the_level), SCHOOL.scores(15, 2.51, above))
    await mtss.deliver(SCHOOL.scores(15, 1.0, in_part, prorated=True), SCHOOL.scores(0, 1.0, in_august))
    async with mtss.session() as session:
        september = span_of(SCHOOL.days[15], mtss.runtime.settings.zone)
        students, _, month = await happened(session, september, "America/Denver", policy())
    said = zip(students, month.answered.tolist(), month.disconnected.tolist(), strict=True)
    assert {each: flags for each, *flags in said} == {
        at_the_level: [True, True],
        above: [True, False],
        in_part: [False, False],
        in_august: [False, False],
    }
