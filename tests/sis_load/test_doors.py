"""The loader before doors that misbehave, and before the other services, as scripts."""

import asyncio
import json
from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import pytest

from sis.loading.closing import clock_held
from sis.loading.conferences import ConferencePusher
from sis.loading.door import As, Door, NotPermitted, Refused, Stop
from sis.loading.folder import Folder
from sis.loading.lanes import in_lanes
from sis.loading.report import Report
from sis.loading.rows import Pusher
from sis.loading.surveys import SurveyPusher

Answer = Callable[[httpx.Request], httpx.Response]


class AnyToken:
    def token(self, who: As) -> str:
        return f"{who.role}/{','.join(who.schools)}/{who.staff}"


def door(answer: Answer, patience: float = 5.0) -> Door:
    http = httpx.AsyncClient(base_url="http://trellis.test", transport=httpx.MockTransport(answer))
    return Door(http, AnyToken(), patience=patience)


def problem(status: int, kind: str, detail: str = "Not so.") -> httpx.Response:
    return httpx.Response(status, json={"type": f"urn:trellis:problem:{kind}", "detail": detail})


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch):
    for name in ("door._FIRST_PAUSE", "surveys._PAUSE", "conferences._PAUSE"):
        monkeypatch.setattr(f"sis.loading.{name}", 0.001)


async def test_cuts_and_overload_are_waited_out():
    answers = [httpx.ConnectError("cut"), httpx.ReadTimeout("slow"), problem(503, "overloaded"), httpx.Response(200)]

    def answer(request):
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    assert (await door(answer).send("PUT", "/x")).status_code == 200
    assert answers == []


async def test_silence_a_foreign_token_and_refusals_have_names():
    def cut(request):
        raise httpx.ConnectError("cut")

    with pytest.raises(Stop, match="is `trellis up` running"):
        await door(cut, patience=0.0).send("GET", "/x")
    with pytest.raises(Stop, match="token is not accepted"):
        await door(lambda _: httpx.Response(401)).send("GET", "/x")
    with pytest.raises(NotPermitted):
        await door(lambda _: httpx.Response(403)).send("GET", "/x")
    with pytest.raises(Refused, match="Not so") as refused:
        await door(lambda _: problem(409, "step-out-of-order")).send("GET", "/x")
    assert refused.value.kind == "step-out-of-order"
    with pytest.raises(Refused, match="500 Internal Server Error"):
        await door(lambda _: httpx.Response(500, text="oops")).send("GET", "/x")


async def test_what_answers_but_is_not_trellis_is_said():
    with pytest.raises(Stop, match="is not Trellis"):
        async with clock_held(door(lambda _: httpx.Response(404))):
            pass


async def test_the_clock_is_held_once_a_busy_trellis_answers_and_a_failing_one_is_said():
    answers = [problem(503, "unavailable"), problem(503, "unavailable"), *(httpx.Response(200) for _ in range(2))]

    async with clock_held(door(lambda _: answers.pop(0))):
        assert len(answers) == 1
    assert answers == []
    with pytest.raises(Stop, match="not Trellis, or not well"):
        async with clock_held(door(lambda _: problem(500, "internal-error"))):
            pass


async def test_a_request_that_is_refused_whole_is_halved_until_the_row_is_found(fill, report):
    rows = [{"studentUniqueId": f"s{number}"} for number in range(40)]

    def answer(request):
        lines = request.content.splitlines()
        if any(b'"s13"' in line for line in lines):
            return problem(413, "too-large", "The body is larger than allowed.")
        return httpx.Response(
            200, text="".join(f'{{"line":{n},"status":201,"id":"{uuid4()}"}}\n' for n in range(len(lines)))
        )

    await Pusher(door(answer), Folder(fill(students=rows)), report).push_all()

    assert report.taken == {"students": 39}
    assert report.rejected == [("students.jsonl", 14, "The body is larger than allowed.")]


