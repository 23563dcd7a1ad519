"""A student, or somebody of the family, asks for help over a personal link; a restricted contact does not."""

import json
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from fastapi import FastAPI, Response

from common.events import UrgentHelpRequested
from common.policy import LINK_DAYS
from common.scope import access_policy
from mtss.rules import sentences
from tests.common.test_telemetry import Written, written
from tests.harness import Running
from tests.mtss.made_up import STUDENT
from tests.mtss.test_help import SCHOOL, at_noon, call
from tests.mtss.test_rules_sentences import ease, grade

MOTHER, UNCLE = uuid4(), uuid4()
WORDS = "I sit alone since the break."
__all__ = ["written"]

LINKS = f"/students/{STUDENT}/help-links"


@dataclass
class Sis:
    """What sis says of the contacts of every student."""

    restrictions: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    away: bool = False

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/sis/v1/students/{student_id}/contacts/{contact_id}/restriction")
        async def restriction(student_id: UUID, contact_id: UUID) -> Any:
            if self.away:
                return Response(status_code=503)
            if contact_id not in self.restrictions:
                return Response(status_code=404)
            return {"state": "none", "codes": [], "expires_on": None} | self.restrictions[contact_id]

        return app


@pytest_asyncio.fixture(loop_scope="session")
async def school(mtss: Running) -> Running:
    """A student, at noon of a school day."""
    mtss.clock.set(at_noon(10))
    await mtss.deliver(SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(10))
    return mtss


@pytest_asyncio.fixture(loop_scope="session")
async def sis(school: Running) -> Sis:
    sis = Sis({MOTHER: {}, UNCLE: {"state": "coded", "codes": ["no_contact"]}})
    school.runtime.clients.use("sis", httpx.ASGITransport(sis.app()))
    return sis


async def issued(mtss: Running, contact: UUID | None = None, **who: Any) -> dict[str, Any]:
    answer = await call(mtss, "POST", LINKS, json={"contact_id": str(contact)} if contact else {}, **who)
    assert answer.status_code == 201, answer.text
    link: dict[str, Any] = answer.json()
    return link


def path(link: dict[str, Any]) -> str:
    return httpx.URL(link["url"]).path


async def sends(mtss: Running, link: dict[str, Any], **fields: str) -> httpx.Response:
    given = {"action": "send", "once": str(uuid4()), "words": WORDS} | fields
    return await mtss.http.post(path(link), data=given)


async def requests(mtss: Running) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await call(mtss, "GET", f"/students/{STUDENT}/help-requests")).json()["items"]
    return items


async def test_a_student_asks_by_a_link_and_it_waits_in_the_queue_like_any_other_request(school: Running) -> None:
    link = await issued(school)
    page = await school.http.get(path(link))
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    assert str(STUDENT) not in page.text
    assert "<script" not in page.text

    sent = await sends(school, link)

    assert (sent.status_code, sent.headers["Location"]) == (303, "?lang=en&sent=true")
    assert "within 3 school days" in (await school.http.get(path(link) + sent.headers["Location"])).text
    (request,) = await requests(school)
    assert (request["words"], request["author"], request["by"]) == (WORDS, "student", str(STUDENT))
    assert request["asked_on"] == str(SCHOOL.days[10])
    (waits,) = (await call(school, "GET", "/schools/north/reviews")).json()["items"]
    assert (waits["about"], waits["id"]) == ("help_request", request["id"])


async def test_who_asks_by_a_link_may_say_that_it_cannot_wait_and_reads_what_to_do_in_danger(school: Running) -> None:
    link = await issued(school)
    kept = await sends(school, link, action="lang-es", urgent="true")
    assert 'value="true" checked' in kept.text
    sent = await sends(school, link, urgent="true")
    thanks = (await school.http.get(path(link) + sent.headers["Location"])).text
    assert all(words in thanks for words in ("answer today", "911", "988"))
    (request,) = await requests(school)
    (waits,) = (await call(school, "GET", "/schools/north/reviews")).json()["items"]
    assert (request["urgent"], waits["urgent"], waits["due_on"]) == (True, True, str(SCHOOL.days[10]))
    (said,) = await school.said(UrgentHelpRequested)
    assert (str(said.request_id), said.school_id) == (request["id"], "north")


async def test_the_same_form_sent_twice_asks_once_and_another_form_asks_again(school: Running) -> None:
    link, once = await issued(school), str(uuid4())
    assert {(await sends(school, link, once=once)).status_code for _ in range(2)} == {303}
    assert len(await requests(school)) == 1
    await sends(school, link)
    assert len(await requests(school)) == 2
    forged = await sends(school, link, once="none of ours")
    assert (forged.status_code, forged.json()["errors"][0]["field"]) == (422, "once")


async def test_who_goes_back_and_sends_the_form_again_with_more_asks_again(school: Running) -> None:
    link, once = await issued(school), str(uuid4())
    await sends(school, link, once=once)
    await sends(school, link, once=once, words="And I am afraid to go home.")
    assert await school.said(UrgentHelpRequested) == []
    for _ in range(2):
        await sends(school, link, once=once, urgent="true")
    assert sorted((each["words"], each["urgent"]) for each in await requests(school)) == sorted(
        [(WORDS, False), (WORDS, True), ("And I am afraid to go home.", False)]
    )
    assert len(await school.said(UrgentHelpRequested)) == 1


@pytest.mark.parametrize("words", ["", " \n ", "x" * 4001, "\x00"])
async def test_without_words_nothing_is_sent_and_the_page_says_what_is_missing(school: Running, words: str) -> None:
    refused = await sends(school, await issued(school), words=words)
    assert (refused.status_code, 'role="alert"' in refused.text) == (422, True)
    assert await requests(school) == []


