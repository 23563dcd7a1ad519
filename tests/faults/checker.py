"""What must never happen, looked for in the databases after every fault: each violation is one line.

I1 nothing lost, I2 nothing invented, I3 once, I5 the ledger is a line that ends where the course ends, I6 the audit log is
whole, I7 accepted is durable. I4, one contact, is looked for at the mail server's ledger where one takes part.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any
from uuid import UUID

import httpx

from common.audit.chain import Entry, check
from common.events import Event, by_type
from tests.faults.district import District
from tests.faults.patience import eventually
from tests.faults.push import School

HEARS = {
    "mtss": {
        "sis.student-enrolled.v1",
        "sis.school-calendar-set.v1",
        "sis.attendance-recorded.v1",
        "sis.school-day-closed.v1",
        "sis.incident-recorded.v1",
    },
    "tally": set(by_type()),
    "notifications": {"sis.school-calendar-set.v1", "mtss.tier-decided.v1"},
}


async def settled(district: District, *, within: float = 60) -> None:
    """Wait until everything said is published and heard by everyone.

    Raises:
        AssertionError: it is not, in time; the message says what is missing where.
    """

    async def quiet() -> bool:
        for owner in ("sis", "mtss"):
            waiting = await district.rows(owner, "SELECT count(*) FROM outbox WHERE published_at IS NULL")
            if waiting[0][0]:
                return False
        return not [line async for line in nothing_lost(district)]

    try:
        await eventually("everything said is heard by everyone", quiet, within=within, every=0.25)
    except AssertionError as late:
        missing = [line async for line in nothing_lost(district)]
        raise AssertionError(f"{late}: {missing[:5]}") from None


async def violations(district: District, schools: Iterable[School] = ()) -> list[str]:
    """Every violation found; ``schools`` pushed what must be there."""
    found = [line async for line in nothing_lost(district)]
    found += [line async for line in _nothing_invented(district)]
    found += [line async for line in _once(district)]
    found += [line async for line in _a_line(district)]
    found += [line async for line in _on_record(district)]
    for school in schools:
        found += [line async for line in _as_accepted(district, school)]
        found += [line async for line in _ends_where_the_course_ends(district, school)]
    return found


async def nothing_lost(district: District) -> AsyncIterator[str]:
    """I1: every committed event is in every subscriber's inbox, or parked there."""
    said = {owner: await _said(district, owner) for owner in _owners(district)}
    for hearer in _hearers(district):
        known = await _ids(district, hearer, "SELECT id FROM inbox UNION ALL SELECT id FROM inbox_parked")
        for owner, events in said.items():
            lost = {identity for identity, kind in events.items() if kind in HEARS[hearer]} - known
            if lost and hearer != owner:
                yield f"I1 {hearer} never heard {len(lost)} of {len(events)} events of {owner}"


async def _nothing_invented(district: District) -> AsyncIterator[str]:
    said = {identity for owner in _owners(district) for identity in await _said(district, owner)}
    for hearer in _hearers(district):
        invented = await _ids(district, hearer, "SELECT id FROM inbox") - said - district.injected
        if invented:
            yield f"I2 {hearer} heard {len(invented)} events that nobody said"


async def _once(district: District) -> AsyncIterator[str]:
    if "tally" not in district.members:
        return
    expected: Counter[UUID] = Counter()
    parked = await _ids(district, "tally", "SELECT id FROM inbox_parked")
    for owner in _owners(district):
        for identity, kind, body in await district.rows(owner, "SELECT id, type, body FROM outbox"):
            expected[_parsed(kind, body).standing_id()] += identity not in parked
    counted: dict[UUID, int] = dict(map(tuple, await district.rows("tally", "SELECT state, times FROM tally_heard")))
    wrong = {state: counted.get(state, 0) for state, times in expected.items() if counted.get(state, 0) != times}
    if wrong:
        yield f"I3 {len(wrong)} events did not act exactly once but {sorted(Counter(wrong.values()).items())} (times, events)"


async def _a_line(district: District) -> AsyncIterator[str]:
    decisions = await district.rows(
        "mtss", "SELECT student_id, number, tier_before, tier FROM mtss_decision ORDER BY student_id, number"
    )
    for student, own in groupby(decisions, key=lambda row: row.student_id):
        before = None
        for expected, row in enumerate(own, 1):
            if (row.number, row.tier_before) != (expected, before):
                yield f"I5 {student}: decision {expected} is {tuple(row)} after tier {before}"
                break
            before = row.tier
    said = await district.rows("mtss", "SELECT count(*) FROM outbox WHERE type = 'mtss.tier-decided.v1'")
    if said[0][0] < len(decisions):
        yield f"I5 {len(decisions)} decisions, but only {said[0][0]} were said"


