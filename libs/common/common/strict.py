"""Requests read strictly: no body over the limit, no JSON member twice."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute

from common import json as strict_json
from common.errors import DomainError, MalformedJson, TooLarge
from common.problems import COMMON_RESPONSES


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
        async for chunk in super().stream():
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
