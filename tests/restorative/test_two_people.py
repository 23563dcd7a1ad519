"""Two facilitators with one referral before them: nobody decides over what they did not see."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.harness import over_http
from tests.restorative.conftest import SCHOOL, Conference, Restorative

STEP = {"suitable": True, "reason": "Both of them want to talk."}


def headers_of(service: Restorative, **more: str) -> dict[str, str]:
    return service.running.headers("facilitator", schools=[SCHOOL], staff=service.facilitator) | more


async def read(service: Restorative, conference: Conference) -> Any:
    return await service.get(f"/referrals/{conference.id}")


async def screen(service: Restorative, conference: Conference, body: Any = STEP, **headers: Any) -> Any:
    address = f"/restorative/v1/referrals/{conference.id}/screen"
    return await service.running.http.post(address, json=body, headers=headers_of(service, **headers))


async def test_the_etag_of_each_answer_is_the_one_that_is_read_next(restorative: Restorative) -> None:
    conference = await restorative.conference()
    for path, body in (
        ("screen", STEP),
        ("parties", {"kind": "student", "role": "caused_harm", "student_id": str(restorative.student)}),
        ("parties", {"kind": "named", "role": "supporter", "name": "Rosa Example"}),
    ):
        answered = await conference.step(path, body)

        assert answered.status_code in (200, 201), answered.text
        assert answered.headers["ETag"] == (await read(restorative, conference)).headers["ETag"]


@pytest.mark.parametrize("seen", [{}, {"If-Match": "*"}])
async def test_a_step_that_names_no_version_is_428(restorative: Restorative, seen: dict[str, str]) -> None:
    conference = await restorative.conference()

    refused = await screen(restorative, conference, **seen)

    assert (refused.status_code, refused.json()["type"]) == (428, "urn:trellis:problem:seen-version-missing")


async def test_a_step_decided_on_an_older_version_is_412_and_changes_nothing(restorative: Restorative) -> None:
    conference = await restorative.conference()
    old = (await read(restorative, conference)).headers["ETag"]
    await conference.screen()
    now = await read(restorative, conference)

    refused = await screen(restorative, conference, STEP | {"suitable": False}, **{"If-Match": old})

    assert (refused.status_code, refused.json()["type"]) == (412, "urn:trellis:problem:seen-version-gone")
    assert (await read(restorative, conference)).json() == now.json()


async def test_a_step_that_was_taken_is_answered_again_whatever_version_it_names(restorative: Restorative) -> None:
    conference = await restorative.conference()
    old = (await read(restorative, conference)).headers["ETag"]

    first = await screen(restorative, conference, **{"If-Match": old})
    again = await screen(restorative, conference, **{"If-Match": old})

    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())


async def test_of_fifty_at_once_who_saw_the_same_one_decides(restorative: Restorative) -> None:
    conference = await restorative.conference()
    seen = (await read(restorative, conference)).headers["ETag"]
    headers = headers_of(restorative, **{"If-Match": seen})

    async with over_http(restorative.running.app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:

        async def decide(number: int) -> httpx.Response:
            body = STEP | {"reason": f"Reason {number}"}
            return await http.post(f"/restorative/v1/referrals/{conference.id}/screen", json=body, headers=headers)

        answers = await asyncio.gather(*(decide(number) for number in range(50)))

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    (won,) = (answer for answer in answers if answer.is_success)
    assert (await read(restorative, conference)).json() == won.json()
    assert [step["step"] for step in won.json()["steps"]].count("screen") == 1


async def test_a_repeat_is_answered_while_the_conference_may_be_held_and_no_longer(restorative: Restorative) -> None:
    conference = await restorative.conference()
    headers = {"If-Match": (await read(restorative, conference)).headers["ETag"], "Idempotency-Key": "one"}
    first, again = [await screen(restorative, conference, **headers) for _ in range(2)]
    restorative.assistant_principal = restorative.facilitator
    await restorative.hear(restorative.excluded())

    refused = await screen(restorative, conference, **headers)

    assert (first.status_code, again.json(), again.headers["Idempotent-Replayed"]) == (200, first.json(), "true")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:trellis:problem:facilitator-named")
    assert len((await restorative.referral())["steps"]) == len(first.json()["steps"])