async def _on_record(district: District) -> AsyncIterator[str]:
    for service in district.members:
        rows = await district.rows(service, "SELECT * FROM audit WHERE number IS NOT NULL ORDER BY number")
        entries = [Entry.model_validate(row, from_attributes=True) for row in rows]
        for fault in check(service, entries, {}).faults:
            yield f"I6 {service}: {fault}"


async def _as_accepted(district: District, school: School) -> AsyncIterator[str]:
    stored = await _ids(district, "sis", "SELECT id FROM sis_document WHERE NOT deleted")
    if lost := school.accepted - stored:
        yield f"I7 school {school.id}: {len(lost)} accepted documents are not in sis"
    rows = await district.rows(
        "mtss",
        "SELECT student_id, day, hundredths_absent FROM mtss_attendance WHERE school_id = :school AND kind IS NOT NULL",
        school=school.id,
    )
    known = {(row.student_id, row.day): row.hundredths_absent for row in rows}
    wrong = {fact for fact in known.keys() | school.missed.keys() if known.get(fact) != school.missed.get(fact)}
    if wrong:
        yield f"I3 school {school.id}: {len(wrong)} of {len(school.missed)} absences in mtss are not as accepted"
    closed = await district.rows(
        "mtss",
        "SELECT max(day) FROM mtss_closed_day WHERE school_id = :school AND superseded_at IS NULL AND NOT deleted",
        school=school.id,
    )
    if closed[0][0] != school.closed_through:
        yield f"I7 school {school.id}: closed through {closed[0][0]} instead of {school.closed_through}"


async def _ends_where_the_course_ends(district: District, school: School) -> AsyncIterator[str]:
    async with district.http("mtss", "district") as http:
        students = iter(school.ids.values())
        while some := [student for student, _ in zip(students, range(8), strict=False)]:
            for line in await asyncio.gather(*(_against_course(http, student) for student in some)):
                if line:
                    yield f"I5 school {school.id}: {line}"


async def _against_course(http: httpx.AsyncClient, student: UUID) -> str:
    standing = await http.get(f"/mtss/v1/students/{student}")
    course = await http.get(f"/mtss/v1/students/{student}/course")
    if not (standing.is_success and course.is_success):
        return f"{student} is {standing.status_code} and their course {course.status_code}"
    days, now = course.json()["items"], standing.json()
    if not days:
        return "" if now["tier"] is None else f"{student} is {now['tier']} without a course"
    since = _begun(days)
    if (now["tier"], now["since"]) != (days[-1]["tier"], since):
        return f"{student} is {now['tier']} since {now['since']}; the course says {days[-1]['tier']} since {since}"
    return ""


def _begun(days: Sequence[Mapping[str, Any]]) -> str:
    """The day on which the last tier of a course began."""
    last = [days[-1]]
    for day in reversed(days[:-1]):
        if day["tier"] != last[-1]["tier"]:
            break
        last.append(day)
    return str(last[-1]["on"])


async def _said(district: District, owner: str) -> dict[UUID, str]:
    return dict(map(tuple, await district.rows(owner, "SELECT id, type FROM outbox")))


async def _ids(district: District, service: str, statement: str) -> set[UUID]:
    return {identity for (identity,) in await district.rows(service, statement)}


def _parsed(kind: str, body: bytes) -> Event:
    return by_type()[kind].model_validate_json(body)


def _owners(district: District) -> list[str]:
    return [name for name in ("sis", "mtss") if name in district.members]


def _hearers(district: District) -> list[str]:
    return [name for name in HEARS if name in district.members]


@asynccontextmanager
async def under_load(*schools: School, settle: float = 60) -> AsyncIterator[None]:
    """Let the schools push while the body breaks things; afterwards wait until all is heard.

    What the body does begins once every school is open.
    """
    await asyncio.gather(*(school.open() for school in schools))
    until = asyncio.Event()
    tasks = [asyncio.create_task(school.live(until=until)) for school in schools]
    try:
        yield
        until.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 240)
        for district in {id(school.district): school.district for school in schools}.values():
            assert isinstance(district, District)
            await settled(district, within=settle)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for school in schools:
            await school.leave()
