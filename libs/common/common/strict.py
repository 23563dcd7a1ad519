"""Requests read strictly: no body over the limit or without end, compressed or not, no JSON member twice, no unknown parameter."""

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from common import json as strict_json
from common.access import Handle, admitting
from common.audit.writing import audited
from common.errors import (
    BrokenEncoding,
    DomainError,
    Invalid,
    MalformedJson,
    Overloaded,
    TooLarge,
    TooSlow,
    UnknownEncoding,
)
from common.idempotency import happens_once, once
from common.limits import address_of
from common.paging import listing

BODY_SECONDS = 30
"""How long a body may take to arrive: a client that never ends it must not hold a place for ever."""
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""How zlib is told which wrapping to expect."""
_PIECE_BYTES = 64 * 1024
_OWN = re.compile("/[a-z]+/v1/")
"""Paths that we gave ourselves; Ed-Fi's clients read as they are used to."""
_MOST_FILES = 1000
"""In one body: a million empty ones would cost seconds to begin and unpack to nothing."""


class _Refused(HTTPException):
    # FastAPI passes on only this kind of exception while it reads a body.
    def __init__(self, error: DomainError) -> None:
        super().__init__(error.status)
        self.error = error


class _StrictRequest(Request):
    _until = 0.0
    _waiting: asyncio.Timeout | None = None
    _cut_for: DomainError | None = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it was before it was compressed, cut off where it grows over the limit."""
        limit, read = self.app.state.runtime.settings.body_limit_bytes, 0
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise _Refused(TooLarge(what="The body", limit=limit))
        with self._place():
            async for piece in self._pieces(limit):
                read += len(piece)
                if read > limit:
                    raise _Refused(TooLarge(what="The body", limit=limit))
                yield piece

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Of strangers at one address only so many send at once; who has a token has places for all."""
        if self.state.principal.role != "public":
            yield
            return
        with ExitStack() as held:
            try:
                held.enter_context(self.app.state.limits.stranger_sending(address_of(self), self._cut))
            except Overloaded as refused:
                raise _Refused(refused) from None
            yield

    def _cut(self, refused: Overloaded) -> None:
        """Read no further: others wait for this place."""
        self._cut_for, self._until = refused, 0.0
        if self._waiting and not self._waiting.expired():
            self._waiting.reschedule(self._until)

    def _pieces(self, limit: int) -> AsyncIterator[bytes]:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return self._arriving(limit)
        if encoding not in _WINDOWS:
            raise _Refused(UnknownEncoding())
        return _unpacked(self._arriving(limit), _WINDOWS[encoding])

    async def _arriving(self, limit: int) -> AsyncGenerator[bytes, None]:
        self._until, chunks, read = asyncio.get_running_loop().time() + BODY_SECONDS, super().stream(), 0
        while True:
            try:
                async with asyncio.timeout_at(self._until) as self._waiting:
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise _Refused(self._cut_for or TooSlow(seconds=BODY_SECONDS)) from None
            finally:
                self._waiting = None
            read += len(chunk)
            if read > limit:  # also of what unpacks to nothing there is only so much
                raise _Refused(TooLarge(what="The body", limit=limit))
            yield chunk
            if self._stream_consumed and not hasattr(self, "_body"):
                return  # most bodies come in one piece: what follows is two empty ones of Starlette's, each with a clock

    async def json(self) -> Any:
        try:
            return strict_json.parse(await self.body())
        except MalformedJson as error:
            raise _Refused(error) from None


async def _unpacked(chunks: AsyncIterator[bytes], window: int) -> AsyncGenerator[bytes, None]:
    """What ``chunks`` unpack to, in pieces that stay small however well they were packed."""
    unpacker, files = zlib.decompressobj(window), 0
    async for chunk in chunks:
        more = bool(chunk)
        while more:
            if chunk and (unpacker.eof or not files):  # gzip may come as several files, one after the other
                unpacker, files = zlib.decompressobj(window), files + 1
            if files > _MOST_FILES:
                raise _Refused(BrokenEncoding())
            piece = _unpack(unpacker, chunk)
            chunk = unpacker.unconsumed_tail or unpacker.unused_data
            more = bool(chunk) or len(piece) == _PIECE_BYTES
            if piece:
                yield piece
    if files and not unpacker.eof:
        raise _Refused(BrokenEncoding())


def _unpack(unpacker: "zlib._Decompress", chunk: bytes) -> bytes:
    try:
        return unpacker.decompress(chunk, _PIECE_BYTES)
    except zlib.error:
        raise _Refused(BrokenEncoding()) from None


class StrictRoute(APIRoute):
    """A route that reads its body strictly, and only of who may ask."""

    def get_route_handler(self) -> Handle:
        """The handler, given such a request; where the route declares it, what was answered before is answered again."""
        handle = super().get_route_handler()
        if happens_once(self.dependant):
            handle = once(handle, f"{sorted(self.methods or ())} {self.path_format}")
        return self.strictly(handle)

    def strictly(self, handle: Handle) -> Handle:
        """``handle``, for who may ask, given a request that reads its body strictly and, where it reads by a path of ours, with no other parameters."""
        own = "GET" in (self.methods or ()) and _OWN.match(self.path_format)
        handle = _listed(handle, self.path_format) if "cursor" in _parameters(self.dependant) else handle
        handle = _asked_plainly(handle, self.dependant) if own else handle
        handle = audited(handle, self.dependant, self.methods or (), self.path_format)
        return _strictly(admitting(handle, self.dependant))


def _listed(handle: Handle, route: str) -> Handle:
    async def listed(request: Request) -> Response:
        with listing(route):
            return await handle(request)

    return listed


def _asked_plainly(handle: Handle, dependant: Dependant) -> Handle:
    """``handle``, for no other parameters than it takes: a filter with a slip in its name would find everything."""
    known = {*_parameters(dependant)}

    async def checked(request: Request) -> Response:
        for other in request.query_params.keys() - known:
            if request.state.principal.role != "public":  # who follows a link may bring what mail programs add to it
                raise Invalid(field=other, rule="is not a known parameter")
        return await handle(request)

    return checked


def _parameters(dependant: Dependant) -> Iterator[str]:
    for each in dependant.query_params:
        model = each.field_info.annotation
        yield from model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else [each.alias]
    for other in dependant.dependencies:
        yield from _parameters(other)


def _strictly(handle: Handle) -> Handle:
    async def strict(request: Request) -> Response:
        try:
            return await handle(_StrictRequest(request.scope, request.receive))
        except _Refused as refused:
            raise refused.error from None

    return strict


def Router(service: str, **options: Any) -> APIRouter:  # noqa: N802 (used like the class it makes)
    """The router of one service: every path under ``/<service>``, bodies read strictly."""
    return APIRouter(prefix=f"/{service}", route_class=StrictRoute, **options)
