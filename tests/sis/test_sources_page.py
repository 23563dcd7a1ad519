"""Schools and sources that are silent, and the page that says so."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser
from structlog.testing import capture_logs

from common.events import AlertRaised
from common.telemetry import metrics_page
from sis.arrivals.alerts import tell_alerts
from sis.clients.credentials import add_client, new_secret
from sis.loops import forget_arrivals
from sis.resources import RESOURCES
from tests.chromium import browser
from tests.sis.conftest import Sis, absence, school, student

__all__ = ["browser"]

ATTENDANCE = "studentSchoolAttendanceEvents"


async def alerts(sis: Sis, role: str = "district") -> list[tuple[Any, ...]]:
    response = await sis.call("GET", "/sis/v1/sources", role=role)
    assert response.status_code == 200, response.text
    return [
        (one["kind"], one["school_id"] or one["source"], one["since"], one["age"]) for one in response.json()["alerts"]
    ]


async def page(sis: Sis) -> str:
    response = await sis.call("GET", "/sis/v1/sources.html", role="district")
    assert response.status_code == 200, response.text
    return response.text


async def calendar_from_today(sis: Sis, *, numbers: tuple[int, ...] = (1,)) -> list[str]:
    """Ten instructional days from tomorrow on; the days."""
    first = datetime.now(UTC).date() + timedelta(days=1)
    days = [(first + timedelta(days=number)).isoformat() for number in range(10)]
    await sis.put_in("schools", *map(school, numbers))
    lines = [f"{number},{day},true,2030" for number in numbers for day in days]
    response = await sis.calendar("\n".join(["school_id,date,instructional,school_year", *lines]))
    assert response.json()["days"] == 10 * len(numbers)
    return days


def at(sis: Sis, day: str, hour: int = 21) -> None:
    """Stop the clock at an hour of school time, in summer time."""
    sis.running.clock.set(datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(hours=hour + 7))


async def test_a_school_that_has_not_submitted_by_the_evening_is_an_alert(sis: Sis):
    days = await calendar_from_today(sis, numbers=(1, 2))
    at(sis, days[0], hour=12)
    assert await alerts(sis) == []

    at(sis, days[1])
    await sis.close(days[1], number=2)
    schools = [alert for alert in await alerts(sis) if alert[0] == "school-not-submitted"]
    assert schools == [("school-not-submitted", "1", days[0], 2)]


async def test_a_source_that_stopped_pushing_is_an_alert_that_it_sees_itself(sis: Sis):
    days = await calendar_from_today(sis)
    at(sis, days[2])
    found = await alerts(sis, "sis")
    assert [(kind, source, age) for kind, source, _, age in found] == [("source-silent", "sis", 3)]


async def test_a_client_that_never_pushed_is_silent_until_it_is_revoked(sis: Sis):
    days = await calendar_from_today(sis)
    async with sis.running.session() as session:
        client = await add_client(session, "Exporter", new_secret(), role="sis", by="somebody")
    at(sis, days[4])
    assert str(client) in [alert[1] for alert in await alerts(sis)]
    assert "Exporter" in await page(sis)

    async with sis.running.admin.begin() as connection:
        await connection.execute(sa.text("UPDATE sis_client SET revoked_at = now()"))
    assert str(client) not in [alert[1] for alert in await alerts(sis)]


async def test_without_a_calendar_nobody_is_late(sis: Sis):
    await sis.put_in("schools", school())
    sis.running.clock.set(datetime.now(UTC) + timedelta(days=300))
    assert await alerts(sis) == []


async def test_an_alert_is_logged_once_at_each_set_age(sis: Sis):
    days = await calendar_from_today(sis)
    said = []
    for day in (days[0], days[0], days[1], days[2], days[3], days[4], days[9]):
        at(sis, day)
        with capture_logs() as logs:
            await tell_alerts(sis.running.runtime)
        said.append([line["count"] for line in logs if line["reason"] == "school-not-submitted"])
    assert said == [[1], [], [], [3], [], [5], []]


async def test_an_alert_is_said_once_at_each_set_age_and_withdrawn_when_it_is_over(sis: Sis):
    days = await calendar_from_today(sis)
    for day in (days[0], days[0], days[1], days[2], days[3]):
        at(sis, day)
        await tell_alerts(sis.running.runtime)
    await sis.close(str(days[3]))
    await sis.put_in("students", student())
    await tell_alerts(sis.running.runtime)
    said = [event for event in await sis.running.said(AlertRaised) if event.kind == "school-not-submitted"]
    assert [(event.about, event.school_id, event.since) for event in said] == [
        ("1", "1", date.fromisoformat(days[0]))
    ] * 3
    assert [(event.school_days, event.deleted) for event in said] == [(1, False), (3, False), (3, True)]


async def test_a_logged_alert_names_the_school_and_nobody(sis: Sis):
    days = await calendar_from_today(sis)
    at(sis, days[4])
    with capture_logs() as logs:
        await tell_alerts(sis.running.runtime)
    school_line, source_line = sorted(logs, key=lambda line: str(line["reason"]))
    assert (school_line["where"], school_line["event"]) == ("1", "an alert")
    assert "where" not in source_line


async def test_counts_of_long_ago_are_forgotten(sis: Sis):
    days = await calendar_from_today(sis)
    at(sis, days[4])
    sis.running.clock.set(datetime.now(UTC) + timedelta(days=1200))
    await forget_arrivals(sis.running.runtime)
    assert await sis.rows("SELECT source FROM sis_arrival") == []


async def test_the_page_shows_what_arrived_and_what_did_not(sis: Sis):
    days = await calendar_from_today(sis)
    await sis.put_in("students", student())
    await sis.bulk(ATTENDANCE, [absence(), {}])
    await sis.call("PUT", "/sis/v1/sources/sis/counts", json={"items": [{"resource": "students", "count": 2}]})
    at(sis, days[4])
    shown = re.sub(r"<[^>]*>|\s+", " ", await page(sis))
    for words in ("School 1", "1 school has not submitted", "1 source stopped pushing", "1 count differs", ATTENDANCE):
        assert words in re.sub(" +", " ", shown)


async def test_the_page_of_a_quiet_day_says_so(sis: Sis):
    text = await page(sis)
    assert "Every school has submitted its days" in text
    assert "Nothing has arrived yet." in text


async def test_rows_to_mend_are_no_quiet_day_and_the_page_says_why(sis: Sis):
    await sis.bulk("students", [{"studentUniqueId": f"s{row}"} | {"firstName": 7} for row in range(3)] + [{}])
    text = re.sub(r"<[^>]*>|\s+", " ", await page(sis))
    shown = re.sub(" +", " ", text)
    assert "4 rejected rows are to be mended" in shown
    assert "3 $.firstName must be text; 1 $.studentUniqueId is required" in shown
    assert "Every school has submitted" not in shown


async def test_the_commonest_reasons_are_told_with_their_counts(sis: Sis):
    bad: list[Any] = [{"languageDescriptor": "x#en"}, {"languageDescriptor": 7}]
    rows = [languages(f"s{row}", bad if row else bad[::-1]) for row in range(3)]
    await sis.bulk("studentEducationOrganizationAssociations", [*rows, {}, {"studentReference": 1}])
    (item,) = (await sis.call("GET", "/sis/v1/sources", role="district")).json()["items"]
    assert item["reasons"] == [
        {"field": "$.languages[].languageDescriptor", "rule": "must be text", "rows": 3},
        {"field": "$.studentReference", "rule": "is required", "rows": 1},
        {"field": "$.studentReference", "rule": "must be an object", "rows": 1},
    ]


def languages(name: str, said: list[Any]) -> dict[str, Any]:
    reference = {"educationOrganizationId": 1}
    return {
        "studentReference": {"studentUniqueId": name},
        "educationOrganizationReference": reference,
        "languages": said,
    }


async def test_rows_that_wait_for_over_a_day_are_an_alert_told_when_they_are_listed_and_at_each_set_age(sis: Sis):
    days = await calendar_from_today(sis)
    await sis.bulk(ATTENDANCE, [absence(name="s7")])
    assert "rows-waiting" not in [kind for kind, *_ in await alerts(sis)]
    said = []
    for day in (days[0], days[0], days[2]):
        at(sis, day, hour=23)
        with capture_logs() as logs:
            await tell_alerts(sis.running.runtime)
        said += [line["count"] for line in logs if line["reason"] == "rows-waiting"]
    assert said == [1, 3]
    assert ("rows-waiting", "sis") in [(kind, of) for kind, of, *_ in await alerts(sis, "sis")]
    assert "have waited for over a day" in await page(sis)
    assert 'trellis_alerts_total{service="sis",state="rows-waiting"} 2' in bytes(metrics_page().body).decode()


async def test_where_no_school_day_has_passed_rows_that_wait_for_a_day_are_told_once(sis: Sis):
    await sis.bulk(ATTENDANCE, [absence()])
    sis.running.clock.set(datetime.now(UTC) + timedelta(days=2))
    (alert,) = [one for one in await alerts(sis) if one[0] == "rows-waiting"]
    assert (alert[1], alert[3]) == ("sis", 0)


async def test_that_counts_agree_is_said_only_where_some_were_told(sis: Sis):
    await sis.put_in("students", student())
    assert "no counts were told yet" in await page(sis)
    await sis.call("PUT", "/sis/v1/sources/sis/counts", json={"items": [{"resource": "students", "count": 1}]})
    assert "no count differs" in await page(sis)


async def test_the_page_runs_no_script_loads_nothing_and_can_be_heard(sis: Sis):
    await sis.put_in("schools", school(nameOfInstitution="<script>alert(1)</script>"))
    days = await calendar_from_today(sis)
    await sis.put_in("schools", school(nameOfInstitution="<script>alert(1)</script>"))
    at(sis, days[4])
    response = await sis.call("GET", "/sis/v1/sources.html", role="district")
    text = response.text
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert '<html lang="en">' in text
    assert "<th scope=" in text
    assert "<th>" not in text
    assert not re.search(r"(?:src|href)=\"(?!data:,)", text)
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("role", ["sis", "principal"])
async def test_the_page_is_for_the_district(sis: Sis, role: str):
    assert (await sis.call("GET", "/sis/v1/sources.html", role=role)).status_code == 403


async def test_the_lists_take_a_constant_number_of_statements(sis: Sis, statements):
    counts = []
    for size in (1, 20):
        await calendar_from_today(sis, numbers=tuple(range(1, size + 1)))
        sis.running.clock.set(datetime.now(UTC) + timedelta(days=9))
        with statements() as executed:
            await page(sis)
            await alerts(sis)
        counts.append(len(executed))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("width", [1100, 1280, 1600])
async def test_all_columns_fit_a_screen_with_the_longest_names_and_large_counts(sis: Sis, browser: Browser, width: int):
    async with sis.running.session() as session:
        await session.execute(
            sa.text(
                """
                INSERT INTO sis_arrival (source, resource, day, part, accepted, unchanged, stale, deleted, waited, rejected, last_at)
                SELECT 'exporter', name, current_date, 0, 700000, 700000, 100, 100, 0, 100, now()
                FROM unnest(CAST(:names AS text[])) AS name
                """
            ),
            {"names": list(RESOURCES)},
        )
        await session.commit()
    shown = await browser.new_page(viewport={"width": width, "height": 900})
    await shown.set_content(await page(sis))
    scrolls = await shown.evaluate("[...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth])")
    await shown.close()
    assert scrolls
    assert [needed for needed, there in scrolls if needed > there] == []
