"""Loading into the real service, in process."""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.events import SchoolDayClosed
from common.keys import read_signing_key
from sis.load import push
from sis.loading.checking import check_folder
from sis.loading.door import MintedTokens, TokenFromFile
from sis.loading.folder import RESPONSES, STEPS, WINDOWS, Folder
from sis.loading.report import Report
from tests.harness import Running
from tests.sis_load.conftest import Silent
from trial.sample.district import Sample

PUBLIC = Path(os.environ.get("TRELLIS_PUBLIC_SAMPLE") or Path(__file__).parents[3] / "shared" / "data" / "grand-bend")
CATEGORY = "uri://ed-fi.org/AttendanceEventCategoryDescriptor#"


async def load(
    sis: Running, folder: Path, *, single: bool = False, replace: bool = False, token: Path | None = None
) -> Report:
    report = Report(Silent())
    tokens = TokenFromFile(token) if token else MintedTokens(read_signing_key(sis.keys / "staff"))
    transport = httpx.ASGITransport(sis.app)
    source = Folder(folder)
    await push(source, report, "http://testserver", tokens, single=single, replace=replace, transport=transport)
    return report


async def summary(sis: Running) -> dict[str, Any]:
    answer = await sis.http.get("/sis/v1/summary", headers=sis.headers("district"))
    return dict(answer.json())


def school(number: int) -> dict[str, object]:
    return {"schoolId": number, "nameOfInstitution": f"School {number}"}


def absence(student: str, on: str, category: str = "Unexcused Absence", **more: object) -> dict[str, object]:
    return {
        "studentReference": {"studentUniqueId": student},
        "schoolReference": {"schoolId": 1},
        "eventDate": on,
        "attendanceEventCategoryDescriptor": CATEGORY + category,
        **more,
    }


@pytest.fixture
def district(tmp_path: Path) -> Path:
    """A small made-up district without what other services take."""
    folder = tmp_path / "district"
    Sample(60, 3, date(2025, 8, 25), date(2025, 12, 10)).write(folder)
    for name in (WINDOWS, RESPONSES, STEPS):
        (folder / f"{name}.jsonl").unlink()
    return folder


@pytest.fixture
def public() -> Path:
    if PUBLIC.is_dir():
        return PUBLIC
    if os.environ.get("TRELLIS_REQUIRE_ALL") == "1":
        pytest.fail(f"the public sample district is not at {PUBLIC}")
    pytest.skip(f"SKIPPED, NOT PROVEN: the public sample district is not at {PUBLIC}")


async def test_the_public_district_loads_whole_and_again_without_a_word(sis, public):
    first = await load(sis, public)
    said = len(await sis.said())
    again = await load(sis, public)

    assert first.rejected == again.rejected == []
    assert sum(first.taken.values()) == sum(again.taken.values()) == 7532
    assert first.closed > 0
    assert len(await sis.said()) == said
    assert {school["closed_through"] for school in (await summary(sis))["schools"]} == {"2022-05-27"}
    assert again.closed == 0


def test_a_dry_run_finds_nothing_to_reject_in_the_public_district(public, report):
    check_folder(Folder(public), report)

    assert report.rejected == []
    assert sum(report.taken.values()) == 7532


async def test_a_made_up_district_loads_whole_in_bulk_and_one_by_one(sis, district):
    bulk = await load(sis, district)
    in_bulk = await summary(sis)
    await sis.empty()
    single = await load(sis, district, single=True)

    assert bulk.rejected == single.rejected == []
    assert bulk.taken == single.taken
    assert bulk.closed == single.closed > 200
    assert await summary(sis) == in_bulk
    assert isinstance(bulk.progress, Silent)
    assert bulk.progress.totals == {part: bulk.progress.done[part] for part in bulk.progress.totals}


