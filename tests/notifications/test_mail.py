"""Handing a message to a mail server, and knowing what became of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import SimpleNamespace
from uuid import UUID

import pytest

from notifications import mail
from notifications.mail import MailServer as Server
from notifications.mail import e_mail, hand_over, is_catcher, mail_server, message_id
from notifications.rules.language import wording
from notifications.texts import TEXTS
from tests.notifications.made_up import MailServer, serving


def letter_to(recipient: str = "alma@example.org", home: str | None = "es") -> EmailMessage:
    words = wording(home, approved=TEXTS.languages.keys(), lines=TEXTS.interpreter.keys())
    return e_mail(
        TEXTS.message("tier", words, student="Zoë", school="Mesa School"),
        sender="Mesa <school@example.org>",
        recipient=recipient,
        message_id=message_id(UUID(int=7), "Mesa <school@example.org>"),
        stop_url="https://trellis.example.org/notifications/v1/unsubscribe/token",
        at=datetime(2026, 11, 20, 15, 0, tzinfo=UTC),
    )


def test_an_e_mail_offers_to_stop_with_one_click() -> None:
    read = message_from_bytes(letter_to().as_bytes(policy=mail._UNFOLDED), policy=policy.default)
    assert read["List-Unsubscribe"] == "<https://trellis.example.org/notifications/v1/unsubscribe/token>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert read["Content-Language"] == "es"
    assert read["Message-ID"].startswith(f"<{UUID(int=7)}@example.org")
    assert "Zoë" in read.get_content()
    assert "unsubscribe/token" in read.get_content()


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("", None),
        ("smtp://127.0.0.1:2525", Server("127.0.0.1", 2525)),
        ("smtp://mail.example.org", Server("mail.example.org", 25)),
        (
            "smtps://us%40er:p%3Aw@mail.example.org",  # pragma: allowlist secret
            Server("mail.example.org", 465, True, "us@er", "p:w"),
        ),
    ],
)
def test_a_server_is_read_from_its_address(url: str, server: Server | None) -> None:
    assert mail_server(url) == server


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("mail.org", False),
    ],
)
def test_only_a_loopback_address_is_local(host: str, local: bool) -> None:
    assert Server(host, 25).local is local


async def test_the_catcher_is_known_by_its_own_word_and_only_on_this_machine() -> None:
    server = MailServer()
    async with serving(server) as url:
        address = mail_server(url)
        assert address is not None
        assert await is_catcher(address, 3)
        server.catcher = False
        assert not await is_catcher(address, 3)
    assert not await is_catcher(address, 3)
    assert not await is_catcher(Server("192.0.2.1", 25), 3)


async def test_what_is_meant_for_the_catcher_goes_to_no_other_server() -> None:
    server = MailServer()
    server.catcher = False
    async with serving(server) as url:
        answer = await _send(url, only_catcher=True)
    assert (answer.state, answer.reached, server.accepted) == ("rejected", False, [])


@pytest.mark.parametrize("line", [".", "..", "a line\n.\nanother"])
async def test_a_line_of_dots_does_not_end_a_message(line: str) -> None:
    server, letter = MailServer(), letter_to()
    letter.set_content(f"before\n{line}\nafter\n", cte="8bit")
    async with serving(server) as url:
        answer = await _send(url, letter)
    assert answer.state == "accepted"
    assert f"before\r\n{line}\r\nafter".replace("line\n.\n", "line\r\n.\r\n") in server.messages()[0]


@pytest.mark.parametrize(
    ("refuse", "state", "again", "reached"),
    [
        ({}, "accepted", False, True),
        ({"MAIL": "451 later"}, "rejected", True, False),
        ({"MAIL": "530 who are you"}, "rejected", True, False),
        ({"RCPT": "550 nobody"}, "rejected", False, True),
        ({"RCPT": "452 full"}, "rejected", True, True),
        ({"RCPT": "421 closing"}, "rejected", True, False),
        ({"END": "451 later"}, "uncertain", False, True),
        ({"END": "554 no"}, "uncertain", False, True),
    ],
)
async def test_only_what_is_certain_is_called_so(
    refuse: dict[str, str], state: str, again: bool, reached: bool
) -> None:
    server = MailServer()
    server.refuse = refuse
    async with serving(server) as url:
        answer = await _send(url)
    assert (answer.state, answer.again, answer.reached) == (state, again, reached)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def talk(*answers: str, then: str = "close") -> Talk:
    """A server that gives these answers, one a command, and then closes, hangs or takes the content and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                writer.write(answer.encode() + b"\r\n")
                await writer.drain()
                await reader.readline()
            if then == "content":
                await reader.readuntil(b"\r\n.\r\n")
            if then == "hang":
                await asyncio.sleep(30)
        finally:
            writer.close()

    return handle


GREETED = ("220 hello", "250 hello", "250 sender", "250 recipient")


@pytest.mark.parametrize(
    ("behaviour", "state", "reached"),
    [
        (talk(), "rejected", False),
        (talk("554 go away"), "rejected", False),
        (talk("nonsense"), "rejected", False),
        (talk(*GREETED[:2]), "rejected", False),
        (talk(*GREETED), "rejected", False),
        (talk(*GREETED, "451 not now"), "rejected", True),
        (talk(*GREETED, then="hang"), "rejected", False),
        (talk(*GREETED, "354 go on", then="content"), "uncertain", False),
        (talk(*GREETED, "354 go on", then="hang"), "uncertain", False),
        (talk(*GREETED, "354 go on"), "uncertain", False),
    ],
)
async def test_a_cut_or_silence_is_a_rejection_only_before_the_content(
    behaviour: Talk, state: str, reached: bool
) -> None:
    server = await asyncio.start_server(behaviour, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        answer = await _send(f"smtp://127.0.0.1:{port}", seconds=1)
    finally:
        server.close()
    assert (answer.state, answer.reached) == (state, reached)


async def test_a_refused_connection_is_a_rejection() -> None:
    answer = await _send("smtp://127.0.0.1:9")
    assert (answer.state, answer.again, answer.reached) == ("rejected", True, False)


async def test_a_process_that_was_stopped_too_long_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    server, times = MailServer(), iter([0.0])
    async with serving(server) as url:
        monkeypatch.setattr(mail, "time", SimpleNamespace(monotonic=lambda: next(times, 100.0)))
        answer = await _send(url)
    assert (answer.state, server.accepted) == ("rejected", [])


async def _send(
    url: str, letter: EmailMessage | None = None, *, only_catcher: bool = False, seconds: float = 5
) -> mail.Answer:
    server = mail_server(url)
    assert server is not None
    return await hand_over(letter or letter_to(), server, only_catcher=only_catcher, seconds=seconds)
