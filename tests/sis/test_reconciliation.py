"""A source's own counts beside ours, by school and day."""

import re
from typing import Any
from uuid import UUID

import pytest

from sis.clients.register import revoke as end_client
from tests.sis.clients import made
from tests.sis.conftest import Sis, absence, enrolment, school, student

ATTENDANCE, ENROLMENT = "studentSchoolAttendanceEvents", "studentSchoolAssociations"
COUNTS = "/sis/v1/sources/sis/counts"


def item(resource: str, number: int | None, day: str | None, count: int) -> dict[str, Any]:
    return {"resource": resource, "school_id": None if number is None else str(number), "day": day, "count": count}


async def tell(sis: Sis, *items: dict[str, Any], source: str = "sis") -> None:
    response = await sis.call("PUT", f"/sis/v1/sources/{source}/counts", role="district", json={"items": items})
    assert (response.status_code, response.json()) == (200, {"counts": len(items)}), response.text


async def compared(sis: Sis, source: str = "sis", role: str = "district", **query: Any) -> dict[str, Any]:
    response = await sis.call("GET", f"/sis/v1/sources/{source}/reconciliation", role=role, params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def differences(sis: Sis, source: str = "sis", **query: Any) -> list[tuple[Any, ...]]:
    names = ("resource", "school_id", "day", "theirs", "ours", "difference")
    return [tuple(one[name] for name in names) for one in (await compared(sis, source, **query))["items"]]


async def others(sis: Sis, source: str = "sis", role: str = "district") -> list[tuple[Any, ...]]:
    names = ("resource", "school_id", "source", "name")
    return [tuple(one[name] for name in names) for one in (await compared(sis, source, role))["of_others"]]


async def two_schools(sis: Sis) -> None:
    await sis.put_in("schools", school(1), school(2))
    await sis.put_in("students", student("s1"), student("s2"), student("s3"))
    await sis.put_in(ENROLMENT, enrolment("s1"), enrolment("s2"), enrolment("s3", 2))
    await sis.put_in(ATTENDANCE, absence(), absence(name="s2"), absence(name="s3", number=2))


async def test_only_counts_that_differ_are_shown(sis: Sis):
    await two_schools(sis)
    await tell(sis, item(ATTENDANCE, 1, "2026-09-01", 3), item(ATTENDANCE, 2, "2026-09-01", 1))

    assert await differences(sis) == [(ATTENDANCE, "1", "2026-09-01", 3, 2, -1)]
    assert len(await differences(sis, every=True)) == 2


async def test_enrolment_on_a_day_is_who_is_enrolled_on_it(sis: Sis):
    await two_schools(sis)
    await sis.put_in(
        ENROLMENT,
        enrolment("s1", exitWithdrawDate="2026-10-01"),
        enrolment("s2", exitWithdrawDate="2026-08-24"),  # a no-show
    )
    days = ("2026-08-23", "2026-08-24", "2026-10-01", "2026-10-02")
    await tell(sis, *(item(ENROLMENT, 1, day, 9) for day in days))
    found = {day: ours for _, number, day, _, ours, _ in await differences(sis, school="1")}
    assert list(found.values()) == [0, 1, 1, 0]


async def test_who_is_enrolled_twice_counts_once_at_a_school_and_in_the_district(sis: Sis):
    await two_schools(sis)
    again = enrolment("s1", entry="2026-09-10", exitWithdrawDate="2026-09-20")
    await sis.put_in(ENROLMENT, enrolment("s1", exitWithdrawDate="2026-09-15"), again, enrolment("s2", 2))
    days = ("2026-09-12", "2026-09-18", "2026-09-21")
    await tell(sis, *(item(ENROLMENT, number, day, 9) for number in (1, None) for day in days))
    found = await differences(sis)
    assert [ours for _, number, _, _, ours, _ in found if number == "1"] == [2, 2, 1]
    assert [ours for _, number, _, _, ours, _ in found if number is None] == [3, 3, 2]


async def test_a_school_that_the_source_leaves_out_is_compared_as_well(sis: Sis):
    await two_schools(sis)
    await tell(sis, item(ATTENDANCE, 1, "2026-09-01", 2))
    assert await differences(sis) == [(ATTENDANCE, "2", "2026-09-01", None, 1, 1)]


async def test_a_school_to_which_another_client_is_bound_is_named_as_its_and_not_as_left_out(sis: Sis):
    left_out = (ATTENDANCE, "2", "2026-09-01", None, 1, 1)
    await two_schools(sis)
    charter = await made(sis, "Charter", schools=["2"])
    await tell(sis, item(ATTENDANCE, 1, "2026-09-01", 2))
    assert await differences(sis) == [left_out], "it has pushed nothing yet"

    await charter.bulk(ATTENDANCE, [absence(name="s3", number=2)])

    assert await differences(sis, every=True) == [(ATTENDANCE, "1", "2026-09-01", 2, 2, 0)]
    assert await others(sis) == [(ATTENDANCE, "2", charter.id, "Charter")]
    assert await others(sis, role="sis") == [(ATTENDANCE, "2", None, None)]
    page = await sis.call("GET", "/sis/v1/sources.html", role="district")
    assert "Pushed by Schools sis Charter 2" in re.sub(r"(?:<[^>]*>|\s)+", " ", page.text)

    async with sis.running.session() as session:
        await end_client(session, UUID(charter.id), by="a test")
    assert await differences(sis) == [left_out]


async def test_a_school_that_another_source_counts_is_that_ones_unless_both_ever_did(sis: Sis):
    await two_schools(sis)
    north, south = await made(sis, "North"), await made(sis, "South")
    await north.bulk(ATTENDANCE, [absence()])
    await south.bulk(ATTENDANCE, [absence(name="s3", number=2)])
    await tell(sis, item(ATTENDANCE, 1, "2026-09-01", 2), source=north.id)
    await tell(sis, item(ATTENDANCE, 2, "2026-09-01", 1), source=south.id)
    assert await others(sis, north.id) == [(ATTENDANCE, "2", south.id, "South")]
    assert await others(sis, south.id) == [(ATTENDANCE, "1", north.id, "North")]

    await tell(sis, item(ATTENDANCE, 2, "2026-09-02", 0), source=north.id)

    assert await others(sis, north.id) == []
    assert await differences(sis, north.id) == [(ATTENDANCE, "2", "2026-09-01", None, 1, 1)]


async def test_a_client_bound_to_schools_leaves_out_those_only(sis: Sis):
    await two_schools(sis)
    charter, both = await made(sis, "Charter", schools=["2"]), await made(sis, "Both", schools=["1", "2"])
    for each in (charter, both):
        await each.bulk(ATTENDANCE, [absence(name="s3", number=2)])
    await tell(sis, item(ATTENDANCE, 2, "2026-09-01", 1), source=charter.id)
    await tell(sis, item(ATTENDANCE, 1, "2026-09-01", 2), source=both.id)

    assert await differences(sis, charter.id) == []
    assert await differences(sis, both.id) == [(ATTENDANCE, "2", "2026-09-01", None, 1, 1)]


async def test_counts_of_all_schools_and_of_all_days(sis: Sis):
    await two_schools(sis)
    await tell(
        sis,
        item("students", None, None, 4),
        item(ATTENDANCE, None, "2026-09-01", 4),
        item(ATTENDANCE, 1, None, 4),
        item(ENROLMENT, None, "2026-09-01", 4),
    )
    assert {(of, number, day): ours for of, number, day, _, ours, _ in await differences(sis)} == {
        ("students", None, None): 3,
        (ATTENDANCE, None, "2026-09-01"): 3,
        (ATTENDANCE, "1", None): 2,
        (ATTENDANCE, "2", None): 1,
        (ENROLMENT, None, "2026-09-01"): 3,
    }


async def test_a_count_told_again_replaces_the_one_before_and_leaves_the_others(sis: Sis):
    await two_schools(sis)
    await tell(sis, item(ATTENDANCE, 1, "2026-09-01", 9), item(ATTENDANCE, 2, "2026-09-01", 9))
    await tell(sis, item(ATTENDANCE, 1, "2026-09-01", 2))
    assert [number for _, number, *_ in await differences(sis)] == ["2"]


async def test_counts_come_as_csv_too(sis: Sis):
    await two_schools(sis)
    text = f"resource,school_id,day,count\n{ATTENDANCE},1,2026-09-01,5\n\nstudents,,,3\n"
    response = await sis.call("PUT", COUNTS, content=text, headers={"Content-Type": "text/csv; charset=utf-8"})
    assert response.json() == {"counts": 2}
    assert (ATTENDANCE, "1", "2026-09-01", 5, 2, -3) in await differences(sis)


async def test_the_header_of_a_push_says_what_the_client_believes_and_sources_show_it(sis: Sis):
    await sis.call("POST", "/sis/v1/bulk/students", json=student(), headers={"X-Total-Count": "2"})
    (line,) = (await sis.call("GET", "/sis/v1/sources", role="district")).json()["items"]
    assert (line["believed"], line["standing"]) == (2, 1)

    for odd in ("two", "-1", "9" * 16):
        await sis.call("POST", "/sis/v1/bulk/students", json=student(), headers={"X-Total-Count": odd})
    assert await differences(sis) == [("students", None, None, 2, 1, -1)]


async def test_differences_come_in_pages_with_two_statements_each(sis: Sis, statements):
    await two_schools(sis)
    await tell(sis, *(item(ATTENDANCE, 1, f"2026-10-{day:02}", 1) for day in range(1, 31)))
    path, days, cursor = "/sis/v1/sources/sis/reconciliation", [], None
    while True:
        query = {"limit": 12} | ({"cursor": cursor} if cursor else {})
        with statements() as executed:
            page = (await sis.call("GET", path, role="district", params=query)).json()
        assert len(executed) == 2
        days += [one["day"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert days == [f"2026-10-{day:02}" for day in range(1, 31)]
    assert await differences(sis, first="2026-10-02", last="2026-10-02") == [(ATTENDANCE, "1", "2026-10-02", 1, 0, -1)]


async def test_a_sis_tells_and_reads_only_its_own(sis: Sis):
    assert (await sis.call("PUT", "/sis/v1/sources/other/counts", json={"items": []})).status_code == 403
    assert (await sis.call("GET", "/sis/v1/sources/other/reconciliation")).status_code == 403
    path = "/sis/v1/sources/other/counts"
    assert (await sis.call("PUT", path, role="district", json={"items": []})).status_code == 200


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "$.items"),
        ({"items": [1]}, "$.items[0]"),
        ({"items": [{"resource": "canary", "count": 1}]}, "$.items[0].resource"),
        ({"items": [{"resource": "students"}]}, "$.items[0].count"),
        ({"items": [{"resource": "students", "count": -1}]}, "$.items[0].count"),
        ({"items": [{"resource": "students", "count": True}]}, "$.items[0].count"),
        ({"items": [{"resource": "students", "count": 1, "school_id": "1"}]}, "$.items[0].school_id"),
        ({"items": [{"resource": "students", "count": 1, "day": "2026-09-01"}]}, "$.items[0].day"),
        ({"items": [{"resource": "schools", "count": 1, "school_id": "a b"}]}, "$.items[0].school_id"),
        ({"items": [{"resource": "students", "count": 1}] * 2}, "$.items[1]"),
    ],
)
async def test_a_bad_count_is_named_by_its_place(sis: Sis, document: Any, field: str):
    refused = await sis.call("PUT", COUNTS, json=document)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)
    assert "canary" not in refused.text


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"", "line 1"),
        (b"resource,count\n", "line 1"),
        (b"\xff", "body"),
        (b'resource,school_id,day,count\n"x', "body"),
        (b"resource,school_id,day,count\nstudents,,,many\n", "line 2.count"),
        (b"resource,school_id,day,count\n,,,1\n", "line 2.resource"),
    ],
)
async def test_a_bad_line_is_named_by_its_number(sis: Sis, text: bytes, field: str):
    refused = await sis.call("PUT", COUNTS, content=text, headers={"Content-Type": "text/csv"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)


async def test_a_file_with_semicolons_is_named_as_such(sis: Sis):
    text = b"resource;school_id;day;count\nstudents;;;1\n"
    refused = await sis.call("PUT", COUNTS, content=text, headers={"Content-Type": "text/csv"})
    rule = refused.json()["errors"][0]["rule"]
    assert (refused.status_code, rule) == (400, "is separated by semicolons: save it with commas")
    refused = await sis.calendar("school_id;date;instructional\n1;2026-09-01;true\n")
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (400, rule)