async def test_lanes_keep_the_order_of_a_key_and_hold_little():
    pushed: list[tuple[str, int]] = []
    held = most = 0

    def items() -> Iterator[tuple[str, tuple[str, int]]]:
        nonlocal held, most
        for number in range(1000):
            held += 1
            most = max(most, held)
            yield f"k{number % 7}", (f"k{number % 7}", number)

    async def push(batch):
        nonlocal held
        await asyncio.sleep(0)
        pushed.extend(batch)
        held -= len(batch)

    await in_lanes(items(), push, lanes=3, at_once=10)

    assert len(pushed) == 1000
    for key in {key for key, _ in pushed}:
        numbers = [number for other, number in pushed if other == key]
        assert numbers == sorted(numbers)
    assert most <= 90


def response(student: str, window: str = "w") -> dict[str, object]:
    return {"window": window, "studentUniqueId": student, "answered_on": "2025-10-01", "language": "en", "answers": {}}


async def test_answers_of_students_not_heard_of_yet_are_tried_again(fill, report):
    students = {name: str(uuid4()) for name in ("a", "b", "c")}
    asked: list[int] = []

    def answer(request):
        if request.url.path == "/surveys/v1/windows":
            return httpx.Response(201, json={"id": "0190"})
        if request.method == "GET":
            found = students.get(request.url.params["studentUniqueId"])
            return httpx.Response(200, json=[{"id": found}] if found else [])
        items = json.loads(request.content)["items"]
        asked.append(len(items))
        rejected = []
        for index, item in enumerate(items):
            if item["student_id"] == students["b"] and len(asked) < 3:
                rejected.append(
                    {"index": index, "problem": {"type": "urn:trellis:problem:student-not-yet-known", "detail": ""}}
                )
            if item["student_id"] == students["c"]:
                rejected.append({"index": index, "problem": {"type": "urn:x:consent-missing", "detail": "No consent."}})
        return httpx.Response(200, json={"imported": 0, "unchanged": 0, "rejected": rejected})

    folder = fill(
        surveyWindows=[{"key": "w"}],
        surveyResponses=[response("a"), response("b"), response("c"), response("ghost"), response("a", "other")],
    )
    await SurveyPusher(Pusher(door(answer), Folder(folder), report)).push_all()

    assert report.taken == {"surveyWindows": 1, "surveyResponses": 2}
    assert sorted(report.rejected) == [
        ("surveyResponses.jsonl", 3, "No consent."),
        ("surveyResponses.jsonl", 4, "there is no such student"),
        ("surveyResponses.jsonl", 5, "its window was not taken"),
    ]


async def test_without_permission_surveys_and_conferences_are_left_out(fill, report):
    folder = fill(
        surveyWindows=[{"key": "w"}], surveyResponses=[response("a")], conferenceSteps=[step("open"), step("screen")]
    )
    pusher = Pusher(door(lambda _: httpx.Response(403)), Folder(folder), report)

    await SurveyPusher(pusher).push_all()
    await ConferencePusher(pusher).push_all()

    assert report.left_out == ["surveyWindows", "surveyResponses", "conferenceSteps"]
    assert report.rejected == []


def step(name: str, incident: str = "i1", **what: object) -> dict[str, object]:
    return {
        "incident": {"schoolId": 7, "incidentIdentifier": incident},
        "studentUniqueId": "a",
        "facilitator": "f",
        "step": name,
        "on": "2025-10-01",
        "with": what,
    }


