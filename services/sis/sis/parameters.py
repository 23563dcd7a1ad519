"""Names of query parameters at the Ed-Fi door, which are good in any case.

Source: the Ed-Fi ODS/API, where ASP.NET binds them so.
"""

from functools import cache
from urllib.parse import unquote_plus

from starlette.types import ASGIApp, Receive, Scope, Send

from sis.problems import DOORS
from sis.queries import NOT_FILTERS
from sis.resources import RESOURCES
from sis.resources.kinds import leaves


class InAnyCase:
    """Gives the parameters of a request at the door the names under which they are known."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["query_string"] and scope["path"].startswith(DOORS):
            scope["query_string"] = b"&".join(map(_known, scope["query_string"].split(b"&")))
        await self.app(scope, receive, send)


def _known(parameter: bytes) -> bytes:
    name, equals, value = parameter.partition(b"=")
    return _names().get(unquote_plus(name.decode("latin-1")).lower(), name) + equals + value


@cache
def _names() -> dict[str, bytes]:
    told = {path.rpartition(".")[2] for each in RESOURCES.values() for path, _ in leaves(each.told_shape)}
    older = {name for each in RESOURCES.values() for name in each.older}
    return {name.lower(): name.encode() for name in ("id", *told, *older, *NOT_FILTERS)}
