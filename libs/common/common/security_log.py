"""Who was let in and who was refused, as lines of the log: by id and route, without a token, a name or a student.

Source: OWASP ASVS 5.0, 16.3.1 to 16.3.3.
"""

import hashlib
from collections import Counter
from functools import lru_cache

import structlog
from fastapi import Request

from common.auth import Principal
from common.errors import DomainError, Overloaded
from common.limits import TooManyRequests, address_of
from common.policy import REFUSALS_A_MINUTE
from common.runtime import Runtime

_REFUSALS = frozenset({401, 403, 404})
"""404 too: it is how a student is refused whom somebody does not see, and many of them are somebody who tries ids."""
_DIGITS = 16
_MOST_COUNTED = 10_000

log = structlog.get_logger(__name__)


def log_let_in(who: Principal, token: str, service: str) -> None:
    """Say once a token, in this process, whom it let in. A person's requests with it are not logged one by one."""
    said = _said(hashlib.sha256(token.encode()).digest(), service)
    if not said:
        said.append(True)
        log.info("a token was accepted", service=service, **_named(who))


def log_refusal(request: Request, error: DomainError) -> None:
    """Say that a request was refused, to whom and why, if it was for want of a right, for asking too often or for want of a place.

    The latter two are said once, until who asked has paused, and all others so often a minute of whoever asks: no flood of
    requests becomes one of lines, in which the rest would go under.
    """
    if error.known if isinstance(error, TooManyRequests | Overloaded) else error.status not in _REFUSALS:
        return
    whom = _whom(request)
    if not _said_one_by_one(request, whom):
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
        **whom,
    )


async def log_more_refusals(runtime: Runtime) -> None:
    """Say of whom more was refused in this minute than was said one by one, and how much."""
    refused, runtime.refused = runtime.refused, Counter()
    for (_, whom), count in refused.items():
        if count > REFUSALS_A_MINUTE:
            log.warning(
                "more requests were refused", service=runtime.name, count=count - REFUSALS_A_MINUTE, **dict(whom)
            )


def _said_one_by_one(request: Request, whom: dict[str, str]) -> bool:
    refused = request.app.state.runtime.refused
    key = None if whom else address_of(request), tuple(whom.items())
    if key not in refused and len(refused) >= _MOST_COUNTED:
        key = None, ()  # so many addresses at once are one flood
    refused[key] += 1
    return bool(refused[key] <= REFUSALS_A_MINUTE)


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
    return {"role": who.role, "subject": who.subject}


@lru_cache(maxsize=10_000)
def _said(digest: bytes, service: str) -> list[bool]:
    """Whether it was said that this token was accepted: a list that is empty until then."""
    return []
