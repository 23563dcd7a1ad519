"""E-mail: the message, and handing it to a mail server so that we know whether it was accepted, refused or neither."""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Literal
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib
from aiosmtplib.protocol import PERIOD_REGEX

from notifications.texts import Message

CATCHER_KEYWORD = "x-trellis-mail-catcher"
"""What the local mail catcher announces in its EHLO answer."""
_START_INPUT, _COMPLETED, _FINAL, _CLOSING = 354, 250, 500, 421
_GOODBYE_SECONDS = 2
_UNFOLDED = SMTP.clone(max_line_length=998)  # a link that is folded is a link that some mail programs break


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over."""

    host: str
    port: int
    tls: bool = False
    user: str = ""
    password: str = ""

    @property
    def name(self) -> str:
        """Host and port: what a person switches sending on for."""
        return f"{self.host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether it runs on this machine."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


def mail_server(url: str) -> MailServer | None:
    """The server of ``smtp://[user:password@]host:port`` or ``smtps://…``; ``None`` if ``url`` is empty."""
    if not url:
        return None
    parts = urlsplit(url)
    tls = parts.scheme == "smtps"
    port = parts.port or (465 if tls else 25)
    return MailServer(parts.hostname or "", port, tls, unquote(parts.username or ""), unquote(parts.password or ""))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt.

    ``rejected`` is certain: the server never took the message. ``again``: the refusal may pass. ``reached``: there was a
    working server at all.
    """

    state: Literal["accepted", "rejected", "uncertain"]
    words: str
    again: bool = False
    reached: bool = True


def e_mail(
    message: Message, *, sender: str, recipient: str, message_id: str, stop_url: str, at: datetime
) -> EmailMessage:
    """The message as e-mail, with the one-click unsubscribe of RFC 8058."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, message.subject
    mail["Date"], mail["Message-ID"] = format_datetime(at), message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"] = f"<{stop_url}>", "List-Unsubscribe=One-Click"
    parts = [message.greeting, *message.paragraphs, f"{message.closing}\n{message.signature}"]
    parts += [message.line] if message.line else []
    mail.set_content("\n\n".join([*parts, f"{message.stop}\n{stop_url}"]) + "\n", cte="quoted-printable")
    mail["Content-Language"] = message.language  # after the content, which brings headers of its own
    return mail


def message_id(notice_id: UUID, sender: str) -> str:
    """The same for every attempt under one notice, so that a server's ledger can tell whether it has it."""
    return f"<{notice_id}@{sender.rpartition('@')[2]}>"


async def is_catcher(server: MailServer, seconds: float) -> bool:
    """Whether ``server`` is the mail catcher on this machine, by its own word."""
    if not server.local:
        return False
    client = _client(server, seconds)
    try:
        async with asyncio.timeout(seconds):
            await client.connect()
            await client.ehlo()
            return client.supports_extension(CATCHER_KEYWORD)
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        return False
    finally:
        client.close()


async def hand_over(mail: EmailMessage, server: MailServer, *, only_catcher: bool, seconds: float) -> Answer:
    """Hand one message to ``server``; never raises for what a server does.

    Until the content is sent nothing can have been accepted, so any failure is a rejection (RFC 5321, section 3.3). Once
    it is sent, only 250 is a clear answer: servers are known to take a message and then answer an error, to cut the
    connection or to say nothing, so everything else is uncertain.

    With ``only_catcher`` nothing is handed over unless this very connection is to the mail catcher. After ``seconds``
    nothing more is sent.
    """
    client, until = _client(server, seconds), time.monotonic() + seconds
    try:
        async with asyncio.timeout(seconds):
            refusal = await _prepare(client, server, mail, only_catcher)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        refusal = Answer("rejected", f"not reached: {type(error).__name__}", again=True, reached=False)
    try:
        # A process that was stopped meanwhile must not send: its lease may be over.
        if refusal is None and time.monotonic() >= until:
            refusal = Answer("rejected", "no time was left", again=True, reached=False)
        answer = refusal or await _content(client, mail, until)
        await _part(client)
        return answer
    finally:
        client.close()


async def _part(client: aiosmtplib.SMTP) -> None:
    """Say goodbye, as RFC 5321 asks; what was answered before stands whatever becomes of it."""
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        await client.quit(timeout=_GOODBYE_SECONDS)


def _client(server: MailServer, seconds: float) -> aiosmtplib.SMTP:
    # With a password the connection must be encrypted; without one it is as soon as the server offers it.
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.tls,
        start_tls=False if server.local or server.tls else (True if server.user else None),
        username=server.user or None,
        password=server.password or None,
        timeout=seconds,
        tls_context=None if server.local else ssl.create_default_context(),
    )


async def _prepare(
    client: aiosmtplib.SMTP, server: MailServer, mail: EmailMessage, only_catcher: bool
) -> Answer | None:
    """Everything up to the server's word that the content may come; an answer if it does not come to that."""
    await client.connect()
    await client.ehlo()
    if only_catcher and not (server.local and client.supports_extension(CATCHER_KEYWORD)):
        return Answer("rejected", "not the mail catcher", again=True, reached=False)
    await client.mail(
        mail["From"]
    )  # a refusal here is about us, not about the mailbox: the server does not work for us
    try:
        await client.rcpt(mail["To"])
    except aiosmtplib.SMTPResponseException as error:
        return _refused(error.code)
    code, _ = await client.execute_command(b"DATA")
    return None if code == _START_INPUT else _refused(code)


def _refused(code: int) -> Answer:
    # 421 means that the server itself closes: nothing about this recipient.
    return Answer("rejected", f"refused: {code}", again=code < _FINAL, reached=code != _CLOSING)


async def _content(client: aiosmtplib.SMTP, mail: EmailMessage, until: float) -> Answer:
    content = PERIOD_REGEX.sub(b"..", mail.as_bytes(policy=_UNFOLDED)) + b".\r\n"
    protocol = client.protocol
    if protocol is None or protocol.transport is None:
        return Answer("rejected", "not reached: the connection was cut before the content", again=True, reached=False)
    try:
        async with asyncio.timeout(until - time.monotonic()):
            protocol.write(content)
            code, _ = await protocol.read_response()
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        return Answer("uncertain", f"no clear answer: {type(error).__name__}", reached=False)
    return Answer("accepted", "accepted") if code == _COMPLETED else Answer("uncertain", f"after the content: {code}")
