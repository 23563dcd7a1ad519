"""The journey that everything else deepens: a push becomes a course, a decision with its reason, and a correction withdraws it."""

from datetime import date
from typing import Any
from uuid import UUID

import httpx

from tests.faults.patience import eventually
from tests.faults.push import LAST_DAY, Door, School, weekdays

DAYS = weekdays(60, LAST_DAY)
STUDENTS = 12
OFTEN_ABSENT, CORRECTED, RECOVERED = 0, 1, 2
"""Numbers of students: one who misses much, one of whom that is taken back, one who misses much early and then nothing."""

KEPT = (
    "number",
    "tier",
    "tier_before",
    "cause",
    "effective_on",
    "through",
    "policy",
    "clauses",
    "what_would_change_it",
)


async def travel(door: Door) -> School:
    """Push a school day by day; every absence of one student is taken back at the end."""
    school = School(door, "255901001", students=STUDENTS)
    await school.open()
    names = sorted(school.ids)
    for number, day in enumerate(DAYS):
        await school.record(day, {name: 100 for place, name in enumerate(names) if _misses(place, number)})
        await school.close(day)
        if number == 30:
            await decided(door, school.ids[names[CORRECTED]], "targeted")
    for fact in [fact for fact in school.missed if fact[0] == school.ids[names[CORRECTED]]]:
        await school.take_back(fact)
    await decided(door, school.ids[names[OFTEN_ABSENT]], "targeted")
    await decided(door, school.ids[names[CORRECTED]], "universal")
    await decided(door, school.ids[names[RECOVERED]], "universal", through=DAYS[-1])
    await school.leave()
    return school


async def decided(door: Door, student: UUID, tier: str, *, through: date | None = None) -> None:
    """Wait until this is the student's tier, with the school closed through a day."""
    async with door.http("mtss", "district") as http:

        async def stands() -> bool:
            answer = (await http.get(f"/mtss/v1/students/{student}")).json()
            return answer.get("tier") == tier and (through is None or answer["closed_through"] == through.isoformat())

        await eventually(f"the tier is {tier}", stands)


async def ledger(door: Door, school: School) -> list[list[dict[str, Any]]]:
    """Every decision about every student, by the student's number."""
    async with door.http("mtss", "district") as http:
        return [await _items(http, school.ids[name], "decisions") for name in sorted(school.ids)]


async def courses(door: Door, school: School) -> list[list[dict[str, Any]]]:
    """The course of every student, by the student's number."""
    async with door.http("mtss", "district") as http:
        return [await _items(http, school.ids[name], "course") for name in sorted(school.ids)]


async def _items(http: httpx.AsyncClient, student: UUID, what: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await http.get(f"/mtss/v1/students/{student}/{what}")).json()["items"]
    return items


def _misses(student: int, day: int) -> bool:
    match student:
        case 0:
            return day % 5 == 0
        case 1:
            return day % 6 == 0
        case 2:
            return day in (3, 9, 15)
        case _:
            return (day + student) % 29 == 0


def check(decisions: list[list[dict[str, Any]]]) -> None:
    """What the journey must have come to."""
    often, corrected, recovered, *others = decisions
    assert [each["tier"] for each in often] == ["universal", "targeted"]
    assert [each["tier"] for each in corrected][-2:] == ["targeted", "universal"]
    assert corrected[-1]["cause"] in ("withdrawn", "corrected")
    assert [each["tier"] for each in recovered][-2:] == ["targeted", "universal"]
    assert recovered[-1]["cause"] == "exited"
    assert all(len(each) == 1 and each[0]["cause"] == "enrolled" for each in others)
    reason = often[-1]["clauses"][0]
    assert reason["clause"] == "attendance"
    assert "days" in reason["in_words"]
    assert reason["what_would_change_it"]


def outcomes(decisions: list[list[dict[str, Any]]]) -> list[tuple[str, str]]:
    """Each student's last tier and since when. How many decisions led there depends on how events fell into batches."""
    return [(each[-1]["tier"], each[-1]["effective_on"]) for each in decisions]
