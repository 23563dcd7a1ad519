"""Requests read strictly: no body over the limit or without end, no JSON member twice."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute

from common import json as strict_json
from common.errors import DomainError, MalformedJson, TooLarge, TooSlow
from common.problems import COMMON_RESPONSES

BODY_SECONDS = 30
"""How long a body may take to arrive: a client that never ends it must not hold a place for ever."""


class _Refused(HTTPException):
    # FastAPI passes on only this kind of exception while it reads a body.
    def __init__(self, error: DomainError) -> None:
        super().__init__(error.status)
        self.error = error


class _StrictRequest(Request):
    async def stream(self) -> AsyncGenerator[bytes, None]:
        limit = self.app.state.runtime.settings.body_limit_bytes
        length, read = self.headers.get("content-length", ""), 0
        if length.isdecimal() and int(length) > limit:
            raise _Refused(TooLarge(what="The body", limit=limit))
        until, chunks = asyncio.get_running_loop().time() + BODY_SECONDS, super().stream()
        while True:
            try:
                async with asyncio.timeout_at(until):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise _Refused(TooSlow(seconds=BODY_SECONDS)) from None
            read += len(chunk)
            if read > limit:
                raise _Refused(TooLarge(what="The body", limit=limit))
            yield chunk

    async def json(self) -> Any:
        try:
            return strict_json.parse(await self.body())
        except MalformedJson as error:
            raise _Refused(error) from None


class _StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, given a request that reads its body strictly."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            try:
                return await handle(_StrictRequest(request.scope, request.receive))
            except _Refused as refused:
                raise refused.error from None

        return strict


def Router(service: str, **options: Any) -> APIRouter:  # noqa: N802 (used like the class it makes)
    """The router of one service: every path under ``/<service>``, bodies read strictly, errors documented."""
    return APIRouter(prefix=f"/{service}", route_class=_StrictRoute, responses=COMMON_RESPONSES, **options)
