"""Whole districts, pushed as an operator pushes them; what is read of every student is what the raw rows say.

The oracle reads the folder and shares nothing with the path: the door, the facts, the closing of days, the events, the
rules and the pages are all on the other side.
"""

import os
from collections.abc import Iterator
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.commands import make_token
from tests.e2e.test_spine import Trellis, eventually, running
from tests.mtss.folder import events_of
from tests.mtss.made_up import named
from tests.mtss.oracle import Day, District
from tests.processes import trellis
from trial.sample.district import Sample

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_ROOT = Path(__file__).parents[2]
_PUBLIC = Path(os.environ.get("TRELLIS_PUBLIC_SAMPLE", _ROOT / ".." / "shared" / "data" / "grand-bend"))
_ENROLLED = 227  # of the 960 students of the public district


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trellis]:
    with running(tmp_path_factory.mktemp("districts") / "var") as trellis_at:
        yield trellis_at


@pytest.fixture
def public_sample() -> Path:
    """The folder of a public district that nobody here made."""
    if _PUBLIC.is_dir():
        return _PUBLIC
    if os.environ.get("TRELLIS_REQUIRE_ALL") == "1":
        pytest.fail(f"the public sample is not at {_PUBLIC}")
    pytest.skip(f"THE PUBLIC SAMPLE IS NOT AT {_PUBLIC}: set TRELLIS_PUBLIC_SAMPLE to its folder")


def test_every_course_of_a_public_district_is_what_its_rows_say(at: Trellis, public_sample: Path) -> None:
    days = _load_and_compare(at, public_sample)

    assert len(days) == _ENROLLED
    assert {day.attendance for course in days for day in course} == {None, False, True}


def test_every_course_of_a_made_up_district_is_what_its_rows_say(at: Trellis, tmp_path: Path) -> None:
    Sample(100, 3, date(2025, 8, 18), date(2026, 2, 27)).write(tmp_path / "sample")

    every_day = [day for course in _load_and_compare(at, tmp_path / "sample") for day in course]

    assert len(every_day) > 12_000
    for of in ("attendance", "adult_support", "candidate", "referral_count", "days_implied"):
        assert any(getattr(day, of) for day in every_day), f"without any {of} the comparison says little"


def _load_and_compare(at: Trellis, folder: Path) -> list[list[Day]]:
    """The courses that the oracle says, each of which was found, and nothing else."""
    loaded = trellis("load", str(folder), "--url", at.url, "--data", str(at.data))
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    eventually("all is heard", at.quiet)
    headers = {"Authorization": f"Bearer {make_token(at.data, 'district')}"}
    district, courses = District(events_of(folder)), []
    with httpx.Client(base_url=at.url, headers=headers, timeout=30, trust_env=False) as http:
        ours = {named(unique_id): identity for unique_id, identity in _students(http).items()}
        assert district.students() <= ours.keys()
        for student in sorted(district.students()):
            course = district.course(student)
            assert _differences(_read(http, ours[student]), _expected(district, course)) == []
            courses.append(course)
    return courses


_CLAUSES = ("attendance", "adult_support", "referrals")


def _students(http: httpx.Client) -> dict[str, str]:
    """Our id of each student by the number in the SIS."""
    known: dict[str, str] = {}
    while page := http.get("/sis/data/v3/ed-fi/students", params={"limit": 500, "offset": len(known)}).json():
        known |= {each["studentUniqueId"]: each["id"] for each in page}
    return known


def _read(http: httpx.Client, student: str) -> tuple[list[Any], dict[str, Any]]:
    """Every day of the course, and what is counted at its end."""
    course = http.get(f"/mtss/v1/students/{student}/course").raise_for_status().json()
    clauses = http.get(f"/mtss/v1/students/{student}").raise_for_status().json()["clauses"]
    evidence = {clause["clause"]: clause["evidence"] for clause in clauses}
    counted = ("days_absent", "days_enrolled", "days_implied")
    attendance = {name: evidence["attendance"][name] for name in counted} if evidence else {}
    days = [{**day, "clauses": {name: day["clauses"][name] for name in _CLAUSES}} for day in course["items"]]
    return days, attendance | ({"referrals": evidence["referrals"]["referrals"]} if evidence else {})


def _differences(found: tuple[list[Any], Any], expected: tuple[list[Any], Any]) -> list[str]:
    """What differs, day by day and at the end; nothing if nothing does."""
    pairs = [*zip_longest(found[0], expected[0]), (found[1], expected[1])]
    return [f"{is_said}\n{should_be}" for is_said, should_be in pairs if is_said != should_be]


def _expected(district: District, course: list[Day]) -> tuple[list[Any], dict[str, Any]]:
    if not course:
        return [], {}
    last = course[-1]
    return [_day(district, day) for day in course], {
        "days_absent": last.hundredths_absent / 100,
        "days_enrolled": last.days_enrolled,
        "days_implied": last.days_implied,
        "referrals": last.referral_count,
    }


def _day(district: District, day: Day) -> dict[str, Any]:
    return {
        "on": str(day.on),
        "school_id": day.school,
        "school_year": day.year,
        "closed": (day.school, day.on) in district.closed,
        "implied": district.closed.get((day.school, day.on), False),
        "tier": day.tier,
        "intensive_candidate": day.candidate,
        "clauses": {
            "attendance": day.attendance,
            "adult_support": day.adult_support,
            "referrals": day.referrals,
        },
    }
