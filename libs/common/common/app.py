"""``create_app``: the one start-up call that every service shares."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope
from starlette.types import Send as SendMessage

from common.access import check_declared
from common.audit.reading import audit_router
from common.audit.sealing import anchor, seal
from common.db import is_data_error, is_transient
from common.described import Described
from common.direct import flat
from common.errors import NotStorable, Overloaded, Unavailable
from common.headers import guarded, guarding
from common.inbox import Inbox
from common.kafka import consume, send_from
from common.limits import Limits
from common.logs import place_of
from common.operations import forget_old_events, measure, operations_router
from common.policy import AUDIT_ANCHORED
from common.problems import INTERNAL_ERROR, Problem, install, problem_of, response_of
from common.routing import EventRouter
from common.runtime import Runtime, end
from common.scope import access_policy
from common.security_log import log_more_refusals
from common.settings import Settings
from common.strict import Router
from common.telemetry import Telemetry

MAX_WAITING_REQUESTS = 512

__all__ = ["Loop", "Router", "create_app"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loop:
    """What a service does outside any request: one pass of ``function`` each ``every``."""

    function: Callable[[Runtime], Awaitable[None]]
    every: timedelta


_HOUSEKEEPING = (
    Loop(forget_old_events, every=timedelta(hours=1)),
    Loop(measure, every=timedelta(seconds=15)),
    Loop(seal, every=timedelta(seconds=1)),
    Loop(anchor, every=AUDIT_ANCHORED),
    Loop(log_more_refusals, every=timedelta(minutes=1)),
)


def create_app(name: str, router: APIRouter, events: EventRouter | None = None, loops: Sequence[Loop] = ()) -> FastAPI:
    """A service: its routes, its events, its loops, and what all services have in common.

    Raises:
        UndeclaredPermission: a route does not say who may call it.
        PolicyInvalid: the district's own access policy is not understood.
    """
    access_policy()
    events, telemetry = events or EventRouter(), Telemetry(name)
    app = Described(
        title=f"Trellis {name}",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"/{name}/openapi.json",
        telemetry=telemetry.http,
        redirect_slashes=False,
    )
    app.state.telemetry, app.state.limits, app.state.headers = telemetry, Limits(), []
    app.state.name, app.state.events, app.state.loops, app.state.runtime = name, events, (*loops, *_HOUSEKEEPING), None
    for each in (router, operations_router(name, events), audit_router(name)):
        app.router.routes.extend(flat(each))
    install(app)
    app.add_middleware(Edge)
    check_declared(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime or Runtime.start(app.state.name, Settings())
    app.state.runtime, app.state.inbox = runtime, Inbox(runtime, app.state.events, app.state.telemetry)
    app.state.telemetry.instrument(runtime.engine)
    app.state.headers = guarding(runtime.settings.public_url)
    tasks = [asyncio.create_task(each) for each in _background(runtime, app.state.inbox, app.state.loops)]
    try:
        yield
    finally:
        await end(tasks)
        await log_more_refusals(runtime)
        await runtime.close()
        app.state.telemetry.flush()


def _background(runtime: Runtime, inbox: Inbox, loops: Sequence[Loop]) -> list[Coroutine[Any, Any, None]]:
    background = [_repeat(runtime, loop) for loop in loops]
    if runtime.settings.kafka:
        background.append(send_from(runtime))
        if inbox.router.owners():
            background.append(consume(runtime, inbox))
    return background


async def _repeat(runtime: Runtime, loop: Loop) -> None:
    name = loop.function.__name__
    while True:
        try:
            await loop.function(runtime)
        except Exception as error:  # noqa: BLE001 (a pass that fails is logged and tried again)
            log.warning(
                "a loop failed", service=runtime.name, loop=name, error=type(error).__name__, where=place_of(error)
            )
        # Alive is who comes back, also with an error: a pass that hangs is what a restart can mend.
        runtime.beat(name, within=3 * loop.every.total_seconds() + 60)
        await asyncio.sleep(loop.every.total_seconds())


class Edge:
    """Answers 503 before the body is read when too many requests wait, and 500 without a word of the error's own.

    A path may end with a slash: nobody is sent elsewhere for it. That it refuses is logged once, until half of them are done.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.waiting, self.full = app, 0, False

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # A redirect would name an address made of the Host header, without what stands before our paths.
        if scope["path"].endswith("/") and scope["path"] != "/":
            scope["path"] = scope["path"][:-1]
        if self.waiting >= MAX_WAITING_REQUESTS:
            if not self.full:
                self.full = True
                log.warning("requests are refused: too many wait", count=self.waiting)
            await _guarded(response_of(problem_of(Overloaded())), scope, receive, send)
            return
        self.waiting += 1
        try:
            await _guarded(self.app, scope, receive, send)
        finally:
            self.waiting -= 1
            self.full = self.full and self.waiting > MAX_WAITING_REQUESTS // 2


async def _guarded(app: ASGIApp, scope: Scope, receive: Receive, send: SendMessage) -> None:
    started, usual = False, scope["app"].state.headers

    async def note(message: Message) -> None:
        nonlocal started
        if not started:
            started = True
            message["headers"] = guarded(message["headers"], usual)
        await send(message)

    try:
        await app(scope, receive, note)
    except ClientDisconnect:
        return  # nobody is there to be answered
    except Exception as error:  # noqa: BLE001 (its message may quote a person's data: only its place is logged)
        problem = _problem_of(error)
        if problem is INTERNAL_ERROR:
            log.error("a request failed", **_request(scope), error=type(error).__name__, where=place_of(error))  # noqa: TRY400 (a traceback may quote it too)
        else:
            log.warning("a request failed", **_request(scope), error=type(error).__name__, status=problem.status)
        if started:
            raise ConnectionError("the answer broke off") from None
        await response_of(problem)(scope, receive, note)


def _problem_of(error: Exception) -> Problem:
    if is_transient(error):
        return problem_of(Unavailable())
    if is_data_error(error):
        return problem_of(NotStorable())
    return INTERNAL_ERROR


def _request(scope: Scope) -> dict[str, str]:
    """Which request it was, by the route's template: a path may hold a student."""
    route = getattr(scope.get("route"), "path", "")
    named = {"service": scope["app"].state.name, "method": scope["method"], "route": str(route)}
    # A door that tells its clients an id of each answer sets it, so that they can be asked for it.
    return named | {"correlation_id": scope["correlation_id"]} if "correlation_id" in scope else named
