"""OAuth client credentials: who gets a token, what it is good for, and what a flood of wrong secrets may cost."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from common.auth import door_token, principal_of, verified
from common.embedded import Cluster
from common.errors import Unauthenticated
from common.keys import read_keys
from common.limits import Bucket
from common.policy import STRANGERS_AT_WORK, STRANGERS_SENDING, STRANGERS_SENDING_IN_ALL
from sis.clients.credentials import _THREADS, add_client, new_secret
from sis.policy import CLIENTS
from sis.rules.oauth import Credentials, TokenRefused, credentials_of, fields_of
from tests.harness import buckets_not_refilling, over_http
from tests.processes import free_port, trellis, up
from tests.sis.conftest import EDFI, Sis, absence, school

TOKEN, INFO = "/sis/oauth/token", "/sis/oauth/token_info"
GRANT = {"grant_type": "client_credentials"}


@dataclass
class Client:
    """A client of the door, and what it asks."""

    sis: Sis
    id: str
    secret: str

    @property
    def auth(self) -> httpx.BasicAuth:
        return httpx.BasicAuth(self.id, self.secret)

    async def ask(self, path: str = TOKEN, **options: Any) -> httpx.Response:
        return await self.sis.running.http.post(path, **options)

    async def token(self) -> str:
        answer = await self.ask(data=GRANT, auth=self.auth)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {await self.token()}"}


@pytest_asyncio.fixture(loop_scope="session")
async def client(sis: Sis) -> Client:
    secret = new_secret()
    async with sis.running.session() as session:
        identity = await add_client(session, "Exporter", secret, role="sis", by="a test")
    return Client(sis, str(identity), secret)


def assert_refused(answer: httpx.Response, error: str = "invalid_client") -> None:
    assert answer.json()["error"] == error
    assert answer.headers["Cache-Control"] == "no-store"
    if error == "invalid_client":
        assert (answer.status_code, answer.json()) == (401, {"error": error})
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    else:
        assert answer.status_code == 400


# --- Who gets a token -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [TOKEN, "/sis/2027/oauth/token"])
async def test_a_client_gets_a_token_by_basic_or_in_a_form_or_in_json(client: Client, path: str):
    inside = {"client_id": client.id, "client_secret": client.secret}
    answers = [
        await client.ask(path, data=GRANT, auth=client.auth),
        await client.ask(path, data=GRANT | inside),
        await client.ask(path, json=GRANT | inside),
        await client.ask(path, json=GRANT, auth=client.auth),
        await client.ask(path, data=GRANT | inside, auth=client.auth),
        await client.ask(path, json={"Grant_type": "client_credentials", "Client_id": client.id, "Client_secret": client.secret}),
        await client.ask(path, content=json.dumps(GRANT | inside), headers={"Content-Type": "text/plain"}),
    ]  # fmt: skip
    for answer in answers:
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert {name: told[name] for name in told if name != "access_token"} == {
            "token_type": "bearer",
            "expires_in": 1800,
        }
        assert answer.headers["Cache-Control"] == "no-store"
        who = await client.sis.running.http.get(INFO, headers={"Authorization": f"bearer {told['access_token']}"})
        assert who.json()["client_id"] == client.id


async def test_who_asks_for_a_token_too_often_is_slowed_by_503_and_never_by_429(client: Client):
    with buckets_not_refilling(client.sis.running):
        client.sis.running.app.state.limits.buckets["127.0.0.1"] = Bucket(full_at=10**9)
        slowed = [
            await client.ask(TOKEN, data=GRANT, auth=client.auth),
            *[await client.sis.running.http.get(path) for path in ("/sis/", "/sis/metadata/data/v3/dependencies")],
        ]

    assert [(each.status_code, bool(each.headers["Retry-After"])) for each in slowed] == [(503, True)] * 3


async def test_who_trickles_bodies_from_one_address_keeps_no_client_elsewhere_from_a_token(client: Client):
    begun = f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ngrant_type=".encode()
    with buckets_not_refilling(client.sis.running):
        async with over_http(client.sis.running.app) as address, AsyncExitStack() as held:
            trickling = []
            for _ in range(STRANGERS_AT_WORK):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
                held.callback(writer.close)
                writer.write(begun)
                trickling.append(reader.read(len("HTTP/1.1 503")))
            answers = asyncio.as_completed(trickling, timeout=20)
            refused = {await next(answers) for _ in range(STRANGERS_AT_WORK - STRANGERS_SENDING)}
            elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
            http = await held.enter_async_context(httpx.AsyncClient(transport=elsewhere, base_url=address))
            given = await http.post(TOKEN, data=GRANT, auth=client.auth)

    assert (refused, given.status_code) == ({b"HTTP/1.1 503"}, 200)


async def test_who_trickles_bodies_from_many_addresses_keeps_no_client_from_a_token(client: Client):
    begun = f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ngrant_type=".encode()
    with buckets_not_refilling(client.sis.running):
        async with over_http(client.sis.running.app) as address, AsyncExitStack() as held:
            cut = []
            for place in range(STRANGERS_SENDING_IN_ALL + STRANGERS_AT_WORK):
                elsewhere = (f"127.0.1.{place // STRANGERS_SENDING}", 0)
                port = int(address.rpartition(":")[2])
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=elsewhere)
                held.callback(writer.close)
                writer.write(begun)
                cut.append(reader.read(len("HTTP/1.1 503")))
            answers = asyncio.as_completed(cut, timeout=20)
            refused = {await next(answers) for _ in range(STRANGERS_AT_WORK)}
            async with httpx.AsyncClient(base_url=address) as http:
                given = await http.post(TOKEN, data=GRANT, auth=client.auth)

    assert (refused, given.status_code) == ({b"HTTP/1.1 503"}, 200)


async def test_a_client_pushes_with_its_token(client: Client):
    pushed = await client.sis.running.http.post(f"{EDFI}/schools", json=school(), headers=await client.bearer())
    assert pushed.status_code == 201


async def test_a_wrong_secret_an_unknown_client_and_a_revoked_one_are_refused_alike(client: Client):
    wrong = httpx.BasicAuth(client.id, new_secret())
    unknown = httpx.BasicAuth(str(uuid4()), client.secret)
    no_id_of_ours = httpx.BasicAuth("populatedTemplate", client.secret)
    for auth in (wrong, unknown, no_id_of_ours):
        assert_refused(await client.ask(data=GRANT, auth=auth))
    assert_refused(await client.ask(data=GRANT | {"client_id": client.id, "client_secret": "no"}))
    async with client.sis.running.admin.begin() as connection:
        await connection.exec_driver_sql("UPDATE sis_client SET revoked_at = now()")
    assert_refused(await client.ask(data=GRANT, auth=client.auth))


async def test_a_client_of_another_role_gets_no_token_for_the_door(client: Client):
    async with client.sis.running.admin.begin() as connection:
        await connection.exec_driver_sql("UPDATE sis_client SET role = 'reports'")
    assert_refused(await client.ask(data=GRANT, auth=client.auth))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "invalid_request"),
        (b"grant_type=", "invalid_request"),
        (b"grant_type=password", "unsupported_grant_type"),
        (b"grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        (b"grant_type=client_credentials", "invalid_client"),
        (b"grant_type=client_credentials&client_id=x", "invalid_client"),
        (b"grant_type=client_credentials&client_id=%00&client_secret=%FF", "invalid_client"),
        (b'{"grant_type": "client_credentials"', "invalid_request"),
        (b'{"grant_type": ["client_credentials"]}', "invalid_request"),
        (b'{"grant_type": "client_credentials", "client_id": "x", "client_secret": "\\ud800"}', "invalid_request"),
        (b"\xff\xfe", "invalid_request"),
        (b"[]", "invalid_request"),
        (b"a=" + b"x" * 20_000, "invalid_request"),
    ],
    ids=lambda value: value[:60].decode(errors="replace") if isinstance(value, bytes) else "",
)
async def test_a_malformed_request_is_refused_in_the_words_of_rfc_6749(client: Client, body: bytes, error: str):
    assert_refused(await client.ask(content=body), error)


@pytest.mark.parametrize("header", ["Basic", "Basic ???", "Basic eA==", "Basic /w==", "Bearer x", "Basic Og=="])
async def test_a_header_without_credentials_is_an_unknown_client(client: Client, header: str):
    assert_refused(await client.ask(data=GRANT, headers={"Authorization": header}))


async def test_two_different_credentials_in_one_request_are_refused(client: Client):
    other = {"client_id": client.id, "client_secret": "another"}
    assert_refused(await client.ask(data=GRANT | other, auth=client.auth), "invalid_request")


async def test_only_digests_of_secrets_are_stored(client: Client):
    ((digest, by),) = await client.sis.rows("SELECT digest, made_by FROM sis_client_secret")
    assert digest.split("$")[1:4] == ["argon2id", "v=19", "m=19456,t=2,p=1"]
    assert by == "a test"


# --- What a token is good for -----------------------------------------------------------------------------------------


async def test_a_door_token_means_nothing_at_another_service(client: Client):
    token, keys = await client.token(), client.sis.running.keys
    with pytest.raises(Unauthenticated):
        principal_of(verified(token, read_keys(keys / "mtss").trusted), service="mtss")


async def test_a_token_of_the_doors_key_for_another_role_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch):
    key = client.sis.running.runtime.keys.door
    assert key
    monkeypatch.setattr("common.auth.DOOR_ROLE", "district")
    forged = door_token(key, client=client.id, lifetime_seconds=60)
    monkeypatch.undo()
    for path in (f"{EDFI}/students", "/sis/v1/summary"):
        answer = await client.sis.running.http.get(path, headers={"Authorization": f"Bearer {forged}"})
        assert answer.status_code == 401


async def test_a_clients_token_does_not_open_what_the_district_reads(client: Client):
    answer = await client.sis.running.http.get("/sis/v1/summary", headers=await client.bearer())
    assert answer.status_code == 403


class Renewing(httpx.Auth):
    """As a SIS does it: a token until it is refused, then a new one."""

    def __init__(self, client: Client) -> None:
        self.client, self.token, self.renewed = client, "", 0

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = f"Bearer {self.token}"
        answer = yield request
        if answer.status_code == 401:
            self.token, self.renewed = await self.client.token(), self.renewed + 1
            request.headers["Authorization"] = f"Bearer {self.token}"
            yield request


async def test_a_token_that_expires_in_the_middle_of_a_push_is_renewed(client: Client, monkeypatch: pytest.MonkeyPatch):
    await client.sis.roster()
    auth, began, hours = Renewing(client), time.time(), 0.0
    monkeypatch.setattr("common.auth.time.time", lambda: began + hours * 3600)
    statuses = []
    for day in range(1, 21):
        hours = day / 10  # two hours in all: four tokens
        answer = await client.sis.running.http.post(
            f"{EDFI}/studentSchoolAttendanceEvents", json=absence(f"2026-09-{day:02}"), auth=auth
        )
        statuses.append(answer.status_code)
    assert statuses == [201] * 20
    assert auth.renewed == 4
    key = client.sis.running.runtime.keys.door
    assert key is not None
    expired = door_token(key, client=client.id, lifetime_seconds=-60)
    answer = await client.sis.running.http.get(f"{EDFI}/students", headers={"Authorization": f"Bearer {expired}"})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


# --- What a token says of itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [INFO, "/sis/2027/oauth/token_info"])
async def test_a_token_says_what_it_may_do_in_ed_fis_shape(client: Client, path: str):
    bearer = await client.bearer()
    token = {"token": bearer["Authorization"].removeprefix("Bearer ")}
    read = await client.sis.running.http.get(path, headers=bearer)
    told = read.json()
    assert {name: told[name] for name in told if name != "resources"} == {
        "active": True,
        "client_id": client.id,
        "namespace_prefixes": ["uri://"],
        "education_organizations": [],
        "assigned_profiles": [],
        "claim_set": {"name": "sis"},
        "services": [],
    }
    assert {"resource": "/ed-fi/students", "operations": ["Create", "Read", "Update", "Delete"]} in told["resources"]
    for body in ({"data": token}, {"json": token}, {"json": {"tOkEn": token["token"]}}):
        assert (await client.ask(path, headers=bearer, **body)).json() == told


async def test_of_another_token_nothing_is_said_but_that_it_is_not_active(client: Client):
    bearer, door = await client.bearer(), client.sis.running.runtime.keys.door
    assert door
    others = door_token(door, client=str(uuid4()), lifetime_seconds=60)
    expired = door_token(door, client=client.id, lifetime_seconds=-60)
    for token in (others, expired, "x", client.sis.running.headers("sis")["Authorization"].removeprefix("Bearer ")):
        assert (await client.ask(INFO, data={"token": token}, headers=bearer)).json() == {"active": False}
    assert_refused(await client.ask(INFO, data={}, headers=bearer), "invalid_request")
    assert (await client.ask(INFO, data={"token": others})).status_code == 401


async def test_a_staff_token_of_the_sis_is_described_too(client: Client):
    for headers in (client.sis.running.headers("sis"), client.sis.running.headers("sis", staff=uuid4())):
        told = (await client.sis.running.http.get(INFO, headers=headers)).json()
        assert told["active"] is True
    refused = await client.sis.running.http.get(INFO, headers=client.sis.running.headers("district"))
    assert refused.status_code == 403


# --- What a flood may cost --------------------------------------------------------------------------------------------


async def test_a_flood_of_wrong_secrets_is_told_to_come_later_and_stops_nobody_who_is_known(client: Client):
    token = await client.bearer()

    async def wrong(number: int) -> httpx.Response:
        identity = client.id if number % 2 else str(uuid4())
        return await client.ask(data=GRANT, auth=httpx.BasicAuth(identity, f"wrong {number}"))

    flood = [asyncio.create_task(wrong(number)) for number in range(200)]
    await asyncio.sleep(0.01)
    renewed = await client.ask(data=GRANT, auth=client.auth)
    pushed = await client.sis.running.http.post(f"{EDFI}/schools", json=school(), headers=token)
    assert not all(each.done() for each in flood)
    assert (renewed.status_code, pushed.status_code) == (200, 201)
    answers = await asyncio.gather(*flood)
    assert {answer.status_code for answer in answers} == {401, 503}
    assert sum(answer.status_code == 401 for answer in answers) >= CLIENTS.checks_at_once + CLIENTS.checks_waiting
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 503)
    assert_refused(await wrong(1))


async def test_checking_a_secret_gives_way_to_pushes_and_leaves_them_their_priority(client: Client):
    before = os.getpriority(os.PRIO_PROCESS, 0)
    await client.token()
    checking = asyncio.get_running_loop().run_in_executor(_THREADS, os.getpriority, os.PRIO_PROCESS, 0)
    assert await checking == min(before + CLIENTS.checks_niceness, 19)
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


async def test_an_unknown_client_costs_what_a_wrong_secret_does(client: Client):
    async def seconds(identity: str) -> float:
        """Of the processor: those of the clock depend on what else runs."""
        began = time.process_time()
        assert_refused(await client.ask(data=GRANT, auth=httpx.BasicAuth(identity, "wrong")))
        return time.process_time() - began

    known = sorted([await seconds(client.id) for _ in range(7)])[3]
    unknown = sorted([await seconds(str(uuid4())) for _ in range(7)])[3]
    assert 1 / 3 < known / unknown < 3


# --- Rules ------------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_characters=":", codec="utf-8"), min_size=1), st.text(min_size=1))
def test_what_basic_says_is_read_as_it_was_written(client_id: str, secret: str) -> None:
    from urllib.parse import quote_plus

    pair = f"{quote_plus(client_id, errors='replace')}:{quote_plus(secret, errors='replace')}"
    header = f"Basic {base64.b64encode(pair.encode()).decode()}"
    read = credentials_of(header, {})
    assert read == Credentials(client_id, secret.encode(errors="replace").decode())


@given(st.text())
def test_any_header_is_credentials_or_a_refusal(header: str) -> None:
    error = ""
    try:
        credentials_of(header, {})
    except TokenRefused as refused:
        error = refused.error
    assert error in ("", "invalid_client")


def test_a_secret_is_not_in_what_python_prints() -> None:
    assert "hush" not in repr(credentials_of("", fields_of([("client_id", "x"), ("client_secret", "hush")])))


# --- The command line -------------------------------------------------------------------------------------------------


def address_of(cluster: Cluster) -> str:
    return cluster.application_url("sis")


async def test_the_command_makes_a_client_on_a_deployments_database(sis: Sis, cluster: Cluster):
    settings = {"TRELLIS_DATABASE_URL": address_of(cluster), "TRELLIS_PUBLIC_URL": "https://trellis.example.org/t"}
    made = await asyncio.to_thread(trellis, "clients", "create", "Power", "--role", "sis", "--json", **settings)
    again = await asyncio.to_thread(trellis, "clients", "create", "Power", "--role", "sis", **settings)
    told = await asyncio.to_thread(trellis, "clients", "create", "Campus", **settings)

    assert made.returncode == 0, made.stderr
    said = json.loads(made.stdout)
    assert {name: said[name] for name in ("name", "role", "base_address")} == {
        "name": "Power",
        "role": "sis",
        "base_address": "https://trellis.example.org/t/sis",
    }
    assert len(base64.urlsafe_b64decode(said["secret"] + "=")) == 32
    assert await Client(sis, said["id"], said["secret"]).token()
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (1, "", 1)
    assert "There is a client of that name already" in again.stderr
    for part in ("https://trellis.example.org/t/sis\n", "key ", "secret ", "shown this once"):
        assert part in told.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["X", "--role", "district"], "A client cannot have that role"),
        (["X", "--resource", "sudents"], "--resource takes descriptors or a resource that the door accepts"),
        (["X", "--school", "one"], "--school must be a whole number"),
        ([""], "A client's name has 1 to 100 letters"),
        (["X\n"], "A client's name has 1 to 100 letters"),
        (["X" * 101], "A client's name has 1 to 100 letters"),
        (["X", "--data", "/nowhere"], "/nowhere holds no database: run `trellis up` first"),
    ],
)
def test_what_an_operator_can_mend_is_one_sentence(arguments: list[str], says: str) -> None:
    refused = trellis("clients", "create", *arguments)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert says in refused.stderr


def test_a_database_that_is_away_is_one_sentence() -> None:
    refused = trellis("clients", "create", "X", TRELLIS_DATABASE_URL="postgresql://x:x@127.0.0.1:1/sis")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "is TRELLIS_DATABASE_URL right?" in refused.stderr


REAL_CLIENT = """
import json, sys
from edfi_api_client import EdFiClient
base, key, secret = sys.argv[1:]
client = EdFiClient(base, key, secret, api_mode="shared_instance")
client.connect()
print(json.dumps(client.get_token_info()))
"""


def test_the_command_works_on_embedded_data_whether_trellis_runs_or_not(tmp_path: Path) -> None:
    data, port = tmp_path / "var", free_port()
    tmp_path.chmod(0o711)
    base = f"http://127.0.0.1:{port}"
    arguments = ("--role", "sis", "--json", "--data", str(data))

    with up(data, port):
        first = trellis("clients", "create", "While it runs", *arguments)
        assert httpx.get(f"{base}/readyz", trust_env=False).status_code == 200
    second = trellis("clients", "create", "While it does not", *arguments)
    assert not (data / "postgres" / "cluster" / "postmaster.pid").exists()

    with up(data, port):
        clients = [json.loads(made.stdout) for made in (first, second)]
        assert {said["base_address"] for said in clients} == {f"{base}/sis"}
        for said in clients:
            asked = subprocess.run(
                [sys.executable, "-c", REAL_CLIENT, said["base_address"], said["id"], said["secret"]],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert asked.returncode == 0, asked.stderr
            assert json.loads(asked.stdout)["client_id"] == said["id"]
        key, secret = clients[0]["id"], clients[0]["secret"]
        token = httpx.post(f"{base}{TOKEN}", data=GRANT, auth=(key, secret), trust_env=False).json()
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        assert httpx.get(f"{base}{EDFI}/students", headers=bearer, trust_env=False).status_code == 200
        for path in ("/mtss/v1/students", "/surveys/v1/status", "/notifications/v1/status", "/restorative/v1/status"):
            assert httpx.get(f"{base}{path}", headers=bearer, trust_env=False).status_code == 401, path
    assert secret not in (tmp_path / "var.log").read_text()
