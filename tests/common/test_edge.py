"""Limits, headers and slow clients: what every service does before its routes are asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import Request
from pydantic import ValidationError

from common import connections
from common.auth import Principal
from common.connections import Bounded, cut_late
from common.errors import Overloaded
from common.headers import guarding
from common.limits import Bucket, Limits, MachineTooFast, TooManyRequests, address_of
from common.origins import open_to
from common.policy import (
    HEAD_BYTES,
    HEAD_FIELDS,
    LINK,
    MACHINE,
    PERSON,
    STRANGER,
    STRANGERS_AT_WORK,
    STRANGERS_SENDING,
    STRANGERS_SENDING_IN_ALL,
)
from common.process import Process
from common.server import KEEP_ALIVE_SECONDS
from common.settings import Settings
from tests.harness import Running, buckets_not_refilling, over_http

SOMEBODY = Principal(role="counselor", subject=str(uuid4()))


class Watch:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_burst_then_its_rate_and_says_when_to_go_on() -> None:
    watch = Watch()
    limits = Limits(watch)
    for _ in range(PERSON.burst):
        limits.take(SOMEBODY, None)

    with pytest.raises(TooManyRequests) as refused:
        limits.take(SOMEBODY, None)
    assert refused.value.retry_after == 1

    watch.now += 1
    for _ in range(PERSON.per_second):
        limits.take(SOMEBODY, None)
    with pytest.raises(TooManyRequests):
        limits.take(SOMEBODY, None)


def test_each_principal_has_a_bucket_of_its_own() -> None:
    limits = Limits(Watch())
    for _ in range(PERSON.burst):
        limits.take(SOMEBODY, None)

    limits.take(Principal(role="counselor", subject=str(uuid4())), None)


@pytest.mark.parametrize("role", ["sis", "service"])
def test_a_machine_is_slowed_by_503_and_never_by_429(role: str) -> None:
    limits, machine = Limits(Watch()), Principal(role=role, subject="one")
    for _ in range(MACHINE.burst):
        limits.take(machine, None)

    with pytest.raises(MachineTooFast) as refused:
        limits.take(machine, None)
    assert (refused.value.status, bool(refused.value.retry_after)) == (503, True)


def test_who_has_no_token_is_bounded_by_address() -> None:
    limits, nobody = Limits(Watch()), Principal(role="public", subject="public")
    for _ in range(STRANGER.burst):
        limits.take(nobody, "192.0.2.1")

    limits.take(nobody, "192.0.2.2")
    with pytest.raises(TooManyRequests):
        limits.take(nobody, "192.0.2.1")


def test_a_link_has_a_bucket_of_its_own_wherever_it_is_opened() -> None:
    limits = Limits(Watch())
    for _ in range(LINK.burst):
        limits.take_link("a")

    limits.take_link("b")
    with pytest.raises(TooManyRequests):
        limits.take_link("a")


def test_however_many_ask_only_so_many_are_remembered_and_who_asks_on_is_among_them() -> None:
    limits = Limits(Watch())
    for _ in range(PERSON.burst):
        limits.take(SOMEBODY, None)

    for number in range(25_000):
        limits.take_link(str(number))
        if number % 5_000 == 0:
            with pytest.raises(TooManyRequests):
                limits.take(SOMEBODY, None)

    assert len(limits.buckets) == 10_000


def test_who_is_refused_without_end_is_new_only_once_until_they_pause() -> None:
    watch = Watch()
    limits = Limits(watch)
    for _ in range(PERSON.burst):
        limits.take(SOMEBODY, None)

    def refused() -> bool:
        with pytest.raises(TooManyRequests) as refusal:
            limits.take(SOMEBODY, None)
        return refusal.value.known

    assert [refused() for _ in range(3)] == [False, True, True]
    watch.now += 1
    for _ in range(PERSON.per_second):
        limits.take(SOMEBODY, None)
    assert refused()
    watch.now += 60
    for _ in range(PERSON.burst):
        limits.take(SOMEBODY, None)
    assert not refused()


def never(_: Overloaded) -> None:
    pytest.fail("nobody else waits for this place")


def test_from_one_address_only_so_many_strangers_send_at_once() -> None:
    limits = Limits(Watch())
    with ExitStack() as held:
        for _ in range(STRANGERS_SENDING):
            held.enter_context(limits.stranger_sending("192.0.2.0", never))
        with pytest.raises(Overloaded), limits.stranger_sending("192.0.2.0", never):
            pass
        held.enter_context(limits.stranger_sending("192.0.2.1", never))
    assert not limits.sending


def test_whose_body_has_been_arriving_longest_makes_room_for_the_next() -> None:
    limits, cut = Limits(Watch()), list[str]()

    def noted(address: str) -> Callable[[Overloaded], None]:
        return lambda _: cut.append(address)

    with ExitStack() as held:
        for place in range(STRANGERS_SENDING_IN_ALL + 2):
            held.enter_context(limits.stranger_sending(str(place), noted(str(place))))
        assert cut == ["0", "1"]
    assert not limits.sending
    assert not limits.cuts


def test_that_strangers_find_no_place_is_new_only_once_until_they_pause() -> None:
    watch = Watch()
    limits = Limits(watch)

    def refused(held: AbstractContextManager[None]) -> bool:
        with pytest.raises(Overloaded) as refusal, held:
            pass
        return refusal.value.known

    with ExitStack() as held:
        for _ in range(STRANGERS_SENDING):
            held.enter_context(limits.stranger_sending("192.0.2.0", never))
        for _ in range(STRANGERS_AT_WORK):
            held.enter_context(limits.stranger_at_work())
        for _ in range(2):
            assert [refused(limits.stranger_sending("192.0.2.0", never)) for _ in range(3)] == [False, True, True]
            assert [refused(limits.stranger_at_work()) for _ in range(3)] == [False, True, True]
            watch.now += 60


def test_whoever_has_a_network_of_ipv6_counts_as_one() -> None:
    def counted(host: str) -> str | None:
        return address_of(Request({"type": "http", "client": (host, 1)}))

    assert counted("2001:db8:1:2:3:4:5:6") == counted("2001:db8:1:2::7") != counted("2001:db8:1:3::7")
    assert counted("192.0.2.1") == counted("::ffff:192.0.2.1") == counted("::FFFF:c000:201") == "192.0.2.1"
    assert counted("::ffff:192.0.2.2") != counted("::ffff:192.0.2.1")


@pytest.fixture
def without_more(echo: Running) -> Any:
    """Whoever asks has used up what they may."""
    before, echo.app.state.limits = echo.app.state.limits, _Empty(lambda: 0.0)
    yield
    echo.app.state.limits = before


class _Empty(Limits):
    def take(self, who: Principal, address: str | None, *, machine: bool = False) -> None:
        for _ in range(MACHINE.burst + 1):
            super().take(who, address, machine=machine)


async def test_too_many_requests_are_told_with_retry_after(echo: Running, without_more: None) -> None:
    headers = echo.headers("principal", staff=uuid4())

    refused = await echo.http.get("/echo/v1/who", headers=headers)

    assert (refused.status_code, refused.json()["type"]) == (429, "urn:trellis:problem:too-many-requests")
    assert int(refused.headers["Retry-After"]) > 0


async def test_who_may_not_for_their_role_is_counted_as_who_may(echo: Running) -> None:
    who = uuid4()
    with buckets_not_refilling(echo):
        refused = await echo.http.get("/echo/v1/who", headers=echo.headers("counselor", staff=who))
        counted = echo.app.state.limits.buckets

    assert refused.status_code == 403
    assert counted == {("counselor", str(who)): Bucket(full_at=1 / PERSON.per_second)}


async def test_bad_tokens_are_refused_so_often_an_address_and_take_nothing_from_good_ones_there(echo: Running) -> None:
    bad = {"Authorization": "Bearer made.up.token"}
    with buckets_not_refilling(echo):
        for _ in range(STRANGER.burst - 1):
            echo.app.state.limits.take_unknown("127.0.0.1")
        told = [await echo.http.get("/echo/v1/who", headers=each) for each in (bad, bad, {})]
        good = await echo.http.get("/echo/v1/who", headers=echo.headers("principal", staff=uuid4()))
        stranger = await echo.http.get("/echo/v1/open/1")

    assert [each.status_code for each in told] == [401, 429, 429]
    assert int(told[1].headers["Retry-After"]) > 0
    assert (good.status_code, stranger.status_code) == (200, 200)


async def test_strangers_take_no_place_of_who_has_a_token(echo: Running) -> None:
    with buckets_not_refilling(echo):
        assert (await echo.http.get("/echo/v1/open/1")).status_code == 200
        assert echo.app.state.limits.strangers == 0
        echo.app.state.limits.strangers = STRANGERS_AT_WORK
        refused = await echo.http.get("/echo/v1/open/1")
        known = await echo.http.get("/echo/v1/who", headers=echo.headers("principal"))
    assert (refused.status_code, bool(refused.headers["Retry-After"]), known.status_code) == (503, True, 200)


async def test_of_who_may_not_ask_no_body_is_read(echo: Running) -> None:
    read: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    for headers, status in (({}, 401), (echo.headers("counselor"), 403)):
        headers = {"Content-Type": "application/json"} | headers
        assert (await echo.http.post("/echo/v1/notes", content=body(), headers=headers)).status_code == status
    assert read == []


async def test_a_request_with_an_idempotency_key_counts_once(echo: Running) -> None:
    who = uuid4()
    headers = echo.headers("principal", staff=who) | {"Idempotency-Key": str(uuid4())}
    with buckets_not_refilling(echo):
        done = await echo.http.post("/echo/v1/notes", json={"name": "A", "number": 1}, headers=headers)
        counted = echo.app.state.limits.buckets

    assert done.status_code == 201
    assert counted == {("principal", str(who)): Bucket(full_at=1 / PERSON.per_second)}


async def test_every_answer_is_guarded_errors_too(echo: Running) -> None:
    answers = [
        await echo.http.get("/echo/v1/open/1"),
        await echo.http.get("/echo/v1/broken"),
        await echo.http.get("/echo/v1/who"),
        await echo.http.get("/echo/v1/nothing"),
    ]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert (answer.headers["Referrer-Policy"], answer.headers["Cache-Control"]) == ("no-referrer", "no-store")
        assert "Server" not in answer.headers


def test_browsers_are_told_to_come_by_https_where_the_public_address_is_https() -> None:
    named = [name for name, _ in guarding("https://trellis.example.org")]
    assert b"strict-transport-security" in named
    assert b"strict-transport-security" not in [name for name, _ in guarding("http://127.0.0.1:8080")]


@pytest.mark.parametrize(
    ("origins", "allowed"), [([], None), (["https://console.example.org"], "https://console.example.org")]
)
async def test_no_other_origin_may_call_unless_it_is_named(
    echo: Running, origins: list[str], allowed: str | None
) -> None:
    app = open_to(Process([echo.app]), origins)
    asked = {"Origin": "https://console.example.org", "Access-Control-Request-Method": "GET"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as http:
        answer = await http.options("/echo/v1/who", headers=asked)
        stranger = await http.get("/echo/v1/open/1", headers={"Origin": "https://elsewhere.example.org"})
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["*", "https://*.example.org", "http://example.org", "https://example.org/path"])
def test_an_origin_that_is_none_is_refused_at_start(origin: str) -> None:
    with pytest.raises(ValidationError):
        Settings(allowed_origins=[origin])


@pytest_asyncio.fixture(loop_scope="session")
async def port(echo: Running) -> AsyncIterator[int]:
    """Where the service answers over real connections."""
    async with watched(Process([echo.app])) as port:
        yield port


@asynccontextmanager
async def watched(application: Any) -> AsyncIterator[int]:
    """The port at which ``application`` answers over connections that are looked at ten times a second."""
    open_connections: set[Any] = set()

    class Watched(Bounded):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            super().connection_made(transport)
            open_connections.add(self)

    async def look() -> None:
        while True:
            cut_late(open_connections, asyncio.get_running_loop().time())
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    async with over_http(application, http=Watched) as address:
        yield int(address.rpartition(":")[2])
    looking.cancel()


async def answered(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """All that the service answers until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


