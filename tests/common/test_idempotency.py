"""The same request sent again with its key: one effect, one answer."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa

from common.operations import forget_old_events
from common.sealed import Vault
from tests.harness import Running

NOTE = {"name": "Aurelia-Canary", "number": 1}


async def record(echo: Running, key: str | None, body: Any = NOTE, role: str = "district", **claims: Any) -> Any:
    headers = echo.headers(role, **claims) | ({"Idempotency-Key": key} if key else {})
    return await echo.http.post("/echo/v1/notes", json=body, headers=headers)


async def kept(echo: Running) -> list[Any]:
    async with echo.session() as session:
        return list((await session.execute(sa.text("SELECT id, sealed, given_at FROM answer"))).all())


async def test_the_same_request_is_answered_the_same_and_happens_once(echo: Running) -> None:
    key = str(uuid4())

    first, again = await record(echo, key), await record(echo, key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    same = ("content-type", "location", "etag")
    assert [first.headers.get(name) for name in same] == [again.headers.get(name) for name in same]
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert len(await echo.said()) == 1


async def test_another_body_under_the_same_key_is_422(echo: Running) -> None:
    key = str(uuid4())
    await record(echo, key)

    other = await record(echo, key, NOTE | {"number": 2})

    assert (other.status_code, other.json()["type"]) == (422, "urn:trellis:problem:key-used-otherwise")
    assert len(await echo.said()) == 1


async def test_without_a_key_each_request_happens(echo: Running) -> None:
    await record(echo, None)
    await record(echo, None)

    assert len(await echo.said()) == 2
    assert await kept(echo) == []


@pytest.mark.parametrize(("role", "claims"), [("principal", {}), ("district", {"staff": uuid4()})])
async def test_a_key_belongs_to_whoever_sent_it(echo: Running, role: str, claims: dict[str, Any]) -> None:
    await record(echo, "one")

    other = await record(echo, "one", NOTE | {"number": 2}, role=role, **claims)

    assert (other.status_code, "Idempotent-Replayed" in other.headers) == (201, False)


async def test_a_key_opens_nothing_to_who_may_not_ask(echo: Running) -> None:
    await record(echo, "one")

    nobody = await echo.http.post("/echo/v1/notes", json=NOTE, headers={"Idempotency-Key": "one"})

    assert nobody.status_code == 401
    assert (await record(echo, "one", role="counselor")).status_code == 403


async def test_what_was_refused_may_be_sent_again_under_its_key(echo: Running) -> None:
    refused = await record(echo, "one", NOTE | {"number": -1})
    taken = await record(echo, "one")

    assert (refused.status_code, taken.status_code) == (409, 201)


async def test_while_the_first_is_being_handled_others_are_told_when_to_come_again(echo: Running) -> None:
    async with echo.admin.begin() as connection:
        await connection.execute(sa.text("LOCK TABLE outbox IN SHARE MODE"))  # the first waits here
        first = asyncio.create_task(record(echo, "one"))
        await asyncio.sleep(0.3)
        early = await record(echo, "one")
    first_answer, late = await first, await record(echo, "one")

    assert (early.status_code, early.json()["type"]) == (409, "urn:trellis:problem:still-in-progress")
    assert int(early.headers["Retry-After"]) > 0
    assert (first_answer.status_code, late.status_code, late.content) == (201, 201, first_answer.content)
    assert len(await echo.said()) == 1


async def test_fifty_at_once_have_one_effect(echo: Running) -> None:
    answers = await asyncio.gather(*(record(echo, "one") for _ in range(50)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(await echo.said()) == 1


async def test_an_effect_whose_answer_cannot_be_kept_does_not_happen(
    echo: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> bytes:
        raise RuntimeError("a canary that must not be seen")

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "seal", broken)
        failed = await record(echo, "one")

    assert failed.status_code == 500
    assert await echo.said() == []
    assert (await record(echo, "one")).status_code == 201


async def test_what_is_kept_cannot_be_read_in_the_database(echo: Running) -> None:
    answered = await record(echo, "a-key-of-mine")

    ((identity, sealed, _),) = await kept(echo)

    assert answered.json()["id"].encode() not in sealed
    assert b"a-key-of-mine" not in identity + sealed


async def test_a_key_is_forgotten_after_a_day(echo: Running) -> None:
    await record(echo, "old")
    async with echo.session() as session:
        await session.execute(sa.text("UPDATE answer SET given_at = given_at - interval '24 hours 1 minute'"))
    await record(echo, "new")

    await forget_old_events(echo.runtime)

    assert len(await kept(echo)) == 1


@pytest.mark.parametrize("key", ["two words", "ü", "x" * 256])
async def test_a_malformed_key_is_422(echo: Running, key: str) -> None:
    headers = {"Idempotency-Key": key.encode(), "Authorization": echo.headers("district")["Authorization"].encode()}

    refused = await echo.http.post("/echo/v1/notes", json=NOTE, headers=headers)  # type: ignore[arg-type]  # bytes too

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