async def test_steps_are_taken_as_the_facilitator_with_labels_replaced(fill, report):
    ids = {"students": str(uuid4()), "staffs": str(uuid4()), "disciplineIncidents": str(uuid4())}
    posted: list[tuple[str, dict[str, object]]] = []
    late = iter([True, False])
    changed = iter([True])
    seen = {"ETag": '"one"'}

    def answer(request):
        path = request.url.path
        if request.method == "GET":
            if path.startswith("/restorative"):
                seen["ETag"] = '"two"'
                return httpx.Response(200, headers=seen)
            return httpx.Response(200, json=[{"id": ids[path.rpartition("/")[2]]}])
        assert request.headers["Authorization"] == f"Bearer facilitator/7/{ids['staffs']}"
        if path.endswith("/referrals") and next(late):
            return problem(404, "incident-not-yet-known")
        if path.endswith("/offer") and next(changed, False):
            return problem(412, "seen-version-gone")
        assert path.endswith("/referrals") or request.headers["If-Match"] == seen["ETag"]
        posted.append((path.removeprefix("/restorative/v1/referrals"), json.loads(request.content)))
        if path.endswith("/agreement"):
            return httpx.Response(200, json={"items": [{"id": "i-0"}, {"id": "i-1"}]}, headers=seen)
        return httpx.Response(201, json={"id": "r" if path.endswith("/referrals") else f"p{len(posted)}"}, headers=seen)

    await ConferencePusher(
        Pusher(
            door(answer),
            Folder(
                fill(
                    conferenceSteps=[
                        step("open"),
                        step("screen", suitable=True, reason="Both want to."),
                        step("party", label="r", kind="student", role="caused_harm", studentUniqueId="a"),
                        step("party", label="s", kind="staff", role="harmed", staffUniqueId="t"),
                        step("offer"),
                        step("consent", party="r", given=True, part="in_person"),
                        step("prepare", party="s"),
                        step("agreement", items=[{"what": "x", "by_party": "r", "for_party": "s", "kind": "service"}]),
                        step("keep", item=1, evidence="Seen."),
                        step("complete"),
                    ]
                )
            ),
            report,
        )
    ).push_all()

    on = {"on": "2025-10-01"}
    assert report.rejected == []
    assert report.taken == {"conferenceSteps": 10}
    assert posted == [
        ("", {"student_id": ids["students"], "incident_id": ids["disciplineIncidents"]}),
        ("/r/screen", {"suitable": True, "reason": "Both want to."} | on),
        ("/r/parties", {"kind": "student", "role": "caused_harm", "student_id": ids["students"]} | on),
        ("/r/parties", {"kind": "staff", "role": "harmed", "staff_id": ids["staffs"]} | on),
        ("/r/offer", {"offered_on": "2025-10-01"}),
        ("/r/parties/p3/consent", {"given": True, "part": "in_person"} | on),
        ("/r/prepare", {"party_id": "p4"} | on),
        ("/r/agreement", {"items": [{"what": "x", "by_party": "p3", "for_party": "p4", "kind": "service"}]} | on),
        ("/r/items/i-1/keep", {"evidence": "Seen."} | on),
        ("/r/complete", on),
    ]


async def test_a_refused_step_stops_its_conference_and_no_other(fill, report):
    def answer(request):
        if request.method == "GET":
            return httpx.Response(200, json=[{"id": str(uuid4())}])
        if request.url.path.endswith("/hold"):
            return problem(409, "step-out-of-order", "A conference that is proposed cannot take the step hold.")
        return httpx.Response(201, json={"id": "r"}, headers={"ETag": '"one"'})

    folder = fill(
        conferenceSteps=[
            step("open"),
            step("hold"),
            step("complete"),
            step("open", "i2"),
            step("consent", "i2", party="?"),
            b"{}",
        ]
    )
    await ConferencePusher(Pusher(door(answer), Folder(folder), report)).push_all()

    assert sorted(report.rejected) == [
        ("conferenceSteps.jsonl", 2, "A conference that is proposed cannot take the step hold."),
        ("conferenceSteps.jsonl", 3, "an earlier step of this conference was rejected"),
        ("conferenceSteps.jsonl", 5, "its party was not named before"),
        ("conferenceSteps.jsonl", 6, "must be a step with incident, studentUniqueId, facilitator, step, on and with"),
    ]


def test_only_so_many_rejected_rows_are_listed_but_all_are_counted(report: Report, monkeypatch):
    monkeypatch.setattr("sis.loading.report._LISTED", 3)

    for number in range(5):
        report.reject("students.jsonl", number, "is required")

    assert len(report.rejected) == 3
    assert report.rejected_count == 5
