"""OAuth clients for tests, bound or not, and what they ask with their tokens."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from common.auth import door_token
from sis.clients.credentials import add_client, new_secret
from tests.sis.conftest import EDFI, Sis


@dataclass
class Bound:
    """A client of the door with a token that was given before."""

    sis: Sis
    id: str
    secret: str

    @property
    def token(self) -> str:
        key = self.sis.running.runtime.keys.door
        assert key
        return door_token(key, client=self.id, lifetime_seconds=900)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = self.headers | options.pop("headers", {})
        return await self.sis.running.http.request(method, path, headers=headers, **options)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.call("GET", f"{EDFI}/{path}", params=query)

    async def post(self, resource: str, document: Any) -> httpx.Response:
        return await self.call("POST", f"{EDFI}/{resource}", json=document)

    async def keys(self, resource: str, leaf: str) -> list[str]:
        """What a list shows it, by one member of the natural key."""
        return sorted(_leaf(row, leaf) for row in (await self.get(resource)).json())

    async def bulk(self, resource: str, rows: Iterable[Any], *, deletes: bool = False) -> list[int]:
        body = "\n".join(map(json.dumps, rows))
        answer = await self.call("POST", f"/sis/v1/bulk/{resource}{'/deletes' * deletes}", content=body)
        assert answer.status_code == 200, answer.text
        return [json.loads(line)["status"] for line in answer.text.splitlines()]


async def made(
    sis: Sis, name: str = "Exporter", *, resources: Sequence[str] | None = None, schools: Sequence[str] | None = None
) -> Bound:
    secret = new_secret()
    async with sis.running.session() as session:
        client = await add_client(session, name, secret, role="sis", by="a test", resources=resources, schools=schools)
    return Bound(sis, str(client), secret)


def _leaf(row: Any, leaf: str) -> str:
    found = row.get(leaf) or next(one[leaf] for one in row.values() if isinstance(one, dict) and leaf in one)
    return str(found)
