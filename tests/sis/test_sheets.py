"""Rejected rows as a file for a spreadsheet, mended there and pushed again."""

import csv
import io
import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sis.resources import RESOURCES
from sis.rules.flat import columns_of, document_of, plain, safe
from sis.rules.members import BrokenRule
from tests.sis.conftest import Sis, absence, contact, student

ATTENDANCE = "studentSchoolAttendanceEvents"


async def download(sis: Sis, resource: str, **query: Any) -> str:
    response = await sis.call(
        "GET", "/sis/v1/sources/sis/rejected.csv", role="district", params={"resource": resource, **query}
    )
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return response.text


async def push(sis: Sis, resource: str, text: str | bytes, path: str = "") -> httpx.Response:
    headers = {"Content-Type": "text/csv"}
    return await sis.call("POST", f"/sis/v1/bulk/{resource}{path}", content=text, headers=headers)


def statuses(response: httpx.Response) -> list[int]:
    return [json.loads(line)["status"] for line in response.text.splitlines()]


async def open_rows(sis: Sis) -> int:
    return len(await sis.rows("SELECT id FROM sis_rejected WHERE closed_at IS NULL"))


async def test_what_was_rejected_is_downloaded_mended_and_pushed_again(sis: Sis):
    await sis.roster()
    bad = [
        absence(category="Nonsense", eventDuration=0.5),  # its natural key cannot be read
        absence("2026-09-31"),
        absence("2026-09-03", eventDuration=7, note='Grüße, "zitiert"\n=1+1'),
    ]
    await sis.bulk(ATTENDANCE, bad)
    text = await download(sis, ATTENDANCE)

    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [line["_reason"] for line in lines] == [
        "$.attendanceEventCategoryDescriptor must be a descriptor known here",
        "$.eventDate must be a date that exists",
        "$.eventDuration must be from 0 to 1",
    ]
    assert lines[2]["note"] == 'Grüße, "zitiert"\n=1+1'

    mended = text.replace("Nonsense", "Excused Absence").replace("2026-09-31", "2026-09-30").replace(",7,", ",1,")
    answer = await push(sis, ATTENDANCE, mended)
    assert statuses(answer) == [201, 201, 201]
    assert await open_rows(sis) == 0
    assert len((await download(sis, ATTENDANCE)).splitlines()) == 1
    stored = await sis.rows("SELECT body ->> 'eventDuration' FROM sis_document WHERE resource = :of", of=ATTENDANCE)
    assert sorted(str(value) for (value,) in stored) == ["0.5", "1.0", "None"]


async def test_a_file_that_is_pushed_unmended_is_refused_again_and_does_not_pile_up(sis: Sis):
    await sis.bulk("students", [{"studentUniqueId": "", "firstName": "Ada"}, [], "text"])
    await sis.bulk("students", [b"{", b'{"studentUniqueId": "\xff"}'])
    for _ in range(3):
        text = await download(sis, "students")
        assert statuses(await push(sis, "students", text)) == [400] * 5
        assert await open_rows(sis) == 5


async def test_lists_and_objects_stand_in_columns_by_their_place(sis: Sis):
    row = contact(
        addresses=[{"city": "A", "periods": [{"beginDate": "2026-13-01"}]}, {"city": "B"}],
        languages=[],
        electronicMails=[{"electronicMailAddress": "a@x.org", "primaryEmailAddressIndicator": True}],
    )
    await sis.bulk("contacts", [row])
    text = await download(sis, "contacts")
    assert "addresses[0].periods[0].beginDate" in text.splitlines()[0]
    mended = text.replace("2026-13-01", "2026-12-01").replace("true", "TRUE")  # as a spreadsheet writes it
    assert statuses(await push(sis, "contacts", "\ufeff" + mended)) == [201]


async def test_rows_that_do_not_fit_into_columns_stand_whole_in_one_cell(sis: Sis):
    wide = student("", **{f"m{number}": number for number in range(300)})
    odd = student("", **{"a.b": 1})
    await sis.bulk("students", [wide, odd, b"{"])
    lines = list(csv.DictReader(io.StringIO(await download(sis, "students"), newline="")))
    assert [json.loads(line["_row"]) for line in lines[:2]] == [wide, odd]
    assert lines[2]["_row"] == "{"

    mended = '_row\n"{""studentUniqueId"": ""s1""}"\n'
    assert statuses(await push(sis, "students", mended)) == [201]


