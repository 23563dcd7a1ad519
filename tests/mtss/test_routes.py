"""What a reader gets, and who may read it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from common.events import TierDecided
from common.paging import encode_cursor
from tests.harness import Running
from tests.mtss.made_up import STUDENT, School, named, school_days

OTHER, THIRD = named("student", 1), named("student", 2)
NORTH, SOUTH = School("north", days=school_days(60)), School("south", days=school_days(60))


@pytest_asyncio.fixture(loop_scope="session")
async def district(mtss: Running) -> AsyncIterator[Running]:
    """A targeted and an undecided student in the north, a universal one in the south."""
    mtss.clock.set(datetime(2024, 11, 1, 18, tzinfo=UTC))
    await mtss.deliver(
        NORTH.calendar(),
        SOUTH.calendar(),
        NORTH.enrols(),
        SOUTH.enrols(OTHER),
        NORTH.enrols(THIRD, entry_on=NORTH.days[50]),
        *(NORTH.absent(day) for day in (18, 19)),
        *NORTH.closes_through(30),
        *SOUTH.closes_through(30),
    )
    yield mtss


async def get(mtss: Running, path: str, *, role: str = "district", **token: Any) -> tuple[int, Any]:
    answer = await mtss.http.get(f"/mtss/v1{path}", headers=mtss.headers(role, **token))
    return answer.status_code, answer.json()


async def test_a_student_has_a_tier_since_when_and_why(district: Running) -> None:
    status, student = await get(district, f"/students/{STUDENT}")
    assert status == 200
    assert (student["tier"], student["since"], student["school_id"]) == (
        "targeted",
        NORTH.days[19].isoformat(),
        "north",
    )
    assert (student["closed_through"], student["decisions"], student["proposal"]) == (
        NORTH.days[29].isoformat(),
        1,
        None,
    )
    attendance, adult_support, referrals, *_ = student["clauses"]
    assert (attendance["clause"], attendance["holds"]) == ("attendance", True)
    assert student["coverage"] == {"known": 4, "of": 5}  # no survey was answered
    assert attendance["evidence"]["days_absent"] == 2.0
    assert attendance["at_entry"]["days_enrolled"] == 20
    assert (adult_support["clause"], adult_support["holds"]) == ("adult_support", None)
    assert (referrals["clause"], referrals["holds"]) == ("referrals", False)
    assert student["what_would_change_it"].startswith("Extra support stands until its ground is gone.")
    least = {"amount": 15, "on": NORTH.days[44].isoformat()}
    assert attendance["change"] == {"by": "school_days", "clause": least, "tier": least, "school_days_left": 30}


async def test_clauses_are_as_of_now_and_the_tier_as_decided(district: Running) -> None:
    await district.deliver(NORTH.scores(20, 2.0), *NORTH.closes(30))
    _, student = await get(district, f"/students/{STUDENT}")
    assert student["clauses"][1]["holds"] is True
    assert student["proposal"]["tier"] == "intensive"
    assert [clause["holds"] for clause in student["proposal"]["clauses"]] == [True, True, False, False, False]


async def test_an_undecided_student_has_no_tier_and_no_clauses(district: Running) -> None:
    status, student = await get(district, f"/students/{THIRD}")
    assert (status, student["tier"], student["since"], student["clauses"]) == (200, None, None, [])
    assert student["closed_through"] is None


async def test_a_student_without_an_enrolment_is_unknown(district: Running) -> None:
    unknown = named("student", 9)
    await district.deliver(NORTH.absent(3, unknown), NORTH.scores(3, 1.0, unknown))
    for path in ("", "/course", "/decisions"):
        status, problem = await get(district, f"/students/{unknown}{path}")
        assert (status, problem["type"]) == (404, "urn:trellis:problem:not-found")


async def test_after_every_enrolment_was_taken_back_only_the_ledger_is_left(district: Running) -> None:
    await district.deliver(NORTH.enrols(deleted=True))
    assert (await get(district, f"/students/{STUDENT}"))[0] == 404
    _, page = await get(district, f"/students/{STUDENT}/decisions")
    assert [line["tier"] for line in page["items"]] == ["targeted", None]


async def test_a_course_has_every_instructional_day_through_the_last_closed_one(district: Running) -> None:
    _, course = await get(district, f"/students/{STUDENT}/course?year=2025")
    days = course["items"]
    assert (len(days), days[0]["on"], days[-1]["on"]) == (30, NORTH.days[0].isoformat(), NORTH.days[29].isoformat())
    assert [days[18]["tier"], days[19]["tier"]] == ["universal", "targeted"]
    assert days[18]["clauses"] == {
        "attendance": None,
        "adult_support": None,
        "referrals": False,
        "severe_attendance": None,
        "severe_referrals": False,
    }
    assert (await get(district, f"/students/{STUDENT}/course?year=2024"))[1] == {"items": [], "next": None}
    _, first = await get(district, f"/students/{STUDENT}/course?year=2025&limit=20")
    _, rest = await get(district, f"/students/{STUDENT}/course?year=2025&cursor={first['next']}")
    assert first["items"] + rest["items"] == days
    assert (await get(district, f"/students/{STUDENT}/course"))[1] == course


async def test_the_ledger_is_read_page_by_page(district: Running) -> None:
    await district.deliver(NORTH.absent(18, deleted=True))
    await district.deliver(NORTH.absent(18))
    path = f"/students/{STUDENT}/decisions?limit=2"
    _, first = await get(district, path)
    _, second = await get(district, f"{path}&cursor={first['next']}")
    assert [line["cause"] for line in first["items"] + second["items"]] == ["entered", "withdrawn", "entered"]
    assert [line["stands"] for line in first["items"] + second["items"]] == [False, False, True]
    assert second["next"] is None


async def test_one_decision_tells_whether_it_still_stands(district: Running) -> None:
    said = next(event for event in await district.said(TierDecided) if event.student_id == STUDENT)
    status, decision = await get(district, f"/decisions/{said.decision_id}")
    assert status == 200
    assert (decision["tier"], decision["cause"], decision["stands"]) == ("targeted", "entered", True)
    assert (decision["policy"], decision["through"]) == ("default-1", NORTH.days[29].isoformat())
    assert decision["coverage"] == {"known": said.clauses_known, "of": said.clauses_in_all} == {"known": 4, "of": 5}
    assert datetime.fromisoformat(decision["known_at"]) == said.known_at
    await district.deliver(NORTH.absent(18, deleted=True))
    assert (await get(district, f"/decisions/{said.decision_id}"))[1]["stands"] is False
    assert (await get(district, f"/decisions/{uuid4()}"))[0] == 404


async def test_a_decision_is_told_to_a_parent_in_spanish_and_to_staff_in_english(district: Running) -> None:
    said = next(event for event in await district.said(TierDecided) if event.student_id == STUDENT)
    status, words = await get(district, f"/decisions/{said.decision_id}/words?for=parent&language=es")
    assert (status, words["audience"], words["language"]) == (200, "parent", "es")
    assert words["grounds"][0].startswith("Su hijo o hija vino 28 de 30 días de clase.")
    assert words["changes"] == [
        "Si viene cada día, este apoyo puede terminar el 18 de octubre de 2024. Es dentro de 15 días de clase."
    ]
    path, asked = f"/mtss/v1/decisions/{said.decision_id}/words?for=student", district.headers("district")
    spoken = [
        (await district.http.get(path, headers={**asked, "Accept-Language": accepted})).json()["language"]
        for accepted in ("es-MX,en;q=0.8", "hmn, en", "hmn", "")
    ]
    assert spoken == ["es", "en", "en", "en"]
    _, staff = await get(district, f"/decisions/{said.decision_id}/words")
    _, student = await get(district, f"/students/{STUDENT}")
    assert (staff["audience"], staff["grounds"]) == ("staff", [student["clauses"][0]["in_words"]])
    assert (await get(district, f"/decisions/{said.decision_id}/words?for=board"))[0] == 422
    assert (await get(district, f"/decisions/{uuid4()}/words"))[0] == 404


async def test_notifications_may_ask_about_a_decision_and_about_nothing_else(district: Running) -> None:
    said = (await district.said(TierDecided))[0]
    notifications, surveys = district.service_headers("notifications"), district.service_headers("surveys")
    path = f"/mtss/v1/decisions/{said.decision_id}"
    assert (await district.http.get(path, headers=notifications)).status_code == 200
    assert (await district.http.get(path, headers=surveys)).status_code == 403
    assert (await district.http.get(f"/mtss/v1/students/{STUDENT}", headers=notifications)).status_code == 403


async def test_lists_hold_every_student_whose_last_enrolment_is_open(district: Running) -> None:
    _, page = await get(district, "/students")
    assert {line["student_id"] for line in page["items"]} == {str(each) for each in (STUDENT, OTHER, THIRD)}
    _, north = await get(district, "/students?school=north")
    assert {line["student_id"]: line["tier"] for line in north["items"]} == {str(STUDENT): "targeted", str(THIRD): None}
    _, targeted = await get(district, "/students?school=north&tier=targeted")
    assert [line["student_id"] for line in targeted["items"]] == [str(STUDENT)]


async def test_who_left_is_not_listed_and_who_will_leave_is(district: Running) -> None:
    await district.deliver(
        NORTH.enrols(exit_on=NORTH.days[20]),
        SOUTH.enrols(OTHER, exit_on=SOUTH.days[59]),
        NORTH.enrols(THIRD, entry_on=NORTH.days[50], exit_on=NORTH.days[50]),
    )
    _, page = await get(district, "/students")
    assert [line["student_id"] for line in page["items"]] == [str(OTHER)]


async def test_who_moved_is_listed_at_the_new_school(district: Running) -> None:
    await district.deliver(NORTH.enrols(exit_on=NORTH.days[20]), SOUTH.enrols(entry_on=SOUTH.days[21]))
    _, south = await get(district, "/students?school=south")
    assert {line["student_id"] for line in south["items"]} == {str(STUDENT), str(OTHER)}


async def test_lists_are_read_page_by_page(district: Running) -> None:
    seen: list[str] = []
    path = "/students?limit=1"
    cursor: str | None = ""
    while cursor is not None:
        _, page = await get(district, path + (f"&cursor={cursor}" if cursor else ""))
        seen += [line["student_id"] for line in page["items"]]
        cursor = page["next"]
    assert seen == sorted(map(str, (STUDENT, OTHER, THIRD)))


async def test_a_school_says_how_many_stand_where_and_how_much_is_unknown(district: Running) -> None:
    _, summary = await get(district, "/schools/north/summary")
    assert summary == {
        "school_id": "north",
        "students": 2,
        "tiers": {"universal": 0, "targeted": 1, "intensive": 0},
        "undecided": 1,
        "proposals_open": 0,
        "unknown_clauses": {"attendance": 1, "adult_support": 2, "referrals": 1},
        "closed_through": NORTH.days[29].isoformat(),
    }
    assert (await get(district, "/schools/nowhere/summary"))[0] == 404


async def test_a_school_without_students_has_an_empty_summary(district: Running) -> None:
    await district.deliver(School("empty").calendar())
    _, summary = await get(district, "/schools/empty/summary")
    assert (summary["students"], summary["closed_through"]) == (0, None)
    assert summary["unknown_clauses"] == {"attendance": 0, "adult_support": 0, "referrals": 0}


@pytest.mark.parametrize("role", ["principal", "counselor"])
async def test_staff_of_a_school_see_its_students_and_no_others(district: Running, role: str) -> None:
    said: dict[UUID, TierDecided] = {event.student_id: event for event in await district.said(TierDecided)}
    own: dict[str, Any] = {"role": role, "schools": ["north"]}
    for student, school, status in ((STUDENT, "north", 200), (OTHER, "south", 404)):
        paths = [f"/students/{student}", f"/students/{student}/course", f"/students/{student}/decisions"]
        paths += [f"/decisions/{said[student].decision_id}", f"/schools/{school}/summary"]
        assert [(await get(district, path, **own))[0] for path in paths] == [status] * 5
    _, page = await get(district, "/students", **own)
    assert {line["school_id"] for line in page["items"]} == {"north"}
    assert (await get(district, "/students?school=south", **own))[1]["items"] == []
    assert (await get(district, "/students", role=role, schools=[]))[1]["items"] == []


@pytest.mark.parametrize("role", ["sis", "facilitator"])
async def test_other_roles_read_no_tiers(district: Running, role: str) -> None:
    for path in ("/students", f"/students/{STUDENT}", "/schools/north/summary"):
        assert (await get(district, path, role=role))[0] == 403


async def test_without_a_token_nothing_is_read(district: Running) -> None:
    assert (await district.http.get(f"/mtss/v1/students/{STUDENT}")).status_code == 401


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/students?school=%00", "school"),
        ("/schools/a%00b/summary", "school_id"),
        (f"/students/{STUDENT}/decisions?cursor={encode_cursor('9' * 40)}", "cursor"),
    ],
)
async def test_what_the_database_cannot_hold_is_refused(district: Running, path: str, field: str) -> None:
    status, problem = await get(district, path)
    assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])
