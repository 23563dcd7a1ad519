"""Questions to sister services over HTTP, for what must be fresh. For routes and loops, never for handlers."""

import asyncio
from typing import Any

import httpx

from common.auth import service_token
from common.errors import SisterUnavailable
from common.keys import SigningKey
from common.settings import Settings

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_ATTEMPTS = 3
_SAFE = frozenset({"GET", "HEAD"})


class Clients:
    """HTTP to the other services, each call with a token of its own for one minute and one audience."""

    def __init__(self, caller: str, key: SigningKey, settings: Settings) -> None:
        self._caller, self._key, self._settings = caller, key, settings
        self._transports: dict[str, httpx.AsyncBaseTransport] = {}
        self._open: dict[str, httpx.AsyncClient] = {}

    def use(self, service: str, transport: httpx.AsyncBaseTransport) -> None:
        """From here on reach ``service`` through ``transport``, such as an application in the same process."""
        self._transports[service] = transport
        self._open.pop(service, None)

    async def request(
        self, service: str, method: str, path: str, *, repeatable: bool = False, **options: Any
    ) -> httpx.Response:
        """The answer of ``service``, whatever its status below 500. What is ``repeatable`` changes nothing, whatever its method.

        Raises:
            SisterUnavailable: no answer in time, or an answer that says it cannot answer now. Safe methods and what is
                repeatable were tried three times.
        """
        attempts = _ATTEMPTS if repeatable or method in _SAFE else 1
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(0.1 * 2**attempt)
            response = await self._once(service, method, path, options)
            if response is not None:
                return response
        raise SisterUnavailable(service=service)

    async def close(self) -> None:
        """Close every connection."""
        for client in self._open.values():
            await client.aclose()

    async def _once(self, service: str, method: str, path: str, options: dict[str, Any]) -> httpx.Response | None:
        token = service_token(self._key, caller=self._caller, callee=service)
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        try:
            response = await self._client(service).request(method, path, headers=headers, **options)
        except httpx.TransportError:
            return None
        return None if response.status_code >= 500 else response

    def _client(self, service: str) -> httpx.AsyncClient:
        if service not in self._open:
            base = self._settings.peers.get(service, self._settings.public_url)
            self._open[service] = httpx.AsyncClient(
                base_url=base, timeout=_TIMEOUT, transport=self._transports.get(service), trust_env=False
            )
        return self._open[service]
