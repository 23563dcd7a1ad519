"""The HTTP doors as the loader meets them: a token for each role, patience with cuts and overload."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import httpx

from common.auth import staff_token, unverified
from common.errors import Unauthenticated
from common.keys import DOOR, STAFF, SigningKey

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_UNHEARD_PATIENCE, _QUIET_SECONDS = 10.0, 2.0
_BUSY = frozenset({429, 502, 503, 504})


class Stop(Exception):
    """Nothing more can be pushed. The message is one sentence that says what to do."""


class NotPermitted(Exception):
    """The token may not push this part: by its role, or for want of a permission."""


class Refused(Exception):
    """One request was refused; the message is the reason."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            problem = response.json()
        except ValueError:
            problem = {}
        self.status, self.problem = response.status_code, problem if isinstance(problem, dict) else {}
        super().__init__(reason_of(self.problem) or f"{response.status_code} {response.reason_phrase}".strip())

    @property
    def kind(self) -> str:
        """The problem's type without its prefix, such as ``step-out-of-order``."""
        return str(self.problem.get("type", "")).rpartition(":")[2]


def reason_of(problem: Mapping[str, Any]) -> str:
    """A problem document, ours or in Ed-Fi's words, in one line: the fields and rules, else the detail."""
    by_path = problem.get("validationErrors") or {}
    errors = problem.get("errors") or ()
    said = [
        *(f"{path} {rule}" for path, rules in by_path.items() for rule in rules),
        *(error if isinstance(error, str) else f"{error['field']} {error['rule']}" for error in errors),
    ]
    return "; ".join(said) or str(problem.get("detail", ""))


@dataclass(frozen=True, slots=True)
class As:
    """In which role a request is made, for whom, and with which permissions besides."""

    role: str = "sis"
    schools: tuple[str, ...] = ()
    staff: UUID | None = None
    permissions: tuple[str, ...] = ()

    def covers(self, other: "As") -> bool:
        """Whether the role and permissions of ``other`` are among these."""
        return self.role == other.role and set(other.permissions) <= set(self.permissions)


class Tokens(Protocol):
    """Where tokens come from."""

    def token(self, who: As) -> str:
        """A token with which to ask as ``who``."""


class MintedTokens:
    """Tokens signed with the staff key of embedded data, made anew each hour."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._made: dict[As, tuple[float, str]] = {}

    def token(self, who: As) -> str:
        """A token for exactly this role, these schools and these permissions."""
        at, token = self._made.get(who, (0.0, ""))
        if not token or time.monotonic() - at > 3600:
            token = staff_token(
                self._key, role=who.role, schools=who.schools, staff=who.staff, permissions=who.permissions
            )
            self._made[who] = time.monotonic(), token
        return token


class TokenFromFile:
    """One token for everything, read again each time, so that whoever issues it may renew it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self, who: As) -> str:
        """The token in the file.

        Raises:
            Stop: the file cannot be read.
        """
        try:
            return self._path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise Stop(f"{self._path} cannot be read: --token-file takes a file that holds one token.") from None

    def says(self) -> As | None:
        """The role and permissions that the token says it has; ``None`` if only the services can tell its role.

        Raises:
            Stop: the file cannot be read, or holds no token.
        """
        try:
            claims = unverified(self.token(As())).claims
        except Unauthenticated:
            raise Stop(f"{self._path} holds no token: --token-file takes a file that holds one token.") from None
        if claims.get("iss") not in (
            STAFF,
            DOOR,
        ):  # the district's provider names groups, of which Trellis knows the role
            return None
        permissions = claims.get("permissions")
        return As(str(claims.get("role")), permissions=tuple(permissions) if isinstance(permissions, list) else ())


def say_nothing(sentence: str) -> None:
    """For those whom nobody watches."""


class Door:
    """Sends requests; waits and repeats when the connection is cut or the answer is *not now*. Every push may be repeated.

    An address that never answered is given up after 10 seconds: more likely nothing listens there than it restarts.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        tokens: Tokens,
        *,
        patience: float = 60.0,
        say: Callable[[str], None] = say_nothing,
    ) -> None:
        self._http, self._tokens, self._patience, self._say = http, tokens, patience, say
        self._heard, self._served_at, self._said = False, 0.0, False

    async def send(self, method: str, path: str, who: As = As(), **options: Any) -> httpx.Response:
        """The answer, if it is a good one.

        Raises:
            NotPermitted: 403.
            Refused: another answer that is not a success.
            Stop: no answer at all, however often, or the token is not accepted.
        """
        pause, began = _FIRST_PAUSE, time.monotonic()
        while True:
            response = await self._once(method, path, who, options)
            if response is not None:
                self._heard = True
                if response.status_code not in _BUSY:
                    self._served_at, self._said = time.monotonic(), False
                    return _checked(response)
            if time.monotonic() - began > self._patience_now():
                raise Stop(
                    f"Trellis does not answer at {self._http.base_url}: is `trellis up` running, and is --url right?"
                )
            self._say_that_we_wait(time.monotonic() + pause - max(began, self._served_at))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _patience_now(self) -> float:
        return self._patience if self._heard else min(self._patience, _UNHEARD_PATIENCE)

    def _say_that_we_wait(self, quiet_seconds: float) -> None:
        if not self._said and quiet_seconds > _QUIET_SECONDS:
            self._said = True
            self._say(f"Waiting for Trellis at {self._http.base_url} …")

    async def _once(self, method: str, path: str, who: As, options: Mapping[str, Any]) -> httpx.Response | None:
        headers = {"Authorization": f"Bearer {self._tokens.token(who)}", **options.get("headers", {})}
        try:
            return await self._http.request(method, path, **{**options, "headers": headers})
        except httpx.UnsupportedProtocol:
            raise
        except httpx.TransportError:
            return None


def _checked(response: httpx.Response) -> httpx.Response:
    if response.status_code == 401:
        raise Stop("The token is not accepted there: is it of this deployment, and has it expired?")
    if response.status_code == 403:
        raise NotPermitted
    if not response.is_success:
        raise Refused(response)
    return response


def jsonl(lines: Sequence[bytes]) -> dict[str, Any]:
    """What a request with JSON lines needs."""
    return {"content": b"\n".join(lines) + b"\n", "headers": {"Content-Type": "application/jsonl"}}