async def test_a_repeat_and_an_interrupted_load_end_like_one_load(sis, district, tmp_path):
    half = tmp_path / "half"
    half.mkdir()
    for path in district.iterdir():
        lines = path.read_bytes().splitlines(keepends=True)
        (half / path.name).write_bytes(b"".join(lines if path.suffix == ".csv" else lines[: len(lines) // 2]))

    await load(sis, half)
    await load(sis, district)
    after = await summary(sis)
    said = len(await sis.said())
    repeated = await load(sis, district)
    await sis.empty()
    await load(sis, district)

    assert await summary(sis) == after
    assert repeated.rejected == []
    assert said >= len(await sis.said())


async def test_days_close_through_the_newest_row_and_not_beyond(sis, fill):
    folder = fill(
        "school_id,date,instructional\n"
        + "".join(f"1,2025-09-0{day},true\n2,2025-09-0{day},true\n" for day in range(1, 6)),
        schools=[school(1), school(2)],
        students=[{"studentUniqueId": "a"}],
        studentSchoolAttendanceEvents=[absence("a", "2025-09-02"), absence("a", "2025-09-03")],
    )

    report = await load(sis, folder)

    closed = [(event.school_id, event.on.day) for event in await sis.said(SchoolDayClosed)]
    assert sorted(closed) == [("1", 1), ("1", 2), ("1", 3), ("2", 1), ("2", 2), ("2", 3)]
    assert report.closed == 6


async def test_rows_dated_ahead_close_nothing_ahead(sis, fill):
    days = ("2025-09-02", "2025-09-03", "2025-09-04", "2199-09-02")
    folder = fill(
        "school_id,date,instructional\n" + "".join(f"1,{day},true\n" for day in days),
        schools=[school(1)],
        students=[{"studentUniqueId": "a"}],
        studentSchoolAttendanceEvents=[absence("a", "2025-09-02"), absence("a", "2199-09-02")],
    )

    report = await load(sis, folder)

    assert report.rejected == []
    assert [event.on for event in await sis.said(SchoolDayClosed)] == [date(2025, 9, 2)]


async def test_rows_that_were_not_taken_close_nothing(sis, fill):
    unreadable = [absence("a", "") | {"eventDate": on} for on in ("9999-12-31", "zzz", "20250904", 7, None)]
    folder = fill(
        "school_id,date,instructional\n" + "".join(f"1,2025-09-0{day},true\n" for day in range(1, 6)),
        schools=[school(1)],
        students=[{"studentUniqueId": "a"}],
        studentSchoolAttendanceEvents=[absence("a", "2025-09-02"), *unreadable, absence("ghost", "2025-09-04")],
    )

    for single in (False, True):
        await sis.empty()
        report = await load(sis, folder, single=single)

        assert (len(report.rejected), report.waiting_count) == (5, 1)
        assert [event.on.day for event in await sis.said(SchoolDayClosed)] == [1, 2]


def test_only_a_readable_past_date_closes_a_day(fill):
    calendar = "date,instructional,school_id\n2025-09-02,true,1\n2025-09-03,true,1\n2025-09-02,false,2\n"

    def closing(*rows: object) -> dict[str, date]:
        return Folder(fill(calendar, studentSchoolAttendanceEvents=rows)).days_to_close(date(2025, 9, 3))

    ahead = [absence("a", on) for on in ("2027-05-03", "9999-12-31", "zzz", "")]
    assert closing(*ahead, {}, b"[") == {}
    assert closing(*ahead, absence("a", "2025-09-02")) == {"1": date(2025, 9, 2)}
    assert closing(*ahead, absence("a", "2025-09-01")) == {}


def test_only_calendar_dates_that_the_door_would_take_name_days_to_close(fill):
    def dated(school: object, events: object) -> dict[str, object]:
        reference = {"calendarCode": "A", "schoolId": school, "schoolYear": 2026}
        return {"calendarReference": reference, "date": "2025-09-02", "calendarEvents": events}

    counts = [{"calendarEventDescriptor": "x#Instructional day"}]
    rows = [dated(1.0, counts), dated("a/b", counts), dated("\x00", counts), dated(2, 7), dated(3, ["x"]), b"[]"]
    folder = Folder(fill(calendarDates=rows, studentSchoolAttendanceEvents=[absence("a", "2025-09-02")]))

    assert folder.days_to_close(date(2025, 9, 3)) == {"1": date(2025, 9, 2)}


async def test_a_school_year_that_lost_a_line_is_named_and_its_lines_are_not_counted(sis, fill):
    folder = fill(
        "school_id,date,instructional\n1,2025-09-01,true\n1,2025-09-31,true\n2,2025-09-01,true\n",
        schools=[school(1), school(2)],
    )

    report = await load(sis, folder)
    dry = Report(Silent())
    check_folder(Folder(folder), dry)

    for one in (report, dry):
        assert one.rejected == [("calendar.csv", 3, "date must be a date that exists")]
        assert one.left_years == [("1", 2025)]
        assert one.taken == {"schools": 2, "calendar.csv": 1}
        assert isinstance(one.progress, Silent)
        assert one.progress.done["calendar.csv"] == one.progress.totals["calendar.csv"] == 3


async def test_a_truncated_calendar_is_named_and_taken_only_if_asked(sis, fill):
    header, line = "school_id,date,instructional\n", "1,2025-09-01,true\n"
    await load(sis, fill(f"{header}{line}1,2025-09-02,true\n", schools=[school(1)]))

    truncated = await load(sis, fill(header + line))
    meant = await load(sis, fill(header + line), replace=True)

    assert (truncated.left_years, truncated.rejected_count) == ([("1", 2025)], 1)
    assert (meant.left_years, meant.rejected_count) == ([], 0)
    assert (truncated.taken["calendar.csv"], meant.taken["calendar.csv"]) == (0, 1)


@pytest.mark.parametrize("single", [False, True])
async def test_bad_rows_are_named_by_file_and_line_and_the_others_kept(sis, fill, single):
    folder = fill(
        schools=[school(1)],
        students=[{"studentUniqueId": "a"}, b"", b'{"studentUniqueId": ', b'\xff{"x":1}', {"firstName": "Nobody"}],
        studentSchoolAttendanceEvents=[
            absence("a", "2025-09-02"),
            absence("a", "2025-09-31"),
            absence("ghost", "2025-09-02"),
            absence("a", "2025-09-03", "Vanished"),
            absence("a", "2025-09-03", eventDuration=2),
        ],
    )

    report = await load(sis, folder, single=single)

    events, no_json = "studentSchoolAttendanceEvents.jsonl", "The body is not acceptable JSON:"
    assert sorted(report.rejected) == [
        (events, 2, "$.eventDate must be a date that exists"),
        (events, 4, "$.attendanceEventCategoryDescriptor must be a descriptor known here"),
        (events, 5, "$.eventDuration must be from 0 to 1"),
        ("students.jsonl", 3, f"{no_json} it ends too early."),
        ("students.jsonl", 4, f"{no_json} it is not valid UTF-8."),
        ("students.jsonl", 5, "$.studentUniqueId is required"),
    ]
    assert report.waiting == [("studentSchoolAttendanceEvents.jsonl", 3, "waits for students")]
    assert (await summary(sis))["attendance_rows"] == 1


async def test_rows_of_one_key_apply_in_the_order_of_the_file(sis, fill):
    students = [{"studentUniqueId": f"s{number}"} for number in range(40)]
    rows = [
        absence(f"s{number}", "2025-09-02", eventDuration=fraction)
        for fraction in (1.0, 0.25, 0.5)
        for number in range(40)
    ]
    folder = fill(schools=[school(1)], students=students, studentSchoolAttendanceEvents=rows)

    for single in (False, True):
        await load(sis, folder, single=single)
        path = "/sis/data/v3/ed-fi/studentSchoolAttendanceEvents?limit=500"
        documents = (await sis.http.get(path, headers=sis.headers("sis"))).json()

        assert [document["eventDuration"] for document in documents] == [0.5] * 40


async def test_deletions_come_after_what_refers_to_them_and_may_be_repeated(sis, fill):
    folder = fill(
        schools=[school(1)],
        students=[{"studentUniqueId": "a"}, {"studentUniqueId": "b"}],
        studentSchoolAttendanceEvents=[absence("a", "2025-09-02"), absence("b", "2025-09-02")],
        studentSchoolAttendanceEvents__deletes=[absence("a", "2025-09-02")],
        students__deletes=[{"studentUniqueId": "a"}],
    )

    first = await load(sis, folder)

    assert first.rejected == []
    assert (await summary(sis))["students"] == 1
    assert (await summary(sis))["attendance_rows"] == 1


async def test_a_token_of_another_role_leaves_out_what_it_may_not_push(sis, district, tmp_path):
    token = tmp_path / "token"
    token.write_text(sis.headers("district")["Authorization"].removeprefix("Bearer ") + "\n")

    await load(sis, district)
    report = await load(sis, district, token=token)

    assert report.rejected == []
    assert {"schools", "students", "calendar.csv", "disciplineActions"} <= set(report.left_out)
    assert report.taken == {}
    assert isinstance(report.progress, Silent)
    assert report.progress.done == {"school days": 4}


async def test_the_clock_is_held_while_rows_come_in_and_let_go_after(sis, fill, monkeypatch):
    calls: list[tuple[str, str]] = []
    inner = httpx.ASGITransport(sis.app)

    class Noting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            calls.append((request.method, request.url.path))
            return await inner.handle_async_request(request)

    monkeypatch.setattr("sis.loading.closing._RENEW_SECONDS", 0.0)
    folder = fill(schools=[school(1)], students=[{"studentUniqueId": str(number)} for number in range(2000)])
    tokens = MintedTokens(read_signing_key(sis.keys / "staff"))
    await push(Folder(folder), Report(Silent()), "http://testserver", tokens, transport=Noting())

    lease = calls[0][1]
    assert lease.startswith("/sis/v1/closing-clock/leases/")
    assert calls[0] == ("PUT", lease)
    assert calls[-1] == ("DELETE", lease)
    assert calls.count(("PUT", lease)) > 1


def test_a_large_calendar_keeps_each_school_together():
    from sis.loading.folder import calendars_of

    body = b"school_id,date,instructional\n" + b"".join(
        b"%d,2025-09-0%d,true\n" % (s, d) for d in (1, 2, 3) for s in range(9)
    )

    parts = list(calendars_of(body, 200))

    assert len(parts) > 1
    assert all(part.startswith(b"school_id,date,instructional\n") for part in parts)
    seen = [{line.split(b",")[0] for line in part.splitlines()[1:]} for part in parts]
    assert len(set().union(*seen)) == sum(map(len, seen)) == 9
    assert sum(len(part.splitlines()) - 1 for part in parts) == 27
    assert list(calendars_of(body, 10_000)) == [body]


def test_a_large_calendar_is_parted_by_school_wherever_its_column_stands():
    from sis.loading.folder import calendars_of

    body = b"\xef\xbb\xbfdate, School_ID ,instructional\n" + b"".join(
        b'2025-09-0%d,"%d",true\n' % (d, s) for d in (1, 2, 3) for s in range(9)
    )

    parts = [part.splitlines()[1:] for part in calendars_of(body, 200)]

    assert len(parts) > 1
    schools = [{line.split(b",")[1] for line in part} for part in parts]
    assert len(set().union(*schools)) == sum(map(len, schools)) == 9
    assert sum(map(len, parts)) == 27


def test_no_resource_comes_before_what_it_refers_to():
    from sis.resources import RESOURCES, WAVES

    wave_of = {name: number for number, wave in enumerate(WAVES) for name in wave}

    assert set(wave_of) == set(RESOURCES)
    assert sum(map(len, WAVES)) == len(RESOURCES)
    for name, resource in RESOURCES.items():
        assert all(wave_of[reference.to] < wave_of[name] for reference in resource.references)


def test_a_line_that_is_no_object_has_no_value():
    from sis.loading.folder import Line

    assert [Line(1, text).value() for text in (b"[1]", b"nonsense", b"[" * 100_000)] == [{}, {}, {}]
    assert Line(1, json.dumps({"a": 1}).encode()).value() == {"a": 1}


@pytest.mark.parametrize("single", [False, True])
async def test_rows_that_still_wait_at_the_end_are_listed_by_file_and_line_and_close_no_day(sis, fill, single):
    folder = fill(
        "school_id,date,instructional\n1,2025-09-01,true\n1,2025-09-02,true\n",
        schools=[school(1)],
        students=[{"studentUniqueId": "a"}],
        studentSchoolAttendanceEvents=[absence("a", "2025-09-01"), absence("b", "2025-09-02")],
        disciplineIncidents=[
            {"incidentIdentifier": "i", "schoolReference": {"schoolId": 2}, "incidentDate": "2025-09-01"}
        ],
    )

    first = await load(sis, folder, single=single)
    again = await load(sis, fill(students=[{"studentUniqueId": "b"}], schools=[school(2)]), single=single)

    assert sorted(first.waiting) == [
        ("disciplineIncidents.jsonl", 1, "waits for schools"),
        ("studentSchoolAttendanceEvents.jsonl", 2, "waits for students"),
    ]
    assert (first.rejected, first.waiting_count, first.awaited) == ([], 2, {"schools", "students"})
    assert (sum(first.taken.values()), first.closed) == (7, 1)
    assert (again.waiting, again.closed) == ([], 1)
