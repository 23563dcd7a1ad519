"""One process: one service or several under one address, with their health, and their events if there is no Kafka."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from common.errors import NotFound
from common.headers import guarded, guarding
from common.inbox import Inbox
from common.local import deliver
from common.problems import problem_of, response_of
from common.runtime import Runtime, end
from common.telemetry import measured, metrics_page


class Process:
    """An ASGI application that gives each request to the service its path begins with.

    ``/livez`` says whether the loops turn, ``/readyz`` whether every service has its database and its migrations,
    ``/metrics`` how they do.
    """

    def __init__(self, apps: Sequence[FastAPI]) -> None:
        self.apps = {app.state.name: app for app in apps}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path = scope["path"]
        app = self.apps.get(path.partition("/")[2].partition("/")[0])
        if app is None:
            answer = await self._own(path)
            answer.raw_headers = guarded(answer.raw_headers, guarding(""))
            await answer(scope, receive, send)
        else:
            await measured(app.state.name, app, scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start every service and, without Kafka, the delivery of their events to each other."""
        async with AsyncExitStack() as stack:
            for app in self.apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            tasks = [asyncio.create_task(deliver(runtime, self._inboxes())) for runtime in self._local()]
            gc.freeze()  # what lives as long as the process need not be looked at again
            gc.set_threshold(100_000)
            try:
                yield
            finally:
                await end(tasks)

    @property
    def runtimes(self) -> list[Runtime]:
        """The services at work here."""
        return [app.state.runtime for app in self.apps.values() if app.state.runtime]

    def _local(self) -> list[Runtime]:
        return [runtime for runtime in self.runtimes if not runtime.settings.kafka]

    def _inboxes(self) -> dict[str, Inbox]:
        return {name: app.state.inbox for name, app in self.apps.items()}

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    async def _own(self, path: str) -> Response:
        if path == "/livez":
            return _health({runtime.name: runtime.alive() for runtime in self.runtimes})
        if path == "/readyz":
            return _health({runtime.name: await runtime.ready() for runtime in self.runtimes})
        if path == "/metrics":
            return metrics_page()
        return response_of(problem_of(NotFound(what="page")))


def _health(services: dict[str, bool]) -> Response:
    return JSONResponse(services, 200 if services and all(services.values()) else 503)