async def test_deletions_that_were_refused_come_in_a_file_of_their_own(sis: Sis):
    await sis.bulk("students", [{"studentUniqueId": ""}], deletes=True)
    await sis.put_in("students", student())
    assert len((await download(sis, "students")).splitlines()) == 1
    text = await download(sis, "students", deletes=True)
    mended = text.replace("studentUniqueId", "studentUniqueId").replace("must not be empty,", "must not be empty,s1")
    assert statuses(await push(sis, "students", mended, "/deletes")) == [204]
    assert await open_rows(sis) == 0


async def test_a_row_that_another_source_mends_is_off_the_list(sis: Sis):
    await sis.bulk("students", [student("s1", firstName=5)])
    async with sis.running.session() as session:
        await session.execute(sa.text("UPDATE sis_rejected SET source = 'other'"))
    await sis.put_in("students", student("s1"))
    assert await open_rows(sis) == 0


async def test_ten_thousand_rows_go_in_as_one_file_and_one_more_is_refused(sis: Sis):
    lines = ["studentUniqueId", *(f"s{number}" for number in range(1200))]
    assert statuses(await push(sis, "students", "\n".join(lines))) == [201] * 1200
    many = "\n".join(["studentUniqueId", *(f"s{number}" for number in range(10_001))])
    refused = await push(sis, "students", many)
    assert (refused.status_code, refused.json()["errors"][0]["rule"]) == (400, "must have at most 10000 rows")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"\xff", "line 1 is not UTF-8"),
        (b"a,a\n", "a column stands twice"),
        (b"a\n1,2\n", "line 2 has more than 1 columns"),
        (b'a\n"1', "line 2 is not well-formed"),
        (b"studentUniqueId;firstName\ns1;Ada\n", "line 1 is separated by semicolons: save it with commas"),
        (b"studentUniqueId\tfirstName\ns1\tAda\n", "line 1 is separated by tabs: save it with commas"),
    ],
)
async def test_a_file_that_is_no_csv_is_refused_whole_by_line(sis: Sis, text: bytes, rule: str):
    refused = await push(sis, "students", text)
    assert refused.status_code == 400
    assert rule in refused.json()["detail"]


async def test_a_column_that_is_no_path_is_named(sis: Sis):
    refused = await push(sis, "students", "studentUniqueId,a..b\ns1,1\n")
    assert json.loads(refused.text)["problem"]["errors"][0]["rule"].startswith("must have columns such as")


@pytest.mark.parametrize("start", list("=+-@\t\r\n＝＋－＠'"))
def test_no_cell_is_a_formula_and_what_it_was_comes_back(start: str) -> None:
    assert safe(f"{start}1+1") == f"'{start}1+1"
    assert plain(safe(f"{start}1+1")) == f"{start}1+1"


@given(st.text())
def test_every_cell_comes_back_as_it_was(cell: str) -> None:
    assert plain(safe(cell)) == cell


async def test_names_of_members_are_no_formulas_either(sis: Sis):
    await sis.bulk("students", [{"=cmd()": "x"}, {"@a": "=b"}])
    assert (await download(sis, "students")).splitlines()[0] == "_rejected,_reason,'=cmd(),'@a"


_TEXTS = st.text(min_size=1, max_size=5)
_DOCUMENTS = st.recursive(
    _TEXTS | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(_TEXTS, inner, min_size=1, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(_TEXTS, _DOCUMENTS, min_size=1, max_size=4))
def test_columns_hold_every_leaf_or_the_row_stands_whole(document: dict[str, Any]) -> None:
    cells = columns_of(document)
    if cells is not None:
        assert columns_of(document_of(cells, {})) == cells


def test_a_cell_is_what_its_reader_takes() -> None:
    shape = RESOURCES[ATTENDANCE].told_shape
    cells = {"studentReference.studentUniqueId": "0012", "schoolReference.schoolId": "7", "eventDuration": "0.25"}
    assert document_of(cells, shape) == {
        "studentReference": {"studentUniqueId": "0012"},
        "schoolReference": {"schoolId": "7"},
        "eventDuration": "0.25",
    }
    assert document_of({"eventDuration": "half"}, shape) == {"eventDuration": "half"}


@pytest.mark.parametrize("cells", [{"_row": "{"}, {"a": "1", "a.b": "2"}, {"a[": "1"}, {"_row": "NaN"}])
def test_cells_that_make_no_document_break_a_rule(cells: dict[str, str]) -> None:
    with pytest.raises(BrokenRule):
        document_of(cells, {})


async def test_rejected_rows_of_what_is_no_resource_are_not_there(sis: Sis):
    for resource, status in (("nonsense", 404), ("calendar.csv", 200), ("events", 200), ("students", 200)):
        answer = await sis.call("GET", f"/sis/v1/sources/sis/rejected.csv?resource={resource}")
        assert answer.status_code == status, resource