async def test_the_page_changes_its_language_and_keeps_what_was_written(school: Running) -> None:
    page = await sends(school, await issued(school), action="lang-es", words='<b>"alone"')
    assert page.status_code == 200
    assert '<html lang="es">' in page.text
    assert "&lt;b&gt;&#34;alone&#34;" in page.text
    assert await requests(school) == []


async def test_somebody_of_the_family_asks_by_a_link_as_long_as_nothing_bars_them(school: Running, sis: Sis) -> None:
    link = await issued(school, MOTHER)
    await sends(school, link)
    (request,) = await requests(school)
    assert (request["author"], request["by"]) == ("family", str(MOTHER))

    sis.away = True
    assert {(await sends(school, link)).status_code, (await school.http.get(path(link))).status_code} == {503}
    sis.away, sis.restrictions[MOTHER] = False, {"state": "uncoded"}
    assert {(await sends(school, link)).status_code, (await school.http.get(path(link))).status_code} == {404}
    assert len(await requests(school)) == 1


async def test_which_contact_asked_is_told_to_who_may_read_contacts(
    school: Running, sis: Sis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sends(school, await issued(school, MOTHER))
    await sends(school, await issued(school))
    policy = access_policy()
    bounded = replace(policy, reads={**policy.reads, "counselor": policy.reads["counselor"] - {"contact_address"}})
    monkeypatch.setattr("common.access.access_policy", lambda: bounded)
    told = {each["author"]: each["by"] for each in await requests(school)}
    assert told == {"family": None, "student": str(STUDENT)}


async def test_who_is_restricted_or_no_contact_of_the_student_gets_no_link(school: Running, sis: Sis) -> None:
    for contact in (UNCLE, uuid4()):
        refused = await call(school, "POST", LINKS, json={"contact_id": str(contact)})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "contact_id")
    assert (await call(school, "GET", LINKS)).json()["items"] == []


async def test_a_link_ends_when_it_is_replaced_taken_back_or_run_out_or_when_the_student_leaves(
    school: Running, sis: Sis, written: Written
) -> None:
    first, second = await issued(school), await issued(school)
    mothers = await issued(school, MOTHER)
    assert (await school.http.get(path(first))).status_code == 404
    listed = (await call(school, "GET", LINKS)).json()["items"]
    assert [each["holder_id"] for each in listed] == [str(STUDENT), str(MOTHER)]
    assert not any("url" in each for each in listed)

    assert {(await call(school, "DELETE", f"/help-links/{second['id']}")).status_code for _ in range(2)} == {204}
    assert (await call(school, "DELETE", f"/help-links/{uuid4()}")).status_code == 404
    assert (await sends(school, second)).status_code == 404

    at = school.runtime.now()
    for days, status in ((LINK_DAYS, 200), (LINK_DAYS + 1, 404)):
        school.clock.set(at + timedelta(days=days))
        assert (await school.http.get(path(mothers))).status_code == status
    school.clock.set(at)
    sis.restrictions[MOTHER] = {"state": "uncoded"}
    assert (await sends(school, mothers)).status_code == 404
    del sis.restrictions[MOTHER]
    await school.deliver(SCHOOL.enrols(deleted=True))
    assert (await sends(school, mothers)).status_code == 404
    said = [each["reason"] for each in written.lines if each["event"] == "a personal link opened nothing"]
    gone = "it was never issued, or was taken back"
    assert said == [gone, gone, "it ran out", "who has it may be told nothing", "its student left"]
    assert not [each for each in (STUDENT, MOTHER, *map(path, (first, second, mothers))) if str(each) in written.text]
    async with school.admin.connect() as connection:
        assert await connection.scalar(sa.text("SELECT count(*) FROM mtss_help_request")) == 0


async def test_links_are_issued_and_taken_back_by_who_sees_the_student(school: Running, sis: Sis) -> None:
    link = await issued(school)
    for who, status in (({"schools": ["south"]}, 404), ({"role": "teacher"}, 403)):
        assert (await call(school, "POST", LINKS, json={}, **who)).status_code == status
        assert (await call(school, "DELETE", f"/help-links/{link['id']}", **who)).status_code == status


async def test_a_facilitator_issues_links_to_students_and_reads_of_no_contact(school: Running, sis: Sis) -> None:
    await issued(school, MOTHER)
    await issued(school, role="facilitator")
    refused = await call(school, "POST", LINKS, "facilitator", json={"contact_id": str(MOTHER)})
    assert refused.json()["type"] == "urn:trellis:problem:fields-forbidden"
    listed = (await call(school, "GET", LINKS, "facilitator")).json()["items"]
    assert [each["holder_id"] for each in listed] == [None, str(STUDENT)]


def test_what_the_page_says_is_as_easy_to_read_as_what_a_student_is_told() -> None:
    levels = sentences.WORDS["levels"]["student"]
    texts = json.loads(files("mtss").joinpath("templates/texts.json").read_bytes())
    english, spanish = (
        [text for text in (each.format(days=3) for each in texts[language].values()) if text.endswith((".", "?"))]
        for language in ("en", "es")
    )
    assert [text for text in english if grade(text) > levels["en"]] == []
    assert [text for text in spanish if ease(text) < levels["es"]] == []


def test_each_language_says_all_that_the_others_say() -> None:
    english, *others = json.loads(files("mtss").joinpath("templates/texts.json").read_bytes()).values()
    for other in others:
        assert english.keys() == other.keys()
        assert [re.findall(r"{\w+}", text) for text in english.values()] == [
            re.findall(r"{\w+}", other[name]) for name in english
        ]
