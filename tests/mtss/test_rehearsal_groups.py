"""Groups of students in a rehearsal: from a real sis into ratios, and into nothing that stays."""

import json
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from common.keys import read_keys
from mtss.loops import rehearse_policies
from tests.harness import Running
from tests.mtss.made_up import School
from tests.mtss.test_rehearsals import _ask, _get, _read, mtss, sis

__all__ = ["mtss", "sis"]

_STUDENTS = 90
_SAME = {"sexDescriptor": "uri://ed-fi.org/SexDescriptor#Female"}


def _races(code: str) -> dict[str, Any]:
    return {"races": [{"raceDescriptor": f"uri://ed-fi.org/RaceDescriptor#{code}"}], **_SAME}


async def _push(sis: Running, headers: dict[str, str], resource: str, documents: list[dict[str, Any]]) -> None:
    lines = "\n".join(map(json.dumps, documents))
    answer = await sis.http.post(f"/sis/v1/bulk/{resource}", content=lines, headers=headers)
    assert {json.loads(line)["status"] for line in answer.text.splitlines()} == {201}


async def _ids(sis: Running) -> list[UUID]:
    """Students in the order in which they were pushed."""
    async with sis.session() as session:
        asked = "SELECT id FROM sis_document WHERE resource = 'students' ORDER BY substr(body ->> 'studentUniqueId', 2)::int"
        return list(await session.scalars(sa.text(asked)))


async def _district(mtss: Running, sis: Running) -> list[UUID]:
    """Forty Asian and forty-five White students, of each 15 absent; five Black ones, all absent."""
    pushing = mtss.headers("sis")
    named = [{"studentUniqueId": f"s{n}", "firstName": "Ada", "lastSurname": "Quill"} for n in range(_STUDENTS)]
    await _push(sis, pushing, "students", named)
    students = await _ids(sis)
    codes = ["Asian"] * 40 + ["White"] * 45 + ["Black - African American"] * 5
    said = [
        {
            "studentReference": {"studentUniqueId": f"s{n}"},
            "educationOrganizationReference": {"educationOrganizationId": 1},
            **_races(code),
        }
        for n, code in enumerate(codes)
    ]
    await _push(sis, pushing, "studentEducationOrganizationAssociations", said)
    at, missing = School(), [*range(15), *range(40, 55), *range(85, 90)]
    await mtss.deliver(at.calendar(), *(at.enrols(each) for each in students), *at.closes_through(30))
    await mtss.deliver(*(at.absent(day, students[n]) for n in missing for day in range(3)))
    return students


async def test_ratios_of_groups_come_from_sis_and_no_group_of_a_student_stays(
    mtss: Running, sis: Running, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    students = await _district(mtss, sis)
    rehearsal = await _ask(mtss)

    await rehearse_policies(mtss.runtime)

    report = (await _get(mtss, rehearsal)).json()
    lines = {line["group"]: line for line in report["who"]["policy"]["race"]}
    assert lines["white"]["entered"]["count"] == 15
    assert lines["black"] == {"group": "black", **dict.fromkeys(lines["black"].keys() - {"group"})}
    assert lines["asian"]["entered"] is None  # it is the smallest of the rest, and with the total would tell of five
    page = await _get(mtss, rehearsal, "/report.html")
    assert "Whom it reaches" in page.text
    stored = await _stored(mtss)
    assert [table for table, text in stored.items() if "black" in text or "Black" in text] == ["mtss_rehearsal"]
    assert not [each for each in students if str(each) in stored["mtss_rehearsal"]]
    told = "".join((*capfd.readouterr(), caplog.text)).lower()
    assert "asian" not in told
    assert not [each for each in students if str(each) in told]


async def test_without_sis_all_else_is_reported_and_that_groups_are_missing(
    mtss: Running, sis: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = School()
    await mtss.deliver(at.calendar(), at.enrols(), *at.closes_through(30))
    monkeypatch.setattr(sis.runtime, "keys", read_keys(sis.keys / "sis"))  # by which it does not believe this mtss
    rehearsal = await _ask(mtss)

    await rehearse_policies(mtss.runtime)

    assert (await _read(mtss, rehearsal))["state"] == "done"
    assert (await _get(mtss, rehearsal)).json()["who"] is None
    assert "did not answer" in (await _get(mtss, rehearsal, "/report.html")).text


async def _stored(running: Running) -> dict[str, str]:
    """Every table of the database as text."""
    async with running.admin.connect() as connection:
        tables = await connection.scalars(sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        asked = {each: f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{each}\" AS t" for each in tables}
        return {each: str(await connection.scalar(sa.text(query))) for each, query in asked.items()}
