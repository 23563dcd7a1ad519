"""Lists: by natural key and id, page by page, by token, in parts, and how many there are."""

from typing import Any

import httpx
import pytest

from tests.sis.conftest import EDFI, Sis, absence, enrolment, school, student


async def listed(sis: Sis, path: str, **query: Any) -> httpx.Response:
    answer = await sis.call("GET", f"{EDFI}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer


async def refused(sis: Sis, path: str, **query: Any) -> list[str]:
    answer = await sis.call("GET", f"{EDFI}/{path}", params=query)
    assert answer.status_code == 400, answer.text
    errors: list[str] = answer.json()["errors"]
    return errors


async def students(sis: Sis, count: int) -> list[str]:
    """Ids of students, in the order in which lists have them."""
    lines = await sis.bulk("students", [student(name) for name in sorted(f"s{number}" for number in range(count))])
    return [line["id"] for line in lines]


async def test_every_way_of_paging_gives_each_document_once(sis: Sis) -> None:
    ids = await students(sis, 23)
    by_offset = [
        one for start in range(0, 30, 5) for one in (await listed(sis, "students", offset=start, limit=5)).json()
    ]
    assert [one["id"] for one in by_offset] == ids

    page, by_token, sizes = await listed(sis, "students", limit=5), [], []
    while True:
        by_token += page.json()
        sizes.append(len(page.json()))
        if "Next-Page-Token" not in page.headers:
            break
        page = await listed(sis, "students", pageToken=page.headers["Next-Page-Token"], pageSize=9)
    assert ([one["id"] for one in by_token], sizes) == (ids, [5, 9, 9])

    parts = (await listed(sis, "students/partitions", number=4)).json()["pageTokens"]
    by_part = []
    for token in parts:
        while token:
            page = await listed(sis, "students", pageToken=token, pageSize=4)
            by_part += page.json()
            token = page.headers.get("Next-Page-Token")
    assert (len(parts), [one["id"] for one in by_part]) == (4, ids)


async def test_names_of_parameters_are_good_in_any_case_as_an_ods_takes_them(sis: Sis) -> None:
    ids = await students(sis, 3)
    for query in ({"studentuniqueid": "s1"}, {"STUDENTUNIQUEID": "s1"}, {"Id": ids[1]}, {"Offset": 1, "LIMIT": 1}):
        assert [one["id"] for one in (await listed(sis, "students", **query)).json()] == [ids[1]], query
    assert (await listed(sis, "students", TotalCount="true", limit=0)).headers["Total-Count"] == "3"
    assert len((await listed(sis, "students/partitions", Number=3)).json()["pageTokens"]) == 3
    assert await refused(sis, "students", Nickname="x") == ["Nickname is not part of the natural key"]


async def test_there_is_no_token_where_nothing_follows(sis: Sis) -> None:
    await students(sis, 4)
    for query in ({"limit": 4}, {"limit": 500}, {"limit": 0}, {"offset": 2}, {"studentUniqueId": "s1"}):
        assert "Next-Page-Token" not in (await listed(sis, "students", **query)).headers, query
    assert (await listed(sis, "schools/partitions")).json() == {"pageTokens": []}
    assert len((await listed(sis, "students/partitions", number=200)).json()["pageTokens"]) == 4


async def test_what_comes_while_somebody_pages_is_neither_lost_nor_told_twice(sis: Sis) -> None:
    before = await students(sis, 10)
    first = await listed(sis, "students", limit=4)
    await sis.put_in("students", student("s3", firstName="Ida"), student("s99"))
    rest = await listed(sis, "students", pageToken=first.headers["Next-Page-Token"], pageSize=500)
    seen = [one["id"] for one in (*first.json(), *rest.json())]
    assert len(seen) == len(set(seen))
    assert set(before) <= set(seen)


async def test_a_token_goes_on_only_with_the_query_it_was_given_for(sis: Sis) -> None:
    await sis.put_in("schools", school(1), school(2))
    await students(sis, 4)
    await sis.bulk("studentSchoolAssociations", [enrolment(f"s{number}", 1) for number in range(4)])
    token = (await listed(sis, "studentSchoolAssociations", schoolId=1, limit=1)).headers["Next-Page-Token"]
    assert len((await listed(sis, "studentSchoolAssociations", schoolId=1, pageToken=token, pageSize=9)).json()) == 3
    other = "pageToken must come with the parameters of the query that it was given for"
    for path, query in (
        ("students", {}),
        ("studentSchoolAssociations", {}),
        ("studentSchoolAssociations", {"schoolId": 2}),
        ("studentSchoolAssociations", {"schoolId": 1, "minChangeVersion": 1}),
        ("studentSchoolAssociations/deletes", {"schoolId": 1}),
    ):
        assert await refused(sis, path, pageToken=token, **query) == [other], (path, query)
    for forged in ("x", "e30", token[:-4], "W10", "WyJhIiwiYiIsImMiXQ"):
        assert await refused(sis, "students", pageToken=forged) == [
            "pageToken must be the Next-Page-Token of an earlier page"
        ]


@pytest.mark.parametrize("asked", ["true", "True"])
async def test_the_total_count_is_that_of_the_query_whatever_the_page(sis: Sis, asked: str) -> None:
    await students(sis, 7)
    for query, count in (({"limit": 0}, 0), ({"limit": 3}, 3), ({"offset": 6}, 1), ({}, 7)):
        page = await listed(sis, "students", totalCount=asked, **query)
        assert (page.headers["Total-Count"], len(page.json())) == ("7", count), query
    only = await listed(sis, "students", totalCount=asked, studentUniqueId="s3", limit=0)
    assert only.headers["Total-Count"] == "1"
    assert "Total-Count" not in (await listed(sis, "students")).headers
    token = (await listed(sis, "students", limit=5)).headers["Next-Page-Token"]
    assert (await listed(sis, "students", pageToken=token, totalCount=asked)).headers["Total-Count"] == "7"


async def test_a_document_is_found_by_its_id(sis: Sis) -> None:
    ids = await students(sis, 2)
    for value in (ids[1], ids[1].replace("-", ""), ids[1].upper()):
        assert [one["id"] for one in (await listed(sis, "students", id=value)).json()] == [ids[1]]
    assert (await listed(sis, "schools", id=ids[1])).json() == []
    assert await refused(sis, "students", id="s1") == ["id must be the id of a document"]


async def test_a_page_has_at_most_500_and_25_where_nothing_is_said(sis: Sis) -> None:
    await sis.bulk("students", [student(f"s{number}") for number in range(500)])
    await sis.put_in("students", student("last"))
    assert len((await listed(sis, "students")).json()) == 25
    assert len((await listed(sis, "students", limit=500)).json()) == 500
    for query in (
        {"limit": 501}, {"limit": -1}, {"pageSize": 501}, {"pageSize": 0}, {"offset": -1}, {"limit": "x"},
        {"minChangeVersion": -1}, {"maxChangeVersion": 2**63}, {"totalCount": "perhaps"},
    ):  # fmt: skip
        (said,) = await refused(sis, "students", **query)
        assert said.startswith(next(iter(query)))


async def test_dates_with_slashes_or_the_month_first_are_the_same_dates(sis: Sis) -> None:
    await sis.roster()
    said = ["2026-09-01", "09/01/2026", "9/1/2026", "09-01-2026", "2026/09/01"]
    ids = await sis.put_in("studentSchoolAttendanceEvents", *map(absence, said))
    assert len(set(ids)) == 1
    for each in said:
        (row,) = (await listed(sis, "studentSchoolAttendanceEvents", eventDate=each)).json()
        assert row["eventDate"] == "2026-09-01"


async def test_what_is_asked_for_is_read_as_what_is_pushed(sis: Sis) -> None:
    await sis.put_in("schools", school(78))
    assert len((await listed(sis, "schools", schoolId="0078")).json()) == 1
    assert (await listed(sis, "schools", schoolId="nonsense")).json() == []
