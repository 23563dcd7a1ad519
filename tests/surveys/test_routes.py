"""Windows, consents, links and paper over HTTP, on a real PostgreSQL."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from common.events import SurveyScored
from tests.surveys.conftest import CLOSES, IMPORTER, ITEMS, OPENS, OTHER_SCHOOL, SCHOOL, TODAY, WINDOW, Surveys, sheet

CANARY = "Aurelia-Canary"


def problem(response: Any) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["type"].removeprefix("urn:trellis:problem:")


# Windows


async def test_a_window_is_created_and_the_same_key_answers_the_same_window(surveys: Surveys) -> None:
    first = await surveys.ask("POST", "/windows", WINDOW)
    again = await surveys.ask("POST", "/windows", WINDOW)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["stage"] == "open"


async def test_the_same_key_with_other_content_is_refused(surveys: Surveys) -> None:
    await surveys.window()

    later = await surveys.ask("POST", "/windows", WINDOW | {"closes_on": "2026-10-20"})
    noticed = await surveys.ask("POST", "/windows", WINDOW | {"notice": WINDOW["notice"] | {"kind": "consent"}})

    assert problem(later) == problem(noticed) == (422, "key-taken")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"closes_on": "2026-10-01"}, "body"),
        ({"opens_on": "2026-02-30"}, "opens_on"),
        ({"schools": []}, "schools"),
        ({"audience": "staff"}, "audience"),
        ({"instrument": CANARY}, "instrument"),
        ({"notice": {"sent_on": "2026-09-14", "kind": CANARY, "text_reference": "x"}}, "notice.kind"),
        ({"key": ""}, "key"),
        ({"key": "a\x00b"}, "key"),
        ({"schools": ["255901001", "a\x00b"]}, "schools[1]"),
        ({"notice": {"sent_on": "2026-09-14", "kind": "consent", "text_reference": "\x00"}}, "notice.text_reference"),
    ],
)
async def test_a_wrong_window_is_refused_by_field_and_rule(surveys: Surveys, change: Any, field: str) -> None:
    response = await surveys.ask("POST", "/windows", WINDOW | change)

    assert problem(response) == (422, "invalid")
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert CANARY not in response.text


async def test_families_are_told_before_the_first_day(surveys: Surveys) -> None:
    late = await surveys.ask("POST", "/windows", WINDOW | {"notice": WINDOW["notice"] | {"sent_on": "2026-10-06"}})

    assert problem(late) == (422, "notice-too-late")


async def test_a_window_opens_only_once_its_notice_is_recorded(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window(notice=None)

    stage = (await surveys.ask("GET", f"/windows/{window}")).json()["stage"]
    no_links = await surveys.ask("POST", f"/windows/{window}/links", {})
    sheets = {"items": [sheet(student)]}
    no_import = await surveys.ask("POST", f"/windows/{window}/responses/import", sheets, permissions=IMPORTER)
    recorded = await surveys.ask("PUT", f"/windows/{window}/notice", WINDOW["notice"])

    assert stage == "awaiting_notice"
    assert problem(no_links) == problem(no_import) == (409, "notice-missing")
    assert recorded.json()["stage"] == "open"
    assert str(student) in await surveys.links(window)


async def test_a_recorded_notice_does_not_change(surveys: Surveys) -> None:
    window = await surveys.window()

    same = await surveys.ask("PUT", f"/windows/{window}/notice", WINDOW["notice"])
    other = await surveys.ask("PUT", f"/windows/{window}/notice", WINDOW["notice"] | {"kind": "consent"})

    assert same.status_code == 200
    assert problem(other) == (409, "notice-recorded")


async def test_a_window_counts_and_never_shows_answers(surveys: Surveys) -> None:
    answered, _, opted_out = await surveys.enrol(3)
    window = await surveys.window()
    await surveys.consent(window, opted_out, "opted_out")
    await surveys.links(window)
    await surveys.bring(window, sheet(answered))

    response = await surveys.ask("GET", f"/windows/{window}")

    counts = {name: response.json()[name] for name in ("students", "invited", "answered", "without_consent")}
    assert counts == {"students": 3, "invited": 2, "answered": 1, "without_consent": 1}
    assert not any(item in response.text for item in ITEMS)


@pytest.mark.parametrize("role", ["principal", "counselor"])
async def test_staff_count_the_students_of_their_schools_only(surveys: Surveys, role: str) -> None:
    await surveys.enrol(2)
    await surveys.enrol(1, OTHER_SCHOOL)
    window = await surveys.window(schools=[SCHOOL, OTHER_SCHOOL])

    mine = await surveys.ask("GET", f"/windows/{window}", role=role, schools=[SCHOOL])
    none = await surveys.ask("GET", f"/windows/{window}", role=role, schools=["255901999"])

    assert mine.json()["students"] == 2
    assert problem(none) == (404, "not-found")


async def test_students_without_consent_are_counted_while_the_notice_asks_for_it(surveys: Surveys) -> None:
    consented, _, withdrawn = await surveys.enrol(3)
    window = await surveys.window(notice=WINDOW["notice"] | {"kind": "consent"})
    await surveys.consent(window, consented, "consented")
    await surveys.consent(window, withdrawn, "consented")
    await surveys.consent(window, withdrawn, "withdrawn")

    assert (await surveys.ask("GET", f"/windows/{window}")).json()["without_consent"] == 2


async def test_before_the_notice_nobody_has_what_is_required(surveys: Surveys) -> None:
    await surveys.enrol(2)
    window = await surveys.window(notice=None)

    assert (await surveys.ask("GET", f"/windows/{window}")).json()["without_consent"] == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PUT", "/notice"),
        ("POST", "/links"),
        ("DELETE", f"/links/{UUID(int=1)}"),
        ("PUT", f"/consents/{UUID(int=1)}"),
        ("GET", f"/consents/{UUID(int=1)}"),
        ("POST", "/responses/import"),
    ],
)
async def test_an_unknown_window_is_404(surveys: Surveys, method: str, path: str) -> None:
    bodies = {"/notice": WINDOW["notice"], "/responses/import": {"items": [sheet(uuid4())]}}
    said = {"state": "consented", "by": "guardian", "on": "2026-09-20"}
    body = bodies.get(path, said if path.startswith("/consents") else None)

    assert problem(await surveys.ask(method, f"/windows/{uuid4()}{path}", body, permissions=IMPORTER)) == (
        404,
        "not-found",
    )


@pytest.mark.parametrize("role", ["principal", "counselor", "facilitator", "sis"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/windows"),
        ("POST", f"/windows/{UUID(int=1)}/links"),
        ("POST", f"/windows/{UUID(int=1)}/responses/import"),
        ("PUT", f"/windows/{UUID(int=1)}/consents/{UUID(int=2)}"),
        ("DELETE", f"/windows/{UUID(int=1)}/links/{UUID(int=2)}"),
    ],
)
async def test_only_the_district_changes_anything(surveys: Surveys, role: str, method: str, path: str) -> None:
    refused = await surveys.ask(method, path, {}, role=role, schools=[SCHOOL], permissions=IMPORTER)

    assert problem(refused) == (403, "forbidden")


async def test_paper_comes_in_only_with_the_permission_for_it(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()

    refused = await surveys.ask("POST", f"/windows/{window}/responses/import", {"items": [sheet(student)]})

    assert problem(refused) == (403, "permission-missing")
    assert (await surveys.ask("GET", f"/windows/{window}")).json()["answered"] == 0
    assert await surveys.running.said() == []


# Consents


async def test_what_was_said_for_a_student_is_kept_as_rows(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()

    for state in ("consented", "consented", "withdrawn"):
        assert (await surveys.consent(window, student, state)).status_code == 200

    history = (await surveys.ask("GET", f"/windows/{window}/consents/{student}")).json()["items"]
    assert [row["state"] for row in history] == ["withdrawn", "consented"]


async def test_a_consent_for_a_student_nobody_knows_is_refused_for_now(surveys: Surveys) -> None:
    window = await surveys.window()

    assert problem(await surveys.consent(window, uuid4(), "consented")) == (409, "student-not-yet-known")


@pytest.mark.parametrize("on", ["2026-10-08", "1999-12-31"])
async def test_nothing_is_said_in_the_future_or_long_ago(surveys: Surveys, on: str) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()
    said = {"state": "consented", "by": "guardian", "on": on}
    refused = await surveys.ask("PUT", f"/windows/{window}/consents/{student}", said)
    assert problem(refused) == (422, "consent-day-impossible")
    today = await surveys.ask("PUT", f"/windows/{window}/consents/{student}", said | {"on": "2026-10-07"})
    assert today.status_code == 200


# Links


async def test_a_link_is_stored_as_a_digest_only(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    url = (await surveys.links(await surveys.window()))[str(student)]

    token = url.removeprefix("http://testserver/surveys/v1/answer/")
    async with surveys.running.session() as session:
        stored = (await session.execute(sa.text("SELECT digest, surveys_link::text FROM surveys_link"))).one()
    assert len(token) == 22
    assert stored.digest == hashlib.sha256(token.encode()).digest()
    assert token not in stored[1]


async def test_links_are_issued_once_and_the_missing_consents_are_counted(surveys: Surveys) -> None:
    first, second, opted_out, answered = await surveys.enrol(4)
    window = await surveys.window()
    await surveys.consent(window, opted_out, "opted_out")
    await surveys.bring(window, sheet(answered))

    once = (await surveys.ask("POST", f"/windows/{window}/links")).json()
    twice = (await surveys.ask("POST", f"/windows/{window}/links")).json()

    assert (once["issued"], once["without_consent"]) == (2, 1)
    assert {item["student_id"] for item in once["items"]} == {str(first), str(second)}
    await surveys.consent(window, second, "withdrawn")
    thrice = (await surveys.ask("POST", f"/windows/{window}/links")).json()

    assert (twice["issued"], twice["without_consent"]) == (0, 1)
    assert (thrice["issued"], thrice["without_consent"]) == (0, 2)


async def test_two_calls_at_once_issue_one_link_each(surveys: Surveys) -> None:
    await surveys.enrol(20)
    window = await surveys.window()

    first, second = await asyncio.gather(surveys.links(window), surveys.links(window))

    assert len(first) + len(second) == 20
    assert not first.keys() & second.keys()


async def test_consent_comes_before_a_link_where_the_notice_asks_for_it(surveys: Surveys) -> None:
    consented, _ = await surveys.enrol(2)
    window = await surveys.window(notice=WINDOW["notice"] | {"kind": "consent"})
    await surveys.consent(window, consented, "consented")

    response = (await surveys.ask("POST", f"/windows/{window}/links")).json()

    assert [item["student_id"] for item in response["items"]] == [str(consented)]
    assert response["without_consent"] == 1


async def test_only_students_who_are_there_get_a_link(surveys: Surveys) -> None:
    await surveys.enrol(exit_on=date(2026, 10, 6))
    await surveys.enrol(exit_on=date(2026, 8, 20))
    await surveys.enrol(entry_on=date(2026, 10, 12))
    await surveys.enrol(school=OTHER_SCHOOL)
    await surveys.enrol(deleted=True)
    (there,) = await surveys.enrol(exit_on=date(2026, 10, 7))

    assert list(await surveys.links(await surveys.window())) == [str(there)]


async def test_links_may_go_out_before_the_first_day_and_not_after_the_last(surveys: Surveys) -> None:
    await surveys.enrol()
    window = await surveys.window()

    surveys.on(OPENS - timedelta(7))
    assert len(await surveys.links(window)) == 1
    surveys.on(CLOSES + timedelta(1))
    assert problem(await surveys.ask("POST", f"/windows/{window}/links")) == (409, "window-closed")


async def test_replacing_a_lost_list_ends_the_old_links(surveys: Surveys) -> None:
    await surveys.enrol()
    window = await surveys.window()
    (old,) = (await surveys.links(window)).values()
    (new,) = (await surveys.links(window, replace=True)).values()

    assert (await surveys.http.get(old)).status_code == 404
    assert (await surveys.http.get(new)).status_code == 200
    assert await surveys.links(window) == {}


async def test_one_link_that_was_lost_is_issued_anew_and_ends_the_former_alone(surveys: Surveys) -> None:
    lost, other = map(str, await surveys.enrol(2))
    window = await surveys.window()
    old = await surveys.links(window)

    new = await surveys.links(window, replace=True, student_id=lost)

    assert list(new) == [lost]
    answers = [(await surveys.http.get(url)).status_code for url in (old[lost], old[other], new[lost])]
    assert answers == [404, 200, 200]


async def test_a_revoked_link_stops_working_and_is_revoked_once(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()
    (url,) = (await surveys.links(window)).values()

    first = await surveys.ask("DELETE", f"/windows/{window}/links/{student}")
    second = await surveys.ask("DELETE", f"/windows/{window}/links/{student}")

    assert first.status_code == 204
    assert problem(second) == (404, "not-found")
    assert (await surveys.http.get(url)).status_code == 404


async def test_a_revoked_link_stays_revoked_unless_every_link_is_replaced(surveys: Surveys) -> None:
    revoked, _ = await surveys.enrol(2)
    window = await surveys.window()
    await surveys.links(window)
    await surveys.ask("DELETE", f"/windows/{window}/links/{revoked}")

    assert await surveys.links(window) == {}
    assert len(await surveys.links(window, replace=True)) == 2


# Paper


async def test_a_sheet_of_paper_is_scored_and_its_answers_are_not_said(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()

    result = await surveys.bring(window, sheet(student, [1, 2, 4, 1, 3, 3, None, 5]))

    assert result == {"imported": 1, "unchanged": 0, "rejected": []}
    (said,) = await surveys.running.said(SurveyScored)
    assert (said.student_id, str(said.window_id), said.school_id) == (student, window, SCHOOL)
    assert {score.subscale: score.mean for score in said.scores} == {
        "adult_support": 1.5,
        "peer_support": 4.5,
        "belonging": 3.0,
    }
    assert not any(item in said.model_dump_json() for item in ITEMS)


async def test_the_same_sheet_again_changes_and_says_nothing(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()
    await surveys.bring(window, sheet(student))

    again = await surveys.bring(window, sheet(student))
    withheld = await surveys.bring(window, sheet(student, answers=dict(zip(ITEMS, (4,) * 8, strict=True))))

    assert again == withheld == {"imported": 0, "unchanged": 1, "rejected": []}
    assert len(await surveys.running.said(SurveyScored)) == 1


async def test_a_corrected_sheet_is_a_higher_revision_of_the_same_response(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()
    await surveys.bring(window, sheet(student))

    await surveys.bring(window, sheet(student, [2] * 8))

    first, then = await surveys.running.said(SurveyScored)
    assert then.revision > first.revision
    assert then.fact_key == first.fact_key
    assert then.scores[0].mean == 2.0
    async with surveys.running.session() as session:
        assert (await session.execute(sa.text("SELECT count(*) FROM surveys_response"))).scalar() == 1


async def test_two_sheets_of_one_student_apply_in_order(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()

    result = await surveys.bring(window, sheet(student), sheet(student), sheet(student, [2] * 8))

    assert result == {"imported": 2, "unchanged": 1, "rejected": []}
    (said,) = await surveys.running.said(SurveyScored)
    assert said.scores[0].mean == 2.0


async def test_bad_sheets_are_rejected_by_index_and_the_others_are_kept(surveys: Surveys) -> None:
    (student, opted_out) = await surveys.enrol(2)
    window = await surveys.window()
    await surveys.consent(window, opted_out, "opted_out")

    result = await surveys.bring(
        window,
        sheet(uuid4()),
        sheet(student, answered_on="2026-10-04"),
        sheet(student, answered_on="2026-10-08"),
        sheet(student, answers={"adult_support_1": 6}),
        sheet(student, answers={"adult_support_1": CANARY}),
        sheet(student, answers={CANARY: 4}),
        sheet(student, language=CANARY),
        CANARY,
        sheet(opted_out),
        sheet(student),
    )

    assert (result["imported"], result["unchanged"]) == (1, 0)
    kinds = [(each["index"], each["problem"]["type"].rpartition(":")[2]) for each in result["rejected"]]
    assert kinds == [
        (0, "student-not-yet-known"),
        (1, "answered-outside-window"),
        (2, "answered-outside-window"),
        (3, "invalid"),
        (4, "invalid"),
        (5, "invalid"),
        (6, "invalid"),
        (7, "invalid"),
        (8, "consent-missing"),
    ]
    fields = [each["problem"]["errors"][0]["field"] for each in result["rejected"] if "errors" in each["problem"]]
    assert fields == ["answers.adult_support_1", "answers.adult_support_1", "answers", "language", "body"]
    assert CANARY not in str(result)
    assert "None" not in str(result)


async def test_a_student_who_comes_later_is_rejected_now_and_imported_then(surveys: Surveys) -> None:
    window, student = await surveys.window(), uuid4()

    before = await surveys.bring(window, sheet(student))
    await surveys.running.deliver(surveys.enrolled(student))
    after = await surveys.bring(window, sheet(student))

    assert before["rejected"][0]["problem"]["type"] == "urn:trellis:problem:student-not-yet-known"
    assert after["imported"] == 1


async def test_an_answer_belongs_to_the_school_of_its_day(surveys: Surveys) -> None:
    student = uuid4()
    await surveys.running.deliver(
        surveys.enrolled(student, exit_on=date(2026, 10, 5)),
        surveys.enrolled(student, OTHER_SCHOOL, entry_on=date(2026, 10, 6)),
    )
    window = await surveys.window(schools=[SCHOOL, OTHER_SCHOOL])

    await surveys.bring(window, sheet(student, answered_on="2026-10-05"))
    await surveys.bring(window, sheet(student, answered_on="2026-10-06"))

    assert [event.school_id for event in await surveys.running.said(SurveyScored)] == [SCHOOL, OTHER_SCHOOL]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"items": []}', 422),
        (b'{"items": [' + b",".join([b"{}"] * 501) + b"]}", 422),
        (b'{"items": [{"language": "en", "language": "es"}]}', 400),
        (b'{"items": [{"language": "\xff"}]}', 400),
        (b'{"items": [', 400),
        (b"[" * 10_000, 400),
    ],
    ids=["none", "too many", "twice", "utf8", "cut", "deep"],
)
async def test_a_body_that_is_no_list_of_sheets_is_refused_whole(surveys: Surveys, body: bytes, status: int) -> None:
    headers = surveys.running.headers("district", permissions=IMPORTER) | {"Content-Type": "application/json"}
    window = await surveys.window()

    response = await surveys.http.post(f"/surveys/v1/windows/{window}/responses/import", content=body, headers=headers)

    assert problem(response)[0] == status


async def test_500_sheets_take_no_more_statements_than_one(surveys: Surveys) -> None:
    students = await surveys.enrol(501)
    window = await surveys.window()

    with counted(surveys) as one:
        await surveys.bring(window, sheet(students[0]))
    with counted(surveys) as many:
        result = await surveys.bring(window, *(sheet(student) for student in students[1:]))

    assert result["imported"] == 500
    assert len(many) == len(one)


async def test_answers_are_sealed_in_the_database(surveys: Surveys) -> None:
    first, second = await surveys.enrol(2)
    await surveys.bring(await surveys.window(), sheet(first), sheet(second))

    async with surveys.running.session() as session:
        rows = list((await session.execute(sa.text("SELECT answers FROM surveys_response"))).scalars())
    assert all(ITEMS[0].encode() not in row for row in rows)
    assert rows[0][-40:] != rows[1][-40:]


async def test_imports_of_one_student_at_once_make_one_line_of_revisions(surveys: Surveys) -> None:
    (student,) = await surveys.enrol()
    window = await surveys.window()

    await asyncio.gather(*(surveys.bring(window, sheet(student, [answer] * 8)) for answer in range(1, 6)))

    said = await surveys.running.said(SurveyScored)
    revisions = [event.revision for event in said]
    assert revisions == sorted(set(revisions))
    async with surveys.running.session() as session:
        stored = (await session.execute(sa.text("SELECT revision, scores FROM surveys_response"))).one()
    assert stored.revision == revisions[-1]
    assert stored.scores[0]["mean"] == said[-1].scores[0].mean


@contextmanager
def counted(surveys: Surveys) -> Iterator[list[str]]:
    """The statements sent meanwhile; one executed for many rows would count as many."""
    statements: list[str] = []

    def count(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.extend([statement] * (len(parameters) if isinstance(parameters, list) else 1))

    engine = surveys.running.runtime.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", count)
    yield statements
    sa.event.remove(engine, "before_cursor_execute", count)


def test_the_usual_day_is_one_of_the_window() -> None:
    assert OPENS <= TODAY <= CLOSES


async def test_a_notice_with_a_control_character_is_refused(surveys: Surveys) -> None:
    window = await surveys.window()
    notice = {"sent_on": "2026-09-14", "kind": "opt_out", "text_reference": "a\x00b"}
    refused = await surveys.ask("PUT", f"/windows/{window}/notice", notice)
    assert problem(refused) == (422, "invalid")
    assert [error["field"] for error in refused.json()["errors"]] == ["text_reference"]


async def test_of_fifty_who_record_over_the_same_history_one_does(surveys: Surveys):
    surveys.on(date(2026, 10, 6))
    window, (student,) = await surveys.window(), await surveys.enrol()
    address, district = f"/surveys/v1/windows/{window}/consents/{student}", surveys.running.headers("district")
    said = {"state": "opted_out", "by": "guardian"}
    seen = (await surveys.http.get(address, headers=district)).headers["ETag"]
    blind = await surveys.http.put(address, json=said | {"on": "2026-09-20"}, headers=district)

    headers = district | {"If-Match": seen}
    days = [(date(2026, 8, 1) + timedelta(number)).isoformat() for number in range(50)]
    answers = await asyncio.gather(
        *(surveys.http.put(address, json=said | {"on": day}, headers=headers) for day in days)
    )

    assert blind.status_code == 428
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    history = await surveys.http.get(address, headers=district)
    (won,) = (answer for answer in answers if answer.is_success)
    assert (history.json()["items"], history.headers["ETag"]) == ([won.json()], won.headers["ETag"])