HEAD = b"GET /echo/v1/open/1 HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(HEAD_FIELDS)),
        HEAD + b"X: " + b"y" * HEAD_BYTES + b"\r\n",
        b"GET /echo/v1/open/1?" + b"y" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n",
    ],
    ids=["many", "large", "long address"],
)
async def test_a_head_that_is_too_large_is_431(port: int, head: bytes) -> None:
    assert (await answered(port, head + b"\r\n")).startswith(b"HTTP/1.1 431 ")


async def test_a_header_without_end_is_431(port: int) -> None:
    pieces = [HEAD + b"X: ", *[b"y" * 20_000] * 2]
    assert (await answered(port, *pieces, pause=0.1)).startswith(b"HTTP/1.1 431 ")


async def test_a_head_within_the_limits_is_answered(port: int) -> None:
    most = b"".join(b"X-%d: y\r\n" % number for number in range(HEAD_FIELDS - 2))
    assert (await answered(port, HEAD + most + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_trickles_its_headers_is_cut(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        connections, "HEAD_SECONDS", 1
    )  # long after the last piece: one that comes later is answered by a reset
    assert (await answered(port, *[b"G", b"E", b"T", b" "], pause=0.05)).startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_never_speaks_is_cut(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.3)
    assert await answered(port) == b""


async def test_a_body_that_goes_on_after_the_answer_is_cut(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MESSAGE_SECONDS", 0.5)
    assert (await answered(port, HEAD + b"Content-Length: 1000\r\n\r\n{")).startswith(b"HTTP/1.1 200 ")


async def test_a_connection_that_rests_between_requests_stays(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SILENT_SECONDS", "HEAD_SECONDS", "MESSAGE_SECONDS"):
        monkeypatch.setattr(connections, name, 0.4)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(HEAD + b"\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"}"), 5)).startswith(b"HTTP/1.1 200 ")
        await asyncio.sleep(1)
    writer.close()
    assert KEEP_ALIVE_SECONDS > 75


class Pouring:
    """Answers more than a connection holds, and notes how that ended."""

    def __init__(self) -> None:
        self.poured, self.ended = 0, asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while self.poured < POUR_BYTES:
                await send({"type": "http.response.body", "body": bytes(PIECE_BYTES), "more_body": True})
                self.poured += PIECE_BYTES
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.ended.set()


POUR_BYTES, PIECE_BYTES = 16_000_000, 64_000


@pytest_asyncio.fixture(loop_scope="session")
async def pouring(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Pouring, asyncio.StreamReader]]:
    """An answer that pours, and who has asked for it and reads a little at a time."""
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    application = Pouring()
    async with watched(application) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(HEAD + b"\r\n")
        yield application, reader
        writer.close()


async def test_a_client_that_does_not_read_its_answer_is_cut(pouring: tuple[Pouring, asyncio.StreamReader]) -> None:
    application, reader = pouring

    await asyncio.wait_for(application.ended.wait(), 10)

    assert len(await reader.read()) < POUR_BYTES


async def test_a_client_that_reads_slowly_and_goes_on_gets_all(
    pouring: tuple[Pouring, asyncio.StreamReader],
) -> None:
    application, reader = pouring
    read = 0
    while piece := await reader.read(PIECE_BYTES):
        read += len(piece)
        await asyncio.sleep(0.001)

    assert application.poured == POUR_BYTES <= read
