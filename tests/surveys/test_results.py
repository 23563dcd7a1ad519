"""What a survey came to: for a school and its sections, told once, to who sees them, and of no student."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
import sqlalchemy as sa
from playwright.async_api import Browser
from typer.testing import CliRunner

from common.events import Relation
from common.scope import see_all
from surveys.command import app
from tests.chromium import browser
from tests.harness import over_http
from tests.matrix.nets import NETS
from tests.scoped import TEACHER, assigned, attends, named, related, teaches
from tests.surveys.conftest import CLOSES, OTHER_SCHOOL, SCHOOL, Surveys, sheet

__all__ = ["browser"]

ADVISORY, WORKSHOP, SEMINAR = named("advisory"), named("workshop"), named("seminar")
AFTER = date(2026, 10, 20)
HIGH, LOW = (4, 4, 4, 2, 4, 4, 4, 4), (2, 2, 2, 4, 2, 2, 2, 2)
"""Every subscale comes to 4, and to 2."""


@pytest_asyncio.fixture(params=["both nets", *NETS], loop_scope="session")
async def nets(request: pytest.FixtureRequest, surveys: Surveys) -> AsyncIterator[str]:
    """Each net alone, and both."""
    if request.param == "both nets":
        yield request.param
        return
    async with NETS[request.param](surveys.running):
        yield request.param


async def answered(surveys: Surveys, window: str, students: Sequence[UUID], given: Sequence[int | None] = HIGH) -> None:
    brought = await surveys.bring(window, *(sheet(student, given) for student in students))
    assert not brought["rejected"], brought


async def sitting(surveys: Surveys, section: UUID, students: Sequence[UUID], **days: Any) -> None:
    await surveys.running.deliver(*(attends(each, section, SCHOOL, date(2026, 8, 20), **days) for each in students))


async def counted(surveys: Surveys, window: str) -> dict[str, Any]:
    surveys.on(AFTER)
    response = await surveys.ask("POST", f"/windows/{window}/results")
    assert response.status_code in (200, 201), response.text
    found: dict[str, Any] = response.json()
    return found


async def results(surveys: Surveys, window: str, school: str = SCHOOL, **asking: Any) -> tuple[int, Any]:
    response = await surveys.ask("GET", f"/windows/{window}/schools/{school}/results", **asking)
    return response.status_code, response.json()


async def a_school(surveys: Surveys) -> tuple[str, list[UUID]]:
    """A window, and forty students of one school: twelve in an advisory, of whom one did not answer, and sixteen in a seminar."""
    window, students = await surveys.window(), await surveys.enrol(40)
    await sitting(surveys, ADVISORY, students[:12])
    await sitting(surveys, SEMINAR, students[12:28])
    await answered(surveys, window, students[1:12])
    await answered(surveys, window, students[12:], LOW)
    return window, students


async def test_a_school_and_its_sections_are_told_with_how_many_answered(surveys: Surveys) -> None:
    window, _ = await a_school(surveys)

    told = await counted(surveys, window)
    _, found = await results(surveys, window)

    assert told["schools"] == 1
    assert (found["school"]["students"], found["school"]["answered"]) == (40, 39)
    sections = {each["section_id"]: each for each in found["sections"]}
    assert (sections[str(ADVISORY)]["students"], sections[str(ADVISORY)]["answered"]) == (12, 11)
    belonging = sections[str(ADVISORY)]["subscales"]["belonging"]
    assert belonging == {"scored": 11, "mean": 4.0, "low": 3.47, "high": 4.53, "beyond": None}


async def test_results_name_no_student_and_stand_in_no_order_of_scores(surveys: Surveys) -> None:
    window, students = await a_school(surveys)

    await counted(surveys, window)
    _, found = await results(surveys, window)

    assert not any(str(student) in str(found) for student in students)
    ids = [each["section_id"] for each in found["sections"]]
    assert ids == sorted(ids)


async def test_of_a_section_of_which_too_few_answered_no_number_is_told(surveys: Surveys) -> None:
    window, students = await a_school(surveys)
    await sitting(surveys, WORKSHOP, students[28:37])

    await counted(surveys, window)
    _, found = await results(surveys, window)

    (few,) = [each for each in found["sections"] if each["section_id"] == str(WORKSHOP)]
    assert (few["students"], few["answered"], {*few["subscales"].values()}) == (None, None, {None})


async def test_results_are_counted_once_the_window_is_closed_and_not_before(surveys: Surveys) -> None:
    window, _ = await a_school(surveys)
    surveys.on(CLOSES)

    refused = await surveys.ask("POST", f"/windows/{window}/results")

    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "window-not-closed")
    assert (await results(surveys, window))[0] == 404


async def test_what_comes_in_after_the_count_changes_nothing_so_that_two_readings_tell_of_nobody(
    surveys: Surveys,
) -> None:
    window, students = await a_school(surveys)
    first = await counted(surveys, window)
    before = await results(surveys, window)

    await answered(surveys, window, students[:1], (1, 1, 1, 5, 1, 5, 1, 5))

    assert await counted(surveys, window) == first
    assert await results(surveys, window) == before


async def test_answers_whose_consent_was_withdrawn_are_not_counted(surveys: Surveys) -> None:
    window, students = await a_school(surveys)
    await surveys.consent(window, students[-1], "withdrawn")

    await counted(surveys, window)
    _, found = await results(surveys, window)

    assert (found["school"]["students"], found["school"]["answered"]) == (40, 38)


async def test_a_teacher_sees_their_section_and_nothing_else_of_the_school(surveys: Surveys, nets: str) -> None:
    window, _ = await a_school(surveys)
    await surveys.running.deliver(teaches(TEACHER, ADVISORY, SCHOOL, begin_on=date(2026, 8, 20)))
    await counted(surveys, window)

    status, found = await results(surveys, window, role="teacher", staff=TEACHER)

    assert (status, found["school"]) == (200, None)
    assert [each["section_id"] for each in found["sections"]] == [str(ADVISORY)]


async def test_a_section_stays_told_after_one_of_it_has_left(surveys: Surveys) -> None:
    window, students = await a_school(surveys)
    await surveys.running.deliver(teaches(TEACHER, ADVISORY, SCHOOL, begin_on=date(2026, 8, 20)))
    await counted(surveys, window)
    before = await results(surveys, window, role="teacher", staff=TEACHER)

    await sitting(surveys, ADVISORY, students[:1], end_on=date(2026, 10, 18))

    assert await results(surveys, window, role="teacher", staff=TEACHER) == before


async def test_who_sees_single_students_of_a_section_is_not_told_of_it(surveys: Surveys, nets: str) -> None:
    window, students = await a_school(surveys)
    caseload = [related(Relation.CASELOAD, each, TEACHER, date(2026, 8, 20)) for each in students[:11]]
    await surveys.running.deliver(assigned(TEACHER, SCHOOL, date(2026, 8, 20)), *caseload)
    await counted(surveys, window)

    assert (await results(surveys, window, role="teacher", staff=TEACHER))[0] == 404


@pytest.mark.parametrize("role", ["principal", "counselor"])
async def test_who_sees_the_school_is_told_of_it_and_nobody_of_another(surveys: Surveys, role: str, nets: str) -> None:
    window, _ = await a_school(surveys)
    await surveys.enrol(1, OTHER_SCHOOL)
    await counted(surveys, window)

    status, found = await results(surveys, window, role=role, schools=[SCHOOL])
    elsewhere, _ = await results(surveys, window, role=role, schools=[OTHER_SCHOOL])

    assert (status, elsewhere) == (200, 404)
    assert found["school"]
    assert len(found["sections"]) == 2


async def test_a_survey_is_counted_and_read_at_a_terminal(surveys: Surveys, tmp_path: Path) -> None:
    window, students = await a_school(surveys)
    await sitting(surveys, WORKSHOP, students[28:37])
    surveys.on(AFTER)
    token = tmp_path / "district.token"
    token.write_text(surveys.running.headers("district")["Authorization"].removeprefix("Bearer "))

    async with over_http(surveys.running.app) as url:

        async def typed(*said: str) -> tuple[int, str]:
            arguments = [*said, "--url", url, "--token-file", str(token)]
            done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env={"COLUMNS": "200"})
            return done.exit_code, " ".join(done.output.split())

        counted_code, counted_said = await typed("count", window)
        shown_code, shown = await typed("results", window, SCHOOL)
        as_json = await typed("results", window, SCHOOL, "--json")
        page_code, page_said = await typed("results", window, SCHOOL, "--page", str(tmp_path / "page.html"))

    assert (counted_code, "schools: 1" in counted_said) == (0, True)
    assert (shown_code, "39 of 40" in shown, "11 of 12" in shown, "fewer than 10" in shown) == (0, True, True, True)
    assert '"minimum": 10' in as_json[1]
    assert (page_code, "open it in a browser" in page_said) == (0, True)
    assert "<strong>39</strong> of 40 students answered" in (tmp_path / "page.html").read_text()


async def page_of(surveys: Surveys, window: str, **asking: Any) -> str:
    response = await surveys.ask("GET", f"/windows/{window}/schools/{SCHOOL}/results.html", **asking)
    assert response.status_code == 200, response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
    return response.text


async def test_the_page_says_what_the_results_do_and_no_student_and_no_number_that_is_not_told(
    surveys: Surveys,
) -> None:
    window, students = await a_school(surveys)
    await sitting(surveys, WORKSHOP, students[28:37])
    await counted(surveys, window)

    text = await page_of(surveys, window)

    shown = " ".join(re.sub(r"<style.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL).split())
    assert "39 of 40 students answered" in shown
    assert f"{ADVISORY} 11 of 12 4.00 3.47 to 4.53" in shown
    assert str(WORKSHOP) not in shown, "of nine, nothing is told"
    assert "Sections of which nothing is told: 1." in shown
    assert "something of fewer than 10 students" in shown
    assert not any(str(student) in text for student in students)
    assert "<script" not in text
    assert not re.search(r"(?:src|href)=\"(?!data:,)", text)


async def test_a_teacher_is_shown_their_section_on_the_page_and_not_the_school(surveys: Surveys) -> None:
    window, _ = await a_school(surveys)
    await surveys.running.deliver(assigned(TEACHER, SCHOOL, date(2026, 8, 20)), teaches(TEACHER, ADVISORY, SCHOOL))
    await counted(surveys, window)

    text = await page_of(surveys, window, role="teacher", staff=TEACHER)

    assert str(ADVISORY) in text
    assert str(SEMINAR) not in text
    assert "The school</h2>" not in text


@pytest.mark.parametrize("printed", [False, True])
async def test_the_page_fits_a_screen_and_a_sheet_of_paper(surveys: Surveys, browser: Browser, printed: bool) -> None:
    window, _ = await a_school(surveys)
    await counted(surveys, window)
    shown = await browser.new_page(viewport={"width": 1280, "height": 900})
    await shown.set_content(await page_of(surveys, window))
    if printed:
        await shown.set_viewport_size({"width": 960, "height": 700})  # a sheet across, less its margins
        await shown.emulate_media(media="print")
    scrolls = await shown.evaluate("[...document.querySelectorAll('.scroll')].map(e => [e.scrollWidth, e.clientWidth])")
    await shown.close()
    assert scrolls
    assert [needed for needed, there in scrolls if needed > there] == []


async def test_a_school_of_the_window_at_which_nobody_is_has_no_result(surveys: Surveys) -> None:
    window = await surveys.window(key="nobody", schools=[str(uuid4())[:8]])

    assert (await counted(surveys, window))["schools"] == 0


async def test_a_count_is_read_by_nobody_but_through_the_route(surveys: Surveys) -> None:
    window, _ = await a_school(surveys)
    await counted(surveys, window)
    rows = sa.text("SELECT count(*) FROM surveys_result")

    async with surveys.running.session() as session:
        await session.execute(sa.text("SET LOCAL trellis.sees = 'some'"))
        assert await session.scalar(rows) == 0
        await see_all(session)
        assert await session.scalar(rows) == 1
