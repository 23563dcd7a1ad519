"""Rehearsals on a real database: asked for over HTTP, worked off by the loop, read as JSON, sheets and a page."""

import asyncio
import copy
import csv
import io
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest
import pytest_asyncio
import sqlalchemy as sa

from common.embedded import Cluster
from common.events import AttendanceKind, Event
from common.keys import read_keys
from mtss.commands.rehearse import told as in_plain_text
from mtss.loops import rehearse_policies
from mtss.models import DEFAULT_POLICY, courses_of
from mtss.models.rehearsal import facts_before, facts_in_parts, known_of, students_of
from mtss.rehearsals import working
from mtss.rehearsals.apart import Broken, Gone, Refused, apart
from mtss.rehearsals.charts import curves, of_schools, shared
from mtss.rehearsals.sheets import SHEETS, sheet
from mtss.rules import Policy, day_number, policy_of
from mtss.rules.rehearsal.district import District
from mtss.rules.rehearsal.joining import joined
from mtss.rules.rehearsal.kernel import run
from mtss.rules.rehearsal.outcome import CANDIDATE, TARGETED
from mtss.rules.rehearsal.recorded import district_of
from mtss.rules.rehearsal.then import AsKnownThen, Known
from mtss.written import as_yaml
from tests.harness import TIME_ZONE, Running, over_http, run_service
from tests.mtss.endless import endless, failing, killed, refusing
from tests.mtss.folder import events_of
from tests.mtss.made_up import School, named
from tests.mtss.test_policies import adopted
from tests.mtss.test_rules_excluded import ACTIONS
from tests.mtss.test_rules_help import hears
from tests.mtss.test_rules_policy import number
from tests.processes import trellis
from trial.sample.district import Sample

_PATH = "/mtss/v1/rehearsals"
HEARS_ALL = hears(entry=1)
LATELY: dict[str, Any] = {"window": "last_days", "window_days": number(10), "when_unknown": "hold"}
# Attendance of the last days, so that tiers come and go.
HEARS_ALL["clauses"]["attendance"] |= {
    "window": "last_days",
    "window_days": number(15),
    "minimum_data": {"enrolled_days": number(10)},
    "exit": {"below": number(8), "days_in_a_row": number(2)},
}
HEARS_ALL["clauses"] |= {
    "late": {"signal": "tardies", "entry": {"at_least": number(2)}, **LATELY},
    "excluded": {"signal": "excluded_days", "actions": ACTIONS, "entry": {"at_least": number(1.5)}, **LATELY},
    "marked": {
        "signal": "course_marks",
        "minimum_data": {"courses": number(1)},
        "entry": {"at_least": number(1)},
        "when_unknown": "hold",
    },
}
HEARS_ALL["tiers"]["targeted"]["when"]["any"] += ["late", "excluded", "marked"]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Event]:
    folder = tmp_path_factory.mktemp("district") / "sample"
    Sample(150, 1, date(2025, 8, 18), date(2026, 2, 27)).write(folder, lambda _: None)
    return events_of(folder)


async def _deliver(mtss: Running, events: Sequence[Event]) -> None:
    for first in range(0, len(events), 500):
        await mtss.deliver(*events[first : first + 500])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sis(cluster: Cluster) -> AsyncIterator[Running]:
    async with run_service("sis", cluster) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def mtss(service: Running, sis: Running) -> AsyncIterator[Running]:
    """mtss, which reaches a real sis."""
    for each in (service, sis):
        await each.empty()
    before, sis.runtime.keys = sis.runtime.keys, read_keys(service.keys / "sis")
    service.runtime.clients.use("sis", httpx.ASGITransport(sis.app))
    yield service
    sis.runtime.keys = before


def _policy(**entry: float) -> dict[str, Any]:
    document = json.loads(json.dumps(DEFAULT_POLICY.document))
    document["version"] = "tried"
    for clause, value in entry.items():
        document["clauses"][clause]["entry"]["at_least"]["value"] = value
    return dict(document)


async def _ask(mtss: Running, **asked: Any) -> str:
    answer = await mtss.http.post(_PATH, json={"policy": _policy(), **asked}, headers=mtss.headers("district"))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def _read(mtss: Running, rehearsal: str) -> dict[str, Any]:
    return dict((await mtss.http.get(f"{_PATH}/{rehearsal}", headers=mtss.headers("district"))).json())


