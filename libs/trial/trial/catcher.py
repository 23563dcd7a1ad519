"""The mail catcher: a real SMTP server on this machine that keeps what it gets and passes nothing on."""

import os
import socket
import time
from asyncio import AbstractServer
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

KEYWORD = "X-TRELLIS-MAIL-CATCHER"
"""Announced in the EHLO answer: only a server that says this gets mail without a person having switched sending on."""

_OK = "250 Message kept"
_FULL = "452 Requested action not taken: insufficient system storage"


class Catcher:
    """Keeps each message as a file of its own, readable by nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, count()

    async def handle_EHLO(  # noqa: N802 (the server library's name)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Greet, and say what this is."""
        session.host_name = hostname
        return [*responses[:-1], f"250-{KEYWORD}", responses[-1]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (as above)
        """Keep the message, or say that it was not taken."""
        try:
            self._keep(envelope.original_content or b"")
        except OSError:
            return _FULL
        return _OK

    def _keep(self, content: bytes) -> None:
        path = self._folder / f"{time.time_ns():020}-{next(self._numbers):06}.eml"
        part = path.with_suffix(".part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        part.rename(path)


class _Bound(Controller):
    """A server on a socket that listens already, so that no port is chosen twice."""

    def __init__(self, handler: Catcher, listener: socket.socket) -> None:
        hostname, port = listener.getsockname()
        super().__init__(handler, hostname=hostname, port=port, ident="Trellis mail catcher")
        self._listener = listener

    def _create_server(self) -> Awaitable[AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)


@contextmanager
def caught_in(folder: Path, port: int = 0) -> Iterator[int]:
    """A mail catcher at work that keeps messages in ``folder``; gives the port it listens on, on this machine only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    listener = socket.create_server(("127.0.0.1", port))
    controller = _Bound(Catcher(folder), listener)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
