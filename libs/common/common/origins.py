"""Which web clients of other origins a browser lets speak to us: none, unless a deployment names them."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

_METHODS = ("GET", "POST", "PUT", "DELETE")
_ASKED = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match")
_ANSWERED = ("ETag", "Location", "Retry-After", "Idempotent-Replayed")


def open_to(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """``app``, which browsers let just these origins call. Cookies are never part of it: tokens travel in a header."""
    if not origins:
        return app
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=_METHODS, allow_headers=_ASKED, expose_headers=_ANSWERED, max_age=600
    )
