"""``trellis clients``: made, listed, rotated and revoked on the database that running processes use."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from typer.testing import CliRunner

from common.embedded import Cluster
from sis.clients import admission
from sis.clients.command import app
from sis.clients.register import revoke
from sis.policy import CLIENTS
from tests.processes import free_port, trellis
from tests.sis.clients import Bound, made
from tests.sis.conftest import EDFI, Sis, school

GRANT = {"grant_type": "client_credentials"}


@pytest_asyncio.fixture(loop_scope="session")
async def client(sis: Sis) -> Bound:
    return await made(sis)


class Operator:
    """Runs ``trellis clients`` on the database of the test."""

    def __init__(self, cluster: Cluster) -> None:
        self.settings = {
            "TRELLIS_DATABASE_URL": cluster.application_url("sis"),
            "TRELLIS_PUBLIC_URL": "http://testserver",
        }

    async def run(self, *arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=self.settings)

    async def process(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(trellis, "clients", *arguments, **self.settings)

    async def json(self, *arguments: str) -> dict[str, Any]:
        done = await self.run(*arguments, "--json")
        assert done.exit_code == 0, done.stderr
        assert done.stdout.count("\n") == 1
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    async def refused(self, *arguments: str) -> str:
        done = await self.run(*arguments)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        said: str = done.stderr
        return said


@pytest.fixture
def operator(cluster: Cluster) -> Operator:
    return Operator(cluster)


async def grants(client: Bound, secret: str) -> bool:
    answer = await client.sis.running.http.post("/sis/oauth/token", data=GRANT, auth=(client.id, secret))
    return answer.status_code == 200


# --- Revocation -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def process(cluster: Cluster, keys: Path, log: Path) -> AsyncIterator[str]:
    """Another process of sis on the same database: its address."""
    port = free_port()
    settings = {
        "TRELLIS_DATABASE_URL": cluster.application_url("sis"),
        "TRELLIS_KEYS": str(keys / "sis"),
        "TRELLIS_TIME_ZONE": "America/Denver",
        "TRELLIS_PUBLIC_URL": "http://testserver",
    }
    running = _started(settings, port, log)
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                try:
                    await http.get(f"http://127.0.0.1:{port}/sis/")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        await asyncio.to_thread(running.wait, 20)


def _started(settings: dict[str, str], port: int, log: Path) -> "subprocess.Popen[bytes]":
    program = [sys.executable, "-m", "uvicorn", "sis.app:app", "--port", str(port)]
    with log.open("w") as said:
        return subprocess.Popen(program, env=os.environ | settings, stdout=said, stderr=said)


async def test_who_is_revoked_is_refused_at_once_in_every_process(
    client: Bound, cluster: Cluster, operator: Operator, tmp_path: Path
):
    keys, headers = client.sis.running.keys, client.headers
    async with (
        process(cluster, keys, tmp_path / "one.log") as one,
        process(cluster, keys, tmp_path / "two.log") as two,
        httpx.AsyncClient(trust_env=False, headers=headers) as http,
    ):
        pushing = [asyncio.create_task(_push_until_refused(http, each)) for each in (one, two)]
        await asyncio.sleep(2)
        said = await operator.json("revoke", "Exporter", "--yes")
        returned = time.monotonic()
        for base in (one, two):
            for method, path in (
                ("POST", f"{EDFI}/schools"),
                ("GET", f"{EDFI}/schools"),
                ("POST", "/sis/v1/bulk/schools"),
                ("GET", "/sis/v1/summary"),
                ("GET", "/sis/oauth/token_info"),
                ("GET", "/sis/changeQueries/v1/availableChangeVersions"),
            ):
                answer = await http.request(method, f"{base}{path}", content=b"{}")
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path
        for pushed, last_began in await asyncio.gather(*pushing):
            assert pushed > 0
            assert last_began < returned
    assert said["revoked_by"]
    assert client.secret not in (tmp_path / "one.log").read_text() + (tmp_path / "two.log").read_text()
    assert not await grants(client, client.secret)


async def _push_until_refused(http: httpx.AsyncClient, base: str) -> tuple[int, float]:
    """How many pushes were accepted, and when the last of them began."""
    pushed, accepted = 0, 0.0
    while True:
        began = time.monotonic()
        answer = await http.post(f"{base}{EDFI}/schools", json=school(pushed % 5 + 1))
        if answer.status_code == 401:
            return pushed, accepted
        assert answer.status_code in (200, 201)
        pushed, accepted = pushed + 1, began


async def test_no_request_asks_the_database_who_the_client_is(client: Bound, statements: Any):
    await client.post("schools", school())
    with statements() as executed:
        began = time.monotonic()
        for _ in range(50):
            assert (await client.post("schools", school())).status_code == 200
    asked = sum("FROM sis_client WHERE revoked_at IS NULL" in each for each in executed)
    assert asked <= (time.monotonic() - began) / admission.TRUSTED_SECONDS + 1


async def test_a_client_made_a_moment_ago_is_let_in(client: Bound):
    assert (await client.get("schools")).status_code == 200
    assert (await (await made(client.sis, "Another")).get("schools")).status_code == 200


async def test_many_who_come_at_once_ask_once(client: Bound, statements: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(admission, "_registers", {})
    with statements() as executed:
        answers = await asyncio.gather(*(client.get("schools") for _ in range(30)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum("FROM sis_client WHERE revoked_at IS NULL" in each for each in executed) == 1


async def test_whoever_revokes_is_asked_first_and_is_told_what_it_does(client: Bound, operator: Operator):
    assert "Nobody is here to confirm that: say --yes" in await operator.refused("revoke", "Exporter")
    assert (await client.get("schools")).status_code == 200
    done = await operator.run("revoke", client.id, "--yes")
    assert done.exit_code == 0
    assert "was revoked on" in done.stdout
    assert "What it pushed stays" in done.stdout
    again = await operator.json("revoke", client.id)
    (stored,) = await client.sis.rows("SELECT revoked_at FROM sis_client")
    assert datetime.fromisoformat(again["revoked_at"]) == stored[0]


# --- Rotation ---------------------------------------------------------------------------------------------------------


async def test_after_a_rotation_both_secrets_are_good_then_the_new_one(client: Bound, operator: Operator):
    said = await operator.json("rotate", "Exporter", "--overlap", "24")
    until = datetime.fromisoformat(said["earlier_until"])
    assert abs(until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=5)
    assert await grants(client, client.secret)
    assert await grants(client, said["secret"])
    assert "two secrets already" in await operator.refused("rotate", "Exporter")
    await _end_earlier(client)
    assert not await grants(client, client.secret)
    assert await grants(client, said["secret"])
    third = await operator.json("rotate", client.id)
    assert await grants(client, said["secret"])
    assert await grants(client, third["secret"])


async def test_a_secret_that_leaked_ends_now(client: Bound, operator: Operator):
    second = await operator.json("rotate", "Exporter")
    third = await operator.run("rotate", "Exporter", "--now", "--json")
    assert not await grants(client, client.secret)
    assert not await grants(client, second["secret"])
    assert await grants(client, json.loads(third.stdout)["secret"])


async def test_two_rotations_at_once_leave_two_secrets(client: Bound, operator: Operator):
    both = await asyncio.gather(operator.process("rotate", "Exporter"), operator.process("rotate", "Exporter"))
    assert sorted(one.returncode for one in both) == [0, 1]
    (good,) = await client.sis.rows(
        "SELECT count(*) FROM sis_client_secret WHERE until IS NULL OR until > clock_timestamp()"
    )
    assert good[0] == 2


async def test_every_secret_is_kept_as_argon2id_only(client: Bound, operator: Operator):
    secrets = [client.secret, (await operator.json("rotate", "Exporter"))["secret"]]
    digests = [row[0] for row in await client.sis.rows("SELECT digest FROM sis_client_secret")]
    assert [digest.split("$")[1] for digest in digests] == ["argon2id"] * 2
    assert not any(secret in digest for secret in secrets for digest in digests)


async def _end_earlier(client: Bound) -> None:
    async with client.sis.running.admin.begin() as connection:
        await connection.execute(
            sa.text("UPDATE sis_client_secret SET until = now() - interval '1 second' WHERE until IS NOT NULL")
        )


# --- The list ---------------------------------------------------------------------------------------------------------


async def test_the_list_tells_what_each_client_may_do_and_its_history(sis: Sis, operator: Operator):
    bounds = ("--resource", "parents", "--resource", "descriptors", "--school", "255901001")
    first = await operator.json("create", "Narrow", *bounds)
    assert (first["resources"], first["schools"]) == (["contacts", "descriptors"], ["255901001"])
    narrow = Bound(sis, first["id"], first["secret"])
    assert await grants(narrow, first["secret"])
    second = await operator.json("rotate", "Narrow", "--overlap", "1")
    await operator.json("create", "Wide")
    async with sis.running.session() as session:
        await revoke(session, (await sis.rows("SELECT id FROM sis_client WHERE name = 'Wide'"))[0][0], by="somebody")

    items = (await operator.json("list"))["items"]
    told = (await operator.run("list")).stdout

    one, other = items
    assert (one["name"], one["id"], one["role"]) == ("Narrow", first["id"], "sis")
    assert (one["resources"], one["schools"]) == (["contacts", "descriptors"], ["255901001"])
    assert one["last_token_at"] == one["secrets"][0]["last_token_at"] is not None
    assert [(bool(each["until"]), each["good"]) for each in one["secrets"]] == [(True, True), (False, True)]
    assert all(each["made_at"] and each["made_by"] for each in one["secrets"])
    assert (other["resources"], other["schools"], other["revoked_by"]) == (None, None, "somebody")
    for part in ("Narrow\n", first["id"], "contacts, descriptors; schools 255901001", "good until", "every school"):
        assert part in told
    assert "by somebody" in told
    for secret in (first["secret"], second["secret"]):
        assert secret not in told + json.dumps(items)


async def test_what_an_operator_can_mend_is_one_sentence(client: Bound, operator: Operator):
    for command in (("rotate", "Nobody"), ("revoke", "Nobody", "--yes")):
        assert "There is no client of that name or key" in await operator.refused(*command)
    await operator.run("revoke", "Exporter", "--yes")
    assert "make a new client" in await operator.refused("rotate", "Exporter")
    too_long = await operator.run("rotate", "Exporter", "--overlap", str(CLIENTS.overlap_most_hours + 1))
    assert too_long.exit_code == 2
