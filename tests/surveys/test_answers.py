"""The page behind a personal link, as a browser without JavaScript speaks to it."""

import asyncio
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa

from common.events import SurveyScored
from common.policy import LINK
from tests.harness import buckets_not_refilling
from tests.surveys.conftest import CLOSES, ITEMS, OPENS, WINDOW, Surveys, sheet

ALL_FOUR = dict.fromkeys(ITEMS, "4")


async def invited(surveys: Surveys, **window: Any) -> tuple[str, UUID, str]:
    """A window, its one student and that student's link."""
    (student,) = await surveys.enrol()
    identity = await surveys.window(**window)
    (url,) = (await surveys.links(identity)).values()
    return identity, student, url


async def press(surveys: Surveys, url: str, action: str, answers: dict[str, str], **headers: str) -> httpx.Response:
    """Press a button of the form and read the page it leads to."""
    return await surveys.http.post(url, data={"action": action, **answers}, headers=headers, follow_redirects=True)


class Form(HTMLParser):
    """Which radio buttons are pressed, and what a page loads from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.checked: dict[str, str] = {}
        self.fetched: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "input" and "checked" in names:
            self.checked[str(names["name"])] = str(names["value"])
        self.fetched += [
            str(value) for name, value in attrs if name in ("src", "srcset") or (tag, name) == ("link", "href")
        ]


async def test_the_page_is_private_and_loads_nothing_from_elsewhere(surveys: Surveys) -> None:
    *_, url = await invited(surveys)

    page = await surveys.http.get(url)

    policy = page.headers["content-security-policy"]
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert Form(page.text).fetched == ["data:,"]
    assert " style=" not in page.text
    assert not re.search(r"\son\w+=", page.text)
    assert "http" not in page.text
    assert url.rpartition("/")[2] not in page.text


async def test_every_page_has_another_nonce(surveys: Surveys) -> None:
    *_, url = await invited(surveys)

    policies = {(await surveys.http.get(url)).headers["content-security-policy"] for _ in range(2)}

    assert len(policies) == 2


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("es-MX,es;q=0.9,en;q=0.8", "es"), ("en-US,en;q=0.9", "en"), ("so,ar;q=0.5", "en"), ("", "en"), ("*", "en")],
)
async def test_the_browser_chooses_the_language_first(surveys: Surveys, accepted: str, language: str) -> None:
    *_, url = await invited(surveys)

    page = await surveys.http.get(url, headers={"Accept-Language": accepted})

    assert f'<html lang="{language}">' in page.text


async def test_answers_sent_are_scored_and_the_link_then_says_thank_you(surveys: Surveys) -> None:
    window, student, url = await invited(surveys)

    thanks = await press(surveys, url, "send", ALL_FOUR | {"peer_support_2": "2"})

    assert "Thank you!" in thanks.text
    (said,) = await surveys.running.said(SurveyScored)
    assert (said.student_id, str(said.window_id), said.answered_on.isoformat()) == (student, window, "2026-10-07")
    assert {score.mean for score in said.scores} == {4.0}
    assert "Thank you!" in (await surveys.http.get(url)).text


async def test_a_link_takes_one_response(surveys: Surveys) -> None:
    *_, url = await invited(surveys)

    await asyncio.gather(*(press(surveys, url, "send", ALL_FOUR) for _ in range(4)))
    await press(surveys, url, "send", dict.fromkeys(ITEMS, "1"))
    await press(surveys, url, "save", dict.fromkeys(ITEMS, "1"))

    (said,) = await surveys.running.said(SurveyScored)
    assert said.scores[0].mean == 4.0
    assert await rows(surveys, "surveys_draft") == 0


async def test_answers_saved_are_there_when_the_student_comes_back(surveys: Surveys) -> None:
    *_, url = await invited(surveys)

    saved = await press(surveys, url, "save", {"adult_support_1": "5", "belonging_1": "skip"})
    back = await surveys.http.get(url)

    assert "Your answers so far are saved." in saved.text
    assert Form(back.text).checked == {"adult_support_1": "5", "belonging_1": "skip"}
    assert "2 of 8 questions done" in back.text
    assert await surveys.running.said(SurveyScored) == []


async def test_changing_the_language_keeps_the_answers_and_is_remembered(surveys: Surveys) -> None:
    *_, url = await invited(surveys)

    spanish = await press(surveys, url, "lang-es", {"adult_support_1": "5"})
    back = await surveys.http.get(url, headers={"Accept-Language": "en"})

    for page in (spanish, back):
        assert '<html lang="es">' in page.text
        assert Form(page.text).checked == {"adult_support_1": "5"}


async def test_open_questions_are_asked_back_once_and_may_stay_open(surveys: Surveys) -> None:
    *_, url = await invited(surveys)
    some = {item: "3" for item in ITEMS if item != "belonging_2"}

    asked = await press(surveys, url, "send", some)
    assert await surveys.running.said(SurveyScored) == []
    sent = await press(surveys, url, "send-as-is", some)

    assert 'href="#belonging_2-1"' in asked.text
    assert Form(asked.text).checked == some
    assert "Thank you!" in sent.text
    (said,) = await surveys.running.said(SurveyScored)
    assert {score.subscale for score in said.scores} == {"adult_support", "peer_support", "feeling_heard"}


async def test_a_yes_or_no_is_asked_as_one_and_said_as_a_score_of_its_own(surveys: Surveys) -> None:
    *_, url = await invited(surveys, instrument="belonging-9")

    page = (await surveys.http.get(url)).text
    await press(surveys, url, "send", ALL_FOUR | {"trusted_adult": "1"})

    asked = page.partition("Is there an adult at this school")[2]
    assert asked.index(">No</label>") < asked.index(">Yes</label>")
    assert "Strongly" not in asked
    (said,) = await surveys.running.said(SurveyScored)
    assert [each.mean for each in said.scores if each.subscale == "trusted_adult"] == [1.0]


async def test_preferring_not_to_answer_is_an_answer(surveys: Surveys) -> None:
    *_, url = await invited(surveys)

    thanks = await press(surveys, url, "send", dict.fromkeys(ITEMS, "skip"))

    assert "Thank you!" in thanks.text
    (said,) = await surveys.running.said(SurveyScored)
    assert said.scores == ()


async def test_saved_answers_are_sealed(surveys: Surveys) -> None:
    *_, url = await invited(surveys)
    await press(surveys, url, "save", {"adult_support_1": "5"})

    async with surveys.running.session() as session:
        sealed = (await session.execute(sa.text("SELECT answers FROM surveys_draft"))).scalar_one()
    assert b"adult_support" not in sealed


@pytest.mark.parametrize("state", ["withdrawn", "opted_out"])
async def test_withdrawal_stops_the_link_and_forgets_what_was_not_sent(surveys: Surveys, state: str) -> None:
    window, student, url = await invited(surveys)
    await press(surveys, url, "save", ALL_FOUR)

    await surveys.consent(window, student, state)

    assert (await surveys.http.get(url)).status_code == 404
    assert (await press(surveys, url, "send", ALL_FOUR)).status_code == 404
    assert await rows(surveys, "surveys_draft") == await rows(surveys, "surveys_response") == 0
    await surveys.consent(window, student, "consented")
    assert (await surveys.http.get(url)).status_code == 200


async def test_a_link_waits_for_the_first_day_and_ends_with_the_last(surveys: Surveys) -> None:
    *_, url = await invited(surveys)

    surveys.on(OPENS - timedelta(1))
    early = await surveys.http.get(url)
    surveys.on(CLOSES + timedelta(1))
    late = await press(surveys, url, "send", ALL_FOUR)

    assert (early.status_code, late.status_code) == (409, 410)
    assert "October 5, 2026" in early.text
    assert await surveys.running.said(SurveyScored) == []


async def test_an_unknown_link_says_so_in_either_language_and_nothing_else(surveys: Surveys) -> None:
    english = await surveys.http.get("/surveys/v1/answer/AAAAAAAAAAAAAAAAAAAAAA")
    spanish = await surveys.http.post("/surveys/v1/answer/nonsense?lang=es", data={"action": "send"})

    assert (english.status_code, spanish.status_code) == (404, 404)
    assert "This link does not work" in english.text
    assert "Este enlace no funciona" in spanish.text
    assert english.headers["cache-control"] == "no-store"


async def test_a_link_opens_one_survey_and_no_route_that_asks_for_a_token(surveys: Surveys) -> None:
    window, _, url = await invited(surveys)
    headers = {"Authorization": f"Bearer {url.rpartition('/')[2]}"}

    for path in (f"windows/{window}", "status"):
        assert (await surveys.http.get(f"/surveys/v1/{path}", headers=headers)).status_code == 401


async def test_a_link_that_is_asked_for_too_often_waits_and_others_do_not(surveys: Surveys) -> None:
    await surveys.enrol(2)
    url, other = (await surveys.links(await surveys.window())).values()
    with buckets_not_refilling(surveys.running):
        for _ in range(LINK.burst):
            assert (await surveys.http.get(url)).status_code == 200

        refused = await press(surveys, url, "send", ALL_FOUR)

        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
        assert (await surveys.http.get(other)).status_code == 200


async def test_a_student_who_left_the_school_cannot_answer(surveys: Surveys) -> None:
    _, student, url = await invited(surveys)

    await surveys.running.deliver(surveys.enrolled(student, deleted=True))

    assert (await surveys.http.get(url)).status_code == 404


async def test_paper_that_came_first_closes_the_link(surveys: Surveys) -> None:
    window, student, url = await invited(surveys)
    await press(surveys, url, "save", {"adult_support_1": "5"})

    await surveys.bring(window, sheet(student))

    assert "Thank you!" in (await press(surveys, url, "send", ALL_FOUR)).text
    assert len(await surveys.running.said(SurveyScored)) == 1
    assert await rows(surveys, "surveys_draft") == 0


@pytest.mark.parametrize("value", ["6", "0", "-1", "4.0", "Aurelia-Canary", "9999999", "٤"])
async def test_a_forged_answer_is_refused_without_repeating_it(surveys: Surveys, value: str) -> None:
    *_, url = await invited(surveys)

    response = await press(surveys, url, "save", {"adult_support_1": value})

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "answers.adult_support_1"
    assert value not in response.text.replace("422", "")


async def test_answers_come_neither_in_logs_nor_in_errors(
    surveys: Surveys, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, url = await invited(surveys)

    async def broken(*_: Any) -> None:
        raise RuntimeError("adult_support_1=5")

    monkeypatch.setattr("surveys.routes.recording.publish", broken)
    response = await press(surveys, url, "send", dict.fromkeys(ITEMS, "5"))

    out, err = capfd.readouterr()
    assert response.status_code == 500
    assert "adult_support" not in response.text + out + err
    assert url.rpartition("/")[2] not in response.text + out + err
    assert await rows(surveys, "surveys_response") == 0


async def test_a_window_that_asks_for_consent_opens_no_link_without_it(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window(notice=WINDOW["notice"] | {"kind": "consent"})
    await surveys.consent(window, student, "consented")
    (url,) = (await surveys.links(window)).values()

    await surveys.consent(window, student, "withdrawn")

    assert (await surveys.http.get(url)).status_code == 404


async def rows(surveys: Surveys, table: str) -> int:
    async with surveys.running.session() as session:
        return int((await session.execute(sa.text(f"SELECT count(*) FROM {table}"))).scalar_one())
