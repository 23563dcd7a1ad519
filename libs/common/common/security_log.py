"""Who was let in and who was refused, as lines of the log: by id and route, without a token, a name or a student.

Source: OWASP ASVS 5.0, 16.3.1 to 16.3.3.
"""

import hashlib
from functools import lru_cache

import structlog
from fastapi import Request

from common.auth import Principal
from common.errors import DomainError, Overloaded
from common.limits import TooManyRequests

_REFUSALS = frozenset({401, 403, 404})
"""404 too: it is how a student is refused whom somebody does not see, and many of them are somebody who tries ids."""
_DIGITS = 16

log = structlog.get_logger(__name__)


def log_let_in(who: Principal, token: str, service: str) -> None:
    """Say once a token, in this process, whom it let in. A person's requests with it are not logged one by one."""
    said = _said(hashlib.sha256(token.encode()).digest(), service)
    if not said:
        said.append(True)
        log.info("a token was accepted", service=service, **_named(who))


def log_refusal(request: Request, error: DomainError) -> None:
    """Say that a request was refused, to whom and why, if it was for want of a right, for asking too often or for want of a place.

    The latter two are said once, until who asked has paused: no flood of requests becomes one of lines.
    """
    if error.known if isinstance(error, TooManyRequests | Overloaded) else error.status not in _REFUSALS:
        return
    # The template of the route: its path may hold a student or a link.
    route = str(getattr(request.scope.get("route"), "path", ""))
    known = {"correlation_id": request.scope["correlation_id"]} if "correlation_id" in request.scope else {}
    log.warning(
        "a request was refused",
        service=route.strip("/").partition("/")[0],
        method=request.method,
        route=route,
        status=error.status,
        error=error.kind(),
        reason=error.detail,
        **known,
        **_whom(request),
    )


def _whom(request: Request) -> dict[str, str]:
    who, signed = (getattr(request.state, each, None) for each in ("asking", "signed"))
    if who:
        return _named(who)
    if not signed:
        return {}
    # With the service's own key: a plain digest of a name or an address is found with a class list.
    digest = request.app.state.runtime.vault.digest(f"sub {signed.claims.get('sub')}").hex()
    return {"subject": f"hmac:{digest[:_DIGITS]}"}


def _named(who: Principal) -> dict[str, str]:
    return {"role": who.role, "subject": who.known_as}


@lru_cache(maxsize=10_000)
def _said(digest: bytes, service: str) -> list[bool]:
    """Whether it was said that this token was accepted: a list that is empty until then."""
    return []
