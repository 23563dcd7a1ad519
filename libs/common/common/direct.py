"""Routes as one list, and those that ask for little called directly.

Each level of routers costs a request two rounds of matching, and what a route depends on is found out anew for every
request. Half of what a push of one row cost was that. Here the routes stand beside each other, those that take rows first,
and a route that depends only on the request, on text of its path, on headers that may be missing and on functions of the
request is called without a search, and without a place for what such functions might have to close.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from common.access import Handle
from common.strict import StrictRoute

_ELSEWHERE = (
    "query_params",
    "cookie_params",
    "body_params",
    "websocket_param_name",
    "http_connection_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
)


class _DirectRoute(StrictRoute):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if _asks_little(self.dependant):
            self.app = _answering(self.strictly(_called(self.dependant)))


def _answering(handle: Handle) -> ASGIApp:
    # What it raises is answered by the application, as is what any route raises.
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handle(Request(scope, receive, send))
        await response(scope, receive, send)

    return answer


def flat(router: APIRouter) -> list[BaseRoute]:
    """Every route of ``router`` and of all that it includes, each on its own: POST first, else in their order.

    A push asks once a row, and routes are tried one after the other.
    """
    return sorted(_each(router), key=lambda route: "POST" not in (getattr(route, "methods", None) or ()))


def _each(router: APIRouter) -> Iterator[BaseRoute]:
    given = [name for name in inspect.signature(APIRoute.__init__).parameters if name not in ("self", "form_limits")]
    for context in iter_route_contexts(router.routes):
        if isinstance(context.original_route, APIRoute):
            kind = _DirectRoute if isinstance(context.original_route, StrictRoute) else APIRoute
            yield kind(**{name: getattr(context, name) for name in given})
        else:
            yield context.original_route


def _asks_little(dependant: Dependant) -> bool:
    """Whether all that the route takes is the request, text of its path and headers, and what functions of the request give."""
    answer = inspect.signature(dependant.call).return_annotation if dependant.call else None
    return (
        isinstance(answer, type)
        and issubclass(answer, Response)
        and inspect.iscoroutinefunction(dependant.call)
        and not any(getattr(dependant, name) for name in _ELSEWHERE)
        and all(_is(str, one) for one in dependant.path_params)
        and all(_is(str | None, one) and one.field_info.default is None for one in dependant.header_params)
        and all(map(_is_function_of_the_request, dependant.dependencies))
    )


def _is(annotation: Any, parameter: Any) -> bool:
    return parameter.field_info.annotation == annotation and not parameter.field_info.metadata


def _is_function_of_the_request(dependant: Dependant) -> bool:
    call: Any = dependant.call
    asynchronous = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
    others = ("path_params", "header_params", "dependencies", *_ELSEWHERE)
    return bool(asynchronous and dependant.request_param_name and not any(getattr(dependant, name) for name in others))


def _called(dependant: Dependant) -> Handle:
    endpoint: Any = dependant.call
    path = [(one.name, one.alias) for one in dependant.path_params]
    headers = [(one.name, one.alias) for one in dependant.header_params]
    before: list[Any] = [(one.name, one.call, one.request_param_name) for one in dependant.dependencies]

    async def handle(request: Request) -> Response:
        values = {name: request.path_params[alias] for name, alias in path}
        for name, alias in headers:
            values[name] = request.headers.get(alias)
        if dependant.request_param_name:
            values[dependant.request_param_name] = request
        for name, function, wants in before:
            value = await function(**{wants: request})
            if name:
                values[name] = value
        response: Response = await endpoint(**values)
        return response

    return handle
