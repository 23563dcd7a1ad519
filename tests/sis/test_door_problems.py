"""Every error of the Ed-Fi door is a problem document as Ed-Fi clients know it, wherever it was raised."""

import json
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from sis.problems import edfi_problem
from tests.sis.conftest import EDFI, Sis, absence, school, student

MISSING = "00000000-0000-4000-8000-000000000000"


async def test_each_error_has_its_ed_fi_type_and_no_null_members(sis: Sis) -> None:
    identity = await sis.roster()
    await sis.put_in("studentSchoolAttendanceEvents", absence())
    path = f"{EDFI}/students"
    known = f"{path}/{identity}"
    renamed = json.dumps(student("s2"))
    calls: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("POST", path, {"content": b"{"}, 400, "bad-request"),
        ("POST", path, {"content": b"{}"}, 400, "bad-request:data-validation-failed"),
        ("GET", f"{path}?limit=501", {}, 400, "bad-request:parameter"),
        ("GET", f"{path}?nothing=1", {}, 400, "bad-request:parameter"),
        ("GET", f"{path}/not-an-id", {}, 400, "bad-request:parameter"),
        ("PUT", known, {"content": renamed}, 400, "bad-request:data-validation-failed:key-change-not-supported"),
        ("GET", f"{path}/{MISSING}", {}, 404, "not-found"),
        ("GET", f"{EDFI}/unheardOf", {}, 404, "not-found"),
        ("GET", "/sis/data/v3/nothing", {}, 404, "not-found"),
        ("GET", "/sis/data/v3/20x7/ed-fi/students", {}, 404, "not-found"),
        ("PATCH", path, {}, 405, "method-not-allowed"),
        ("POST", "/sis/changeQueries/v1/availableChangeVersions", {}, 405, "method-not-allowed"),
        ("DELETE", known, {"headers": {"If-Match": '"1"'}}, 412, "optimistic-lock-failed"),
        ("DELETE", known, {}, 409, "data-conflict:dependent-item-exists"),
        ("POST", path, {"content": b" " * (4 * 1024 * 1024 + 1)}, 413, "content-too-large"),
        ("POST", path, {"content": b"{}", "headers": {"Content-Encoding": "br"}}, 415, "unsupported-media-type"),
    ]
    seen = set()
    for method, address, options, status, kind in calls:
        refused = await sis.call(method, address, **options)
        problem = refused.json()
        assert (refused.status_code, problem["status"], problem["type"]) == (status, status, f"urn:ed-fi:api:{kind}")
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["content-length"]) == len(refused.content)
        assert problem["detail"], problem["title"]
        assert None not in problem.values()
        seen.add(UUID(problem["correlationId"]))
    assert len(seen) == len(calls)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("?limit=501", "limit must be at most 500"),
        ("?limit=-1", "limit must be at least 0"),
        ("?limit=SECRETVAL", "limit must be a whole number"),
        ("?offset=1.5", "offset must be a whole number"),
        ("?totalCount=SECRETVAL", "totalCount must be true or false"),
        (f"?pageToken={'x' * 401}", "pageToken must have a length of at most 400"),
        (f"?minChangeVersion={2**63}", f"minChangeVersion must be at most {2**63 - 1}"),
        ("/SECRETVAL", "document_id must be a UUID"),
        ("/partitions?number=0", "number must be at least 1"),
    ],
)
async def test_a_parameter_that_breaks_a_rule_is_named_with_the_rule_in_our_words(
    sis: Sis, asked: str, said: str
) -> None:
    refused = await sis.call("GET", f"{EDFI}/students{asked}")
    assert (refused.status_code, refused.json()["errors"]) == (400, [said])


async def test_who_may_not_is_told_so_in_ed_fi_s_words(sis: Sis) -> None:
    stranger = await sis.running.http.get(f"{EDFI}/students")
    assert (stranger.status_code, stranger.headers["www-authenticate"]) == (401, "Bearer")
    assert stranger.json()["type"] == "urn:ed-fi:api:security:authentication"
    reader = await sis.call("POST", f"{EDFI}/students", role="district", content=b"{}")
    assert (reader.status_code, reader.json()["type"]) == (
        403,
        "urn:ed-fi:api:security:authorization:access-denied:action",
    )


async def test_overload_and_an_absent_database_say_when_to_come_again(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.app.MAX_WAITING_REQUESTS", 0)
    overloaded = await sis.post("students", student())
    monkeypatch.undo()

    async def away(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr("sis.routes.door.write_together", away)
    unavailable = await sis.post("students", student())
    for refused in (overloaded, unavailable):
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert refused.json()["type"] == "urn:ed-fi:api:service-unavailable"


async def test_what_goes_wrong_on_our_side_is_logged_with_the_id_that_the_client_was_told(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr("sis.routes.door.write_together", broken)
    with capture_logs() as lines:
        failed = await sis.post("students", student())
    assert (failed.status_code, failed.json()["type"]) == (500, "urn:ed-fi:api:internal-server-error")
    assert "canary" not in failed.text
    assert {line["correlation_id"] for line in lines} == {failed.json()["correlationId"]}
    assert {line["event"] for line in lines} == {"a request failed", "the Ed-Fi door refused"}


async def test_a_refused_row_is_logged_without_a_value(sis: Sis) -> None:
    with capture_logs() as lines:
        refused = await sis.post("schools", school(schoolId="canary/1"))
    (line,) = lines
    assert line["correlation_id"] == refused.json()["correlationId"]
    assert line["route"].endswith("/ed-fi/{resource}")
    assert "canary" not in str(lines)


async def test_other_doors_keep_their_problem_documents(sis: Sis) -> None:
    refused = await sis.call("POST", "/sis/v1/bulk/unheardOf", content=b"{}")
    assert refused.json()["type"].startswith("urn:trellis:problem:")
    assert "correlationId" not in refused.json()


def test_a_status_without_a_name_of_its_own_is_named_by_its_phrase() -> None:
    said = edfi_problem({"type": "urn:trellis:problem:too-slow", "status": 408, "detail": "Too slow."}, "x")
    assert (said["type"], said["title"], said["detail"]) == (
        "urn:ed-fi:api:request-timeout",
        "Request Timeout",
        "Too slow.",
    )


async def test_the_description_of_the_api_shows_ed_fi_s_problem_documents(sis: Sis) -> None:
    paths = (await sis.running.http.get("/sis/openapi.json")).json()["paths"]
    for path in (
        f"{EDFI}/{{resource}}",
        f"{EDFI}/{{resource}}/{{document_id}}",
        "/sis/changeQueries/v1/availableChangeVersions",
    ):
        for operation in paths[path].values():
            for status, answer in operation["responses"].items():
                if status not in ("200", "201", "204", "304"):
                    shown = answer["content"]["application/problem+json"]["schema"]
                    assert shown == {"$ref": "#/components/schemas/EdFiProblem"}, (path, status)
    assert not any("school_year" in path for path in paths)
