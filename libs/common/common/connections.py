"""Connections that hold no more than they may, and end when a client is too slow: what uvicorn leaves open.

Uvicorn bounds neither the headers nor the time they take, and after an early answer a body may go on for ever; an answer that
nobody reads holds its route for ever. Nothing is timed per request: each connection notes until when it must have come on, and
the server looks once a second.
"""

import asyncio
from http import HTTPStatus
from itertools import chain
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from common.policy import ANSWER_BYTES, ANSWER_SECONDS, HEAD_BYTES, HEAD_FIELDS, HEAD_SECONDS, MESSAGE_SECONDS

SILENT_SECONDS = 90
"""How long a new connection may say nothing, as long as one between two requests."""


class _TooLarge(Exception):
    """The request line and headers are more than a request may have."""


class Bounded(HttpToolsProtocol):
    """An HTTP connection whose client must send small heads, in time, and take what it asked for."""

    until: float | None = None
    _in_head = _too_large = False
    _head_bytes = 0
    _untaken: tuple[int, float] | None = None
    """How many bytes of answers waited when we last looked for progress, and until when there must be some."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self.until = self.loop.time() + SILENT_SECONDS

    def data_received(self, data: bytes) -> None:
        """Take in what came, and refuse a head that grows without end."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self.until = self.loop.time() + HEAD_SECONDS

    def on_headers_complete(self) -> None:
        """Its head is there; the body may follow."""
        self._in_head = False
        self.until = self.loop.time() + MESSAGE_SECONDS
        if len(self.headers) > HEAD_FIELDS or sum(map(len, chain(*self.headers))) + len(self.url) > HEAD_BYTES:
            self._too_large = True
            raise _TooLarge
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of the request is there: from now on it is for us to be quick."""
        self.until = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or has a head that is too large."""
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._too_large else HTTPStatus.BAD_REQUEST)

    def cut_if_late(self, now: float) -> None:
        """End the connection if its client should have come on by now."""
        if self._is_stuck(now):
            self.transport.abort()  # to close it would mean to wait for the client
            return
        if self.until is None or now < self.until or self.transport.is_closing():
            return
        if self._in_head:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def resume_writing(self) -> None:
        """The client has taken almost all that waited."""
        super().resume_writing()
        self._untaken = None

    def _is_stuck(self, now: float) -> bool:
        """Whether too little was taken for too long of what waits to be sent."""
        waiting = self.transport.get_write_buffer_size()
        if not waiting:
            self._untaken = None
        elif self._untaken is None or (now >= self._untaken[1] and waiting <= self._untaken[0] - ANSWER_BYTES):
            self._untaken = waiting, now + ANSWER_SECONDS
        return self._untaken is not None and now >= self._untaken[1]

    def _refuse(self, status: HTTPStatus) -> None:
        # Before there is a request there is no application that could answer.
        line = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(line.encode())
        self.transport.close()


def cut_late(connections: Any, now: float) -> None:
    """End every connection whose client is too slow."""
    for connection in tuple(connections):
        if isinstance(connection, Bounded):
            connection.cut_if_late(now)
