"""CloudEvents over HTTP, as the official library and others send them: once each, and a batch keeps its good events."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from common.events import AttendanceRecorded
from tests.sis.conftest import Sis, absence, student

ATTENDANCE = "studentSchoolAttendanceEvents"
BATCH = "application/cloudevents-batch+json"


def event(data: Any, identity: str = "1", kind: str = f"sis.{ATTENDANCE}.upserted.v1", **more: Any) -> CloudEvent:
    attributes = {"specversion": "1.0", "id": identity, "source": "urn:sis:Ünion", "type": kind, **more}
    return CloudEvent(attributes, data)


async def send(sis: Sis, message: Any) -> httpx.Response:
    return await sis.call("POST", "/sis/v1/events", content=message.body, headers=dict(message.headers))


async def send_batch(sis: Sis, events: Sequence[Any], media_type: str = BATCH) -> httpx.Response:
    body = json.dumps([json.loads(JSONFormat().write(one)) if isinstance(one, CloudEvent) else one for one in events])
    return await sis.call("POST", "/sis/v1/events", content=body, headers={"content-type": media_type})


def headers(identity: str = "1", kind: str = f"sis.{ATTENDANCE}.upserted.v1", **more: str) -> dict[str, str]:
    return {"ce-specversion": "1.0", "ce-id": identity, "ce-source": "urn:sis", "ce-type": kind, **more}


async def test_an_event_is_taken_in_once_by_its_source_and_id(sis: Sis):
    await sis.roster()

    async def hear(row: dict[str, Any], **attributes: str) -> str:
        response = await sis.call("POST", "/sis/v1/events", json=row, headers=headers(**attributes))
        assert response.status_code == 200, response.text
        return str(response.json()["outcome"])

    assert await hear(absence(eventDuration=0.5)) == "created"
    assert await hear(absence(eventDuration=1), identity="2") == "updated"
    assert await hear(absence(eventDuration=0.5)) == "repeated"
    assert await hear(absence(eventDuration=0.5), **{"ce-source": "urn:other"}) == "updated"
    assert await hear(absence(), identity="3", kind=f"sis.{ATTENDANCE}.deleted.v1") == "deleted"
    assert [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)] == [50, 100, 50, 0]


async def test_nobody_uses_up_the_ids_of_another_sender(sis: Sis):
    await sis.roster()
    for fraction, said in ((0.5, "created"), (1, "updated")):
        sender = sis.running.headers("sis", staff=uuid4())
        body: Any = {"json": absence(eventDuration=fraction), "headers": headers() | sender}
        assert (await sis.running.http.post("/sis/v1/events", **body)).json() == {"outcome": said}


async def test_the_time_of_an_event_stands_for_a_missing_date(sis: Sis):
    await sis.roster()
    outcomes = []
    for number, (time, tenth) in enumerate((("2020-09-02T10:00:00Z", 5), ("2020-09-02T09:00:00Z", 9))):
        row, attributes = absence(eventDuration=tenth / 10), headers(str(number), **{"ce-time": time})
        outcomes.append((await sis.call("POST", "/sis/v1/events", json=row, headers=attributes)).json()["outcome"])
    assert outcomes == ["created", "stale"]


@pytest.mark.parametrize(("dated", "outcomes"), [(True, ["stale", "created"]), (False, ["created", "updated"])])
async def test_a_deletion_that_comes_before_its_row_takes_it_back_only_if_it_says_when(
    sis: Sis, dated: bool, outcomes: list[str]
):
    await sis.roster()

    async def hear(hour: int, share: float, verb: str) -> httpx.Response:
        time = {"ce-time": f"2020-09-02T{hour}:00:00Z"} if dated else {}
        attributes = headers(str(hour), f"sis.{ATTENDANCE}.{verb}.v1", **time)
        return await sis.call("POST", "/sis/v1/events", json=absence(eventDuration=share), headers=attributes)

    assert (await hear(11, 1, "deleted")).status_code == (await hear(11, 1, "deleted")).status_code == 404
    heard = [await hear(10, 0.5, "upserted"), await hear(12, 0.25, "upserted")]
    assert [one.json()["outcome"] for one in heard] == outcomes
    told = [event.hundredths_absent for event in await sis.running.said(AttendanceRecorded)]
    assert told == ([25] if dated else [50, 25])


async def test_an_event_that_is_refused_may_be_sent_again(sis: Sis, no_waiting: None):
    refused = await sis.call("POST", "/sis/v1/events", json=absence(), headers=headers())
    assert refused.status_code == 409
    await sis.roster()
    again = await sis.call("POST", "/sis/v1/events", json=absence(), headers=headers())
    assert again.json() == {"outcome": "created"}


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"ce-specversion": "0.3"}, "ce-specversion"),
        ({"ce-type": "sis.unicorns.upserted.v1"}, "ce-type"),
        ({"ce-id": ""}, "ce-id"),
        ({"ce-source": "x" * 501}, "ce-source"),
        ({"ce-time": "now"}, "ce-time"),
    ],
)
async def test_a_malformed_attribute_of_an_event_is_named(sis: Sis, attributes: dict[str, str], field: str):
    refused = await sis.call("POST", "/sis/v1/events", json=absence(), headers=headers() | attributes)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)


@pytest.mark.parametrize("how", [to_binary_event, to_structured_event])
async def test_what_the_official_library_sends_is_taken_in_once(sis: Sis, how: Any):
    await sis.roster()
    said = event(absence(), time=datetime(2026, 9, 1, 10, tzinfo=UTC))
    assert (await send(sis, how(said))).json() == {"outcome": "created"}
    assert (await send(sis, how(said))).json() == {"outcome": "repeated"}


async def test_data_as_bytes_is_read_like_data_as_members(sis: Sis):
    await sis.roster()
    said = event(json.dumps(absence()).encode(), datacontenttype="application/json")
    assert (await send(sis, to_structured_event(said))).json() == {"outcome": "created"}
    assert (await send(sis, to_binary_event(event(absence())))).json() == {"outcome": "repeated"}


async def test_binary_needs_no_content_type_and_decodes_percent_signs_and_quotes(sis: Sis):
    await sis.roster()
    message = to_binary_event(event(absence()))
    assert "content-type" not in {name.lower() for name in message.headers}
    assert (await send(sis, message)).json() == {"outcome": "created"}
    quoted = {**message.headers, "ce-source": f'"{message.headers["ce-source"]}"'}
    again = await sis.call("POST", "/sis/v1/events", content=message.body, headers=quoted)
    assert again.json() == {"outcome": "repeated"}


async def test_media_types_compare_without_case_and_parameters(sis: Sis):
    await sis.roster()
    body = JSONFormat().write(event(absence()))
    for header, outcome in (
        ("Application/CloudEvents+JSON; charset=UTF-8", "created"),
        ("application/cloudevents+json;charset=utf-8", "repeated"),
    ):
        answer = await sis.call("POST", "/sis/v1/events", content=body, headers={"content-type": header})
        assert answer.json() == {"outcome": outcome}


async def test_a_batch_keeps_its_good_events_and_names_the_bad(sis: Sis, no_waiting: None):
    await sis.roster()
    bad = [
        event(absence(on="2026-13-01"), "2"),
        event(absence(name="unknown"), "3"),
        event(absence(), "4", "sis.weather.upserted.v1"),
        {"specversion": "1.0"},
        7,
        event("text", "5"),
        event(b"<row/>", "6", datacontenttype="text/xml"),
    ]
    answer = await send_batch(sis, [event(absence()), *bad, event(absence(eventDuration=0.5), "7"), event(absence())])
    items = answer.json()["items"]
    assert [item.get("outcome") for item in items] == ["created", *[None] * len(bad), "updated", "repeated"]
    assert [item["index"] for item in items] == list(range(len(bad) + 3))
    assert [item["problem"]["errors"][0]["field"] for item in items[1:7]] == [
        "$.eventDate",
        "$.studentReference",
        "$.type",
        "$.source",
        "$",
        "$",
    ]
    assert items[7]["problem"]["status"] == 415
    assert [said.hundredths_absent for said in await sis.running.said(AttendanceRecorded)] == [50]


async def test_a_bad_event_of_a_batch_may_be_sent_again(sis: Sis, no_waiting: None):
    batch = [event(absence(), "1"), event({"schoolId": 1}, "2", "sis.schools.upserted.v1")]
    items = (await send_batch(sis, batch)).json()["items"]
    assert [item.get("outcome") for item in items] == [None, "created"]
    await sis.put_in("students", student())
    assert [item["outcome"] for item in (await send_batch(sis, batch)).json()["items"]] == ["created", "repeated"]


async def test_events_of_one_document_apply_in_their_order(sis: Sis):
    await sis.roster()
    batch = [
        event(absence(eventDuration=0.1), "1"),
        event(absence(), "2", f"sis.{ATTENDANCE}.deleted.v1"),
        event(absence(eventDuration=0.9), "3"),
        event(absence(eventDuration=0.5), "4"),
    ]
    items = (await send_batch(sis, batch)).json()["items"]
    assert [item["outcome"] for item in items] == ["created", "deleted", "created", "updated"]
    assert (await sis.running.said(AttendanceRecorded))[-1].hundredths_absent == 50


async def test_a_batch_that_is_none_is_refused_whole(sis: Sis):
    for body, status in ((b"{}", 400), (b"[", 400), (b"[" + b"{}," * 500 + b"{}]", 400)):
        refused = await sis.call("POST", "/sis/v1/events", content=body, headers={"content-type": BATCH})
        assert refused.status_code == status
    assert (await send_batch(sis, [])).json() == {"items": []}


@pytest.mark.parametrize("content_type", ["application/xml", "application/cloudevents+avro", "text/plain"])
async def test_another_media_type_is_refused_by_name(sis: Sis, content_type: str):
    message = to_binary_event(event(absence()))
    sent = {**message.headers, "content-type": content_type}
    assert (await sis.call("POST", "/sis/v1/events", content=message.body, headers=sent)).status_code == 415


async def test_data_in_two_ways_or_not_in_base64_is_refused(sis: Sis):
    for more in ({"data_base64": "e30="}, {"data": None, "data_base64": "{}"}, {"data": None, "data_base64": 5}):
        body = json.loads(JSONFormat().write(event(absence()))) | more
        if body["data"] is None:
            del body["data"]
        headers = {"content-type": "application/cloudevents+json"}
        refused = await sis.call("POST", "/sis/v1/events", json=body, headers=headers)
        assert (refused.status_code, refused.json()["errors"][0]["field"][:6]) == (400, "$.data")