async def _get(mtss: Running, rehearsal: str, end: str = "/report", **headers: str) -> Any:
    return await mtss.http.get(f"{_PATH}/{rehearsal}{end}", headers=mtss.headers("district") | headers)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_policy_in_force_rehearsed_as_known_now_says_of_each_day_what_the_courses_say(
    mtss: Running, sample: Sequence[Event]
) -> None:
    await _deliver(mtss, sample)
    async with mtss.session() as session:
        students = await students_of(session, [])
        parts = [part async for part in facts_in_parts(session, students, [DEFAULT_POLICY])]
        courses = await courses_of(session, students)
    district = district_of(joined(parts), [DEFAULT_POLICY])

    states = run(district, DEFAULT_POLICY, states=True).states

    assert states is not None
    compared = 0
    for place, course in enumerate(courses):
        for day in course.days():
            state = states[np.searchsorted(district.days, day_number(day.on)), place]
            assert (bool(state & TARGETED), bool(state & CANDIDATE)) == (
                day.tier == "targeted",
                day.intensive_candidate,
            )
            compared += 1
    assert compared > 100 * 120


@pytest.mark.parametrize("seed", [2, 3, 4, 6])
async def test_as_known_then_each_day_ends_with_the_tiers_that_then_stood(mtss: Running, seed: int) -> None:
    chance, at, other = random.Random(seed), School(), School("200")
    students = [named("student", number) for number in range(8)]
    await adopted(mtss, HEARS_ALL, 0)
    policy = policy_of(HEARS_ALL)
    await mtss.deliver(at.calendar(), other.calendar(), *map(at.enrols, students[:6]), *other.closes(0))
    await _end_of(mtss, at.days[0])
    stood: list[dict[UUID, str | None]] = []
    for day in range(1, 70):
        # Each is often away for a while, and then there again.
        missing = [
            each
            for place, each in enumerate(students)
            if chance.random() < (0.3 if (day // 12 + place) % 3 == 0 else 0.01)
        ]
        closing = [each for each in range(day + 1) if chance.random() < 0.8] if day % 5 else range(day + 1)
        await mtss.deliver(
            *(at.absent(day, each) for each in missing),
            *at.closes(*closing),
            *other.closes(day),
        )
        for _ in range(chance.choice([0, 0, 1, 2])):
            await mtss.deliver(_of_the_past(chance, at, other, day, students))
        if day % 16 == 0:
            mtss.clock.set(datetime.fromisoformat(f"{at.days[day]}T18:00+00:00"))
            path, headers = f"/mtss/v1/students/{students[day // 16]}/help-requests", mtss.headers("district")
            assert (await mtss.http.post(path, json={"words": "Please."}, headers=headers)).status_code == 201
        stood.append(await _end_of(mtss, at.days[day]))

    whom, known, district, states = await _as_known_then(mtss, policy)

    assert sum(one.get(each) != other.get(each) for one, other in pairwise(stood) for each in whom) > 12
    assert len(known.moments.day) > 20
    assert np.count_nonzero(states != run(district, policy, states=True).states) > 10
    for on, tiers in zip(at.days[1:], stood, strict=False):
        row = np.searchsorted(district.days, day_number(on))
        if row < len(states):
            assert [tiers.get(each) == "targeted" for each in whom] == (states[row] & TARGETED > 0).tolist(), on


@pytest.mark.parametrize("moves", [True, False], ids=["the former school", "the same school"])
async def test_as_known_then_a_day_that_was_closed_after_a_later_one_was_open_until_then(
    mtss: Running, moves: bool
) -> None:
    # Three days before the twentieth were missed, and closed after those that came next.
    at, other = School(), School("200")
    later = other if moves else at
    await mtss.deliver(at.calendar(), other.calendar(), at.enrols(), *(at.absent(day) for day in (16, 17, 18)))
    stood = []
    for day in range(30):
        closes = at.closes(day) if day < 16 else [] if day < 19 else later.closes(day)
        moved = [at.enrols(exit_on=at.days[19]), other.enrols(entry_on=at.days[19])] if moves and day == 19 else []
        await mtss.deliver(*moved, *closes, *(at.closes(16, 17, 18) if day == 25 else []))
        stood.append((await _end_of(mtss, at.days[day])).get(named("student", 0)) == "targeted")

    _, _, district, states = await _as_known_then(mtss, DEFAULT_POLICY)

    assert [day for day in range(30) if stood[day]] == list(range(25, 30))
    rows = np.searchsorted(district.days, [day_number(day) for day in at.days[:30]])
    assert (states[rows, 0] & TARGETED > 0).tolist() == stood


async def _as_known_then(mtss: Running, policy: Policy) -> tuple[Sequence[UUID], Known, District, Any]:
    """Students, when what is known of them became known, the district as it is known now, and the states as known then."""
    async with mtss.session() as session:
        whom = await students_of(session, [])
        facts = joined([part async for part in facts_in_parts(session, whom, [policy])])
        known = await known_of(session, whom, facts.schools, 7, TIME_ZONE)
        zone = ZoneInfo(TIME_ZONE)
        before = [part async for part in facts_before(session, whom, known.moments, [policy], zone)]
    district, *versions = (district_of(each, [policy]) for each in (facts, *before))
    states = AsKnownThen(district, known, versions).run(policy).states
    assert states is not None
    return whom, known, district, states


def _of_the_past(chance: random.Random, at: School, other: School, day: int, students: Sequence[UUID]) -> Event:
    """Something of a day before, heard now: what was missed, what happened, a survey, where somebody is, which days there are."""
    whom, past = chance.choice(students), chance.randrange(day + 1)
    kind = chance.choice(
        ["missed", "missed", "missed", "late", "referral", "excluded", "survey", "mark", "left", "came", "days"]
    )
    if kind == "missed":
        return at.absent(past, whom, chance.choice([0, 100, 100]))
    if kind == "late":
        return at.absent(past, whom, 0).model_copy(update={"kind": AttendanceKind.TARDY})
    if kind == "referral":
        return at.refers(past, chance.randrange(3), whom, deleted=chance.random() < 0.5)
    if kind == "excluded":
        return at.excludes(past, chance.randrange(3), chance.choice([0.5, 2]), whom, deleted=chance.random() < 0.3)
    if kind == "survey":
        return at.scores(past, chance.choice([1.5, 4.0]), whom, window=chance.randrange(3))
    if kind == "mark":
        first, passed, back = chance.randrange(3), chance.random() < 0.5, chance.random() < 0.3
        return at.marks(past - past % 10, not passed, student=whom, first=first, deleted=back)[0]
    if kind == "left":
        return at.enrols(whom, exit_on=chance.choice([None, at.days[max(past, 1)]]))
    if kind == "came":
        back = chance.random() < 0.2
        return other.enrols(whom, entry_on=at.days[past], primary=chance.random() < 0.5, deleted=back)
    if chance.random() < 0.5:
        return at.closes(past, deleted=True)[0]
    gone = {at.days[chance.randrange(max(day - 3, 1), day + 1)]}
    return replace(at, days=[each for each in at.days if each not in gone]).calendar()


_HEARD = (
    "enrolment",
    "calendar",
    "closed_day",
    "incident",
    "exclusion",
    "mark",
    "score",
    "attendance_change",
    "help_request",
)


async def _end_of(mtss: Running, day: date) -> dict[UUID, str | None]:
    """The tiers that stand; and what was heard today was heard on ``day``."""
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no trigger asks
        for table in _HEARD:
            for moment in ("known_at", "superseded_at")[: 1 if table in ("attendance_change", "help_request") else 2]:
                said = f"""
                    UPDATE mtss_{table} SET {moment} = (CAST(:day AS date) + TIME '18:00') AT TIME ZONE '{TIME_ZONE}'
                    WHERE {moment} > CAST(:day AS date) + INTERVAL '1 year'
                """
                await connection.execute(sa.text(said), {"day": day})
        rows = await connection.execute(sa.text("SELECT student_id, tier FROM mtss_student"))
        return {row.student_id: row.tier for row in rows}


async def test_a_rehearsal_as_known_then_leaves_days_of_a_later_load_as_known_now(mtss: Running) -> None:
    at = School()
    await mtss.deliver(at.calendar(), at.enrols(), *(at.absent(day) for day in range(8)), *at.closes_through(60))
    await mtss.deliver(at.absent(7, hundredths=50))
    rehearsal = await _ask(mtss, known="then")

    await rehearse_policies(mtss.runtime)

    report = (await _get(mtss, rehearsal)).json()
    assert report["known"] == {"as": "then", "closed_days": 60, "closed_late": 60, "changed_later": 1}
    assert report["policies"][0]["flow"]["entries"] == 1
    assert "As known then." in (await _get(mtss, rehearsal, "/report.html")).text


async def test_facts_read_in_parts_are_those_read_at_once(
    mtss: Running, sample: Sequence[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    await _deliver(mtss, sample)
    states = []
    for at_once in (7, 1000):
        monkeypatch.setattr("mtss.models.rehearsal.STUDENTS_AT_ONCE", at_once)
        async with mtss.session() as session:
            students = await students_of(session, [])
            facts = joined([part async for part in facts_in_parts(session, students, [DEFAULT_POLICY])])
        found = run(district_of(facts, [DEFAULT_POLICY]), DEFAULT_POLICY, states=True).states
        assert found is not None
        states.append(found)

    assert np.array_equal(states[0], states[1])


async def test_a_rehearsal_is_asked_for_worked_off_and_read(mtss: Running, sample: Sequence[Event]) -> None:
    await _deliver(mtss, sample)
    tiers = await _tiers(mtss)
    rehearsal = await _ask(mtss, policy=_policy(attendance=12))
    assert (await _read(mtss, rehearsal))["state"] == "waiting"
    assert (await _get(mtss, rehearsal)).status_code == 409

    await rehearse_policies(mtss.runtime)

    seen = await _read(mtss, rehearsal)
    assert (seen["state"], seen["done"]) == ("done", seen["steps"])
    report = (await _get(mtss, rehearsal)).json()
    policy, against = report["policies"][:2]
    assert policy["daily"]["mean"] < against["daily"]["mean"]
    assert {of["version"] for of in report["policies"][2:]} == {
        "flat-10-at-year-end",
        "first-30-days",
        "last-45-days",
    }
    assert len(report["caseload"]["policy"]["targeted"]) == len(report["weeks"]) > 20
    assert report["still_running"] == [2026]
    assert await _tiers(mtss) == tiers


async def test_a_report_is_given_as_sheets_and_as_one_page_without_script(
    mtss: Running, sample: Sequence[Event]
) -> None:
    await _deliver(mtss, sample)
    rehearsal = await _ask(mtss)
    await rehearse_policies(mtss.runtime)
    report = (await _get(mtss, rehearsal)).json()

    sheets = {
        name: list(
            csv.DictReader(io.StringIO((await _get(mtss, rehearsal, f"/report?sheet={name}", Accept="text/csv")).text))
        )
        for name in SHEETS
    }
    page = await _get(mtss, rehearsal, "/report.html")

    assert len(sheets["caseload"]) == 2 * len(report["weeks"]) * len(report["schools"])
    assert len(sheets["early"]) == 10
    assert all(sheets.values())
    assert page.text.count("<svg") == 7
    assert page.text.count('role="img"') >= 7
    # What a chart draws by week the table beside it holds by week.
    for table in ("Caseload by week", "Unknown by week"):
        rows = page.text.partition(f'aria-label="{table}"')[2].partition("</table>")[0]
        assert [f'class="day">{week}<' in rows for week in report["weeks"]] == [True] * len(report["weeks"])
    months = page.text.partition('aria-label="Share of each school by month"')[2].partition("</table>")[0]
    assert [month in months for month in of_schools(report)] == [True] * len(of_schools(report))
    assert "<script" not in page.text
    assert "<?xml" not in page.text


async def test_a_report_of_an_earlier_release_is_told_as_it_was_and_drawn_no_more(
    mtss: Running, sample: Sequence[Event]
) -> None:
    await _deliver(mtss, sample)
    rehearsal = await _ask(mtss)
    await rehearse_policies(mtss.runtime)
    async with mtss.admin.begin() as connection:
        await connection.execute(sa.text("UPDATE mtss_rehearsal SET result = result - 'edition'"))

    told = await _get(mtss, rehearsal)
    refused = [
        await _get(mtss, rehearsal, "/report?sheet=clauses", Accept="text/csv"),
        await _get(mtss, rehearsal, "/report.html"),
    ]

    assert (told.status_code, told.json()["policies"][0]["version"]) == (200, "tried")
    assert [(each.status_code, each.json()["type"]) for each in refused] == [
        (409, "urn:trellis:problem:earlier-report")
    ] * 2


async def test_a_rehearsal_that_is_cancelled_stops_and_leaves_no_report(
    mtss: Running, sample: Sequence[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    await _deliver(mtss, sample)
    rehearsal = await _ask(mtss)
    monkeypatch.setattr(working, "compute", endless)

    working_off = asyncio.create_task(rehearse_policies(mtss.runtime))
    while (await _read(mtss, rehearsal))["state"] != "running":  # noqa: ASYNC110 (asked over HTTP, as a client would)
        await asyncio.sleep(0.05)
    answer = await mtss.http.delete(f"{_PATH}/{rehearsal}", headers=mtss.headers("district"))
    await asyncio.wait_for(working_off, 3)

    assert answer.status_code == 204
    assert (await _read(mtss, rehearsal))["state"] == "cancelled"
    assert (await _get(mtss, rehearsal)).status_code == 409


async def test_a_rehearsal_whose_worker_went_away_is_taken_up_again(mtss: Running, sample: Sequence[Event]) -> None:
    await _deliver(mtss, sample)
    rehearsal = await _ask(mtss)
    await _went_away(mtss, rehearsal, seconds=10, begun=1)
    await rehearse_policies(mtss.runtime)
    assert (await _read(mtss, rehearsal))["state"] == "running"

    await _went_away(mtss, rehearsal, seconds=20, begun=1)
    await rehearse_policies(mtss.runtime)

    assert (await _read(mtss, rehearsal))["state"] == "done"


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from common.keys import read_keys
from common.runtime import Runtime
from common.settings import Settings
from mtss.rehearsals import working
from mtss.rehearsals.apart import Broken, Gone, Refused, apart
from tests.mtss.endless import endless, failing, killed, refusing

async def main():
    settings = Settings(database_url=sys.argv[1], time_zone="America/Denver", public_url="http://127.0.0.1:9")
    working.compute = endless
    await working.work_off(Runtime.start("mtss", settings, read_keys(Path(sys.argv[2]))))

asyncio.run(main())
"""


async def test_a_rehearsal_survives_that_its_service_is_killed_and_nothing_goes_on_computing(mtss: Running) -> None:
    at = School()
    await mtss.deliver(at.calendar(), at.enrols(), *at.closes_through(30))
    rehearsal = await _ask(mtss)
    with _program(mtss) as program:
        while (await _read(mtss, rehearsal))["done"] < 10:  # noqa: ASYNC110 (asked over HTTP, as a client would)
            await asyncio.sleep(0.05)
        computing = _child_of(program)
        program.kill()

    assert (await _read(mtss, rehearsal))["state"] == "running"
    assert await asyncio.to_thread(_ends, computing)
    await _went_away(mtss, rehearsal, seconds=20, begun=1)
    await rehearse_policies(mtss.runtime)
    assert (await _read(mtss, rehearsal))["state"] == "done"


def _program(mtss: Running) -> "subprocess.Popen[bytes]":
    url = mtss.runtime.engine.url.render_as_string(hide_password=False)
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, url, str(mtss.keys / "mtss")])


def _child_of(program: "subprocess.Popen[bytes]") -> Path:
    (child,) = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    return Path(f"/proc/{child}/stat")


def _ends(process: Path) -> bool:
    """Whether it ends within five seconds; one of which nobody has taken note yet has ended."""
    until = time.monotonic() + 5
    while (
        there := process.exists() and process.read_text().rpartition(")")[2].split()[0] != "Z"
    ) and time.monotonic() < until:
        time.sleep(0.05)
    return not there


async def test_a_calculation_that_fails_or_is_killed_is_told_apart(mtss: Running) -> None:
    with pytest.raises(Refused, match=r"cannot be rehearsed"):
        await apart(refusing)
    with pytest.raises(Broken, match=r"ZeroDivisionError at .*endless.py"):
        await apart(failing)
    with pytest.raises(Gone):
        await apart(killed)


async def test_a_rehearsal_that_never_comes_to_its_end_is_given_up(mtss: Running) -> None:
    rehearsal = await _ask(mtss)
    await _went_away(mtss, rehearsal, seconds=20, begun=3)

    await rehearse_policies(mtss.runtime)

    seen = await _read(mtss, rehearsal)
    assert (seen["state"], seen["reason"]) == ("failed", "It was begun 3 times and never came to its end.")


async def _went_away(mtss: Running, rehearsal: str, *, seconds: int, begun: int) -> None:
    async with mtss.session() as session:
        await session.execute(
            sa.text(
                "UPDATE mtss_rehearsal SET state = 'running', begun = :begun, worker = :worker, "
                "beat_at = clock_timestamp() - make_interval(secs => :seconds) WHERE id = :id"
            ),
            {"id": UUID(rehearsal), "seconds": seconds, "begun": begun, "worker": named("worker")},
        )


async def test_a_rehearsal_with_nobody_to_rehearse_on_says_so(mtss: Running) -> None:
    rehearsal = await _ask(mtss)

    await rehearse_policies(mtss.runtime)

    seen = await _read(mtss, rehearsal)
    assert (seen["state"], seen["reason"]) == (
        "failed",
        "No student of these schools is known, so there is nothing to rehearse on.",
    )


async def test_a_rehearsal_of_years_of_which_no_day_is_recorded_says_so(mtss: Running) -> None:
    school = School()
    await mtss.deliver(school.calendar(), school.enrols(), *school.closes_through(3))
    rehearsal = await _ask(mtss, school_years=[1999])
    await rehearse_policies(mtss.runtime)
    reason = "No day of these school years is recorded, so there is nothing to rehearse on."
    assert (await _read(mtss, rehearsal))["reason"] == reason


async def test_a_policy_that_the_checker_refuses_is_not_rehearsed(mtss: Running) -> None:
    document = copy.deepcopy(_policy())
    document["clauses"]["attendance"]["exit"]["below"]["value"] = 12

    answer = await mtss.http.post(_PATH, json={"policy": document}, headers=mtss.headers("district"))

    assert answer.status_code == 422
    assert "must be below the entry" in answer.json()["detail"]


@pytest.mark.parametrize("role", ["principal", "counselor", "teacher"])
async def test_rehearsals_are_the_districts(mtss: Running, role: str) -> None:
    headers = mtss.headers(role, schools=["100"])

    answers = [
        await mtss.http.post(_PATH, json={"policy": _policy()}, headers=headers),
        await mtss.http.get(_PATH, headers=headers),
        await mtss.http.get(f"{_PATH}/{named('none')}/report", headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]


async def test_only_the_named_schools_and_years_are_reported(mtss: Running) -> None:
    here, there = School("A"), School("B")
    students = named("here"), named("there")
    events: list[Event] = []
    for school, student in zip((here, there), students, strict=True):
        events += [school.calendar(), school.enrols(student), *school.closes_through(40)]
        events += [school.absent(day, student) for day in range(8)]
    await _deliver(mtss, events)

    rehearsal = await _ask(mtss, schools=["B"], school_years=[2025])
    await rehearse_policies(mtss.runtime)
    report = (await _get(mtss, rehearsal)).json()

    assert (report["schools"], report["students"], report["school_years"]) == (["B"], 1, [2025])
    assert report["policies"][0]["flow"]["entries"] == 1


async def test_rehearsals_are_listed_with_the_latest_first(mtss: Running) -> None:
    first, last = await _ask(mtss), await _ask(mtss)

    page = (await mtss.http.get(f"{_PATH}?limit=1", headers=mtss.headers("district"))).json()
    rest = (await mtss.http.get(f"{_PATH}?cursor={page['next']}", headers=mtss.headers("district"))).json()

    assert [each["id"] for each in page["items"] + rest["items"]] == [last, first]
    broken = await mtss.http.get(f"{_PATH}?cursor=WyJ4Il0", headers=mtss.headers("district"))
    assert broken.status_code == 422


async def _tiers(mtss: Running) -> list[Any]:
    async with mtss.session() as session:
        rows = await session.execute(sa.text("SELECT student_id, tier, since, decisions FROM mtss_student ORDER BY 1"))
        return [tuple(row) for row in rows]


async def test_the_command_rehearses_and_writes_page_sheets_and_json(
    mtss: Running, sample: Sequence[Event], tmp_path: Path
) -> None:
    await _deliver(mtss, sample)
    page, sheets, folder = tmp_path / "page.html", tmp_path / "sheets", tmp_path / "all"
    written = ("--page", str(page), "--csv", str(sheets), "--into", str(folder))

    told = await _typed(mtss, tmp_path, _policy(attendance=12), *written)

    assert "this policy: tried" in told.stdout
    assert "public rule: first-30-days" in told.stdout
    judged = "targeted support by students whose year ended at 10 percent or more, intensive support, as far as"
    assert judged in page.read_text()
    with (folder / "early.csv").open() as early:
        assert [line["percent_missed"] for line in csv.DictReader(early)] == ["10", "20"] * 5
    assert "<h1>Rehearsal of the policy" in page.read_text()
    assert sorted(each.stem for each in sheets.iterdir()) == sorted(SHEETS)
    assert sorted(each.name for each in folder.iterdir()) == sorted(
        ["report.json", "page.html", *(f"{name}.csv" for name in SHEETS)]
    )
    report = json.loads((folder / "report.json").read_text())
    assert report["policies"][0]["version"] == "tried"
    for of in report["policies"]:
        of["early"]["chronic"]["precision"]["share"], of["early"]["severe"]["precision"]["share"] = 0.5, 0.25
    in_short = in_plain_text(report | {"still_running": []})
    assert in_short.endswith("of students who ended the year at 10 percent missed or more.\n")
    running = in_plain_text(report | {"still_running": [2025]})
    assert running == f"{in_short}Not over yet: 2025. How such a year ended is said of its last closed day.\n"
    assert (in_short.count("50 %"), in_short.count("25 %")) == (5, 0)


async def test_the_command_says_in_one_sentence_what_is_wrong(mtss: Running, tmp_path: Path) -> None:
    document = _policy()
    document["clauses"]["attendance"]["exit"]["below"]["value"] = 12

    refused = await _typed(mtss, tmp_path, document)
    nobody = await _typed(mtss, tmp_path, _policy())
    (tmp_path / "policy.json").write_text("{")
    broken = await asyncio.to_thread(trellis, "rehearse", str(tmp_path / "policy.json"), "--token-file", __file__)

    assert [each.returncode for each in (refused, nobody, broken)] == [1, 1, 1]
    assert "must be below the entry" in refused.stderr
    assert "there is nothing to rehearse on" in nobody.stderr
    assert "is not JSON" in broken.stderr


async def _typed(mtss: Running, folder: Path, document: dict[str, Any], *options: str) -> Any:
    """The command as it is typed, while the loop is at work."""
    policy, token = folder / "policy.yaml", folder / "token"
    policy.write_text(as_yaml(document))
    token.write_text(mtss.headers("district")["Authorization"].removeprefix("Bearer "))
    async with over_http(mtss.app) as url:
        command = ("rehearse", str(policy), *options, "--url", url, "--token-file", str(token))
        typed = asyncio.create_task(asyncio.to_thread(trellis, *command))
        while not typed.done():
            await rehearse_policies(mtss.runtime)
            await asyncio.wait({typed}, timeout=0.1)
        return await typed


def test_the_page_tells_of_no_school_what_could_name_a_student() -> None:
    targeted = {"targeted": [[20, 3, 12], [20, 30, 12]]}
    report = {"enrolled": [[100, 100, 40]] * 2, "caseload": {"policy": targeted}, "weeks": ["2024-09-06", "2024-10-04"]}

    assert shared(report, "policy", "targeted", 1) == [20, 30, 12]
    # 3 is too few; the smallest other school stays untold too, or the total would tell.
    assert shared(report, "policy", "targeted", 0) == [20, None, None]
    assert of_schools(report) == {"2024-09": [0.2, None, None], "2024-10": [0.2, 0.3, 0.3]}


def test_each_clause_as_the_policy_has_them_and_of_each_the_entry_before_the_exit() -> None:
    paths = [
        *("clauses.missed.exit.below", "clauses.missed.entry.at_least", "clauses.alone.exit.above"),
        *("clauses.missed.minimum_dwell.days", "clauses.alone.entry.at_most"),
        *("tiers.targeted.when.any[10].at_least", "tiers.targeted.when.any[2].at_least"),
    ]
    points = [{"path": path, "tier": tier, "value": 1} for path in paths for tier in ("targeted", "intensive")]

    assert [path for path, tier in curves({"sensitivity": points}) if tier == "targeted"] == [
        *("clauses.missed.entry.at_least", "clauses.missed.exit.below", "clauses.missed.minimum_dwell.days"),
        *("clauses.alone.entry.at_most", "clauses.alone.exit.above"),
        *("tiers.targeted.when.any[10].at_least", "tiers.targeted.when.any[2].at_least"),
    ]


def test_no_sheet_holds_a_formula() -> None:
    numbers = ("usual", "value", "caseload", "school_days_ahead", "in_time", "precision")
    point: dict[str, Any] = {"path": "=cmd()", "tier": "targeted", "unit": "days", **dict.fromkeys(numbers, -1)}

    assert sheet({"sensitivity": [point]}, "sensitivity").splitlines()[1] == "'=cmd(),targeted,days,-1,-1,-1,-1,-1,-1"
