"""A district for fault tests: PostgreSQL that syncs, a real Kafka, and each service as a process that may be killed."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from common import auth, embedded
from common.db import create_engine
from common.embedded import Cluster
from common.kafka import create_topics
from common.keys import read_signing_key, write_keys
from common.migrations import migrate_within
from common.settings import Settings
from tests.faults.patience import eventually
from tests.harness import SERVICES, TIME_ZONE
from tests.kafka.broker import ROOT, Broker, _dies_with_us, _free_port

HERE = Path(__file__).parent
TRELLIS = Path(sys.executable).with_name("trellis")


@dataclass
class Member:
    """One service as a process. ``twin`` is which of :mod:`tests.faults.twins` it is."""

    name: str
    log: Path
    environment: Mapping[str, str]
    twin: str = ""
    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, failpoint: str = "", *, twin: str | None = None) -> None:
        """Start it; ``failpoint`` arms a place where it kills itself."""
        twin = self.twin if twin is None else twin
        program = [sys.executable, str(HERE / "twins.py"), twin] if twin else [str(TRELLIS), "serve"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*_dies_with_us(), *program, self.name, "--host", "127.0.0.1", "--port", str(self.port)],
                env={**self.environment, "TRELLIS_FAILPOINT": failpoint},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Wait until it answers that it is ready."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            await eventually(f"{self.name} is ready; see {self.log}", lambda: _answers(http))

    async def started(self, failpoint: str = "") -> None:
        """Start it and wait until it is ready."""
        self.start(failpoint)
        await self.ready()

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let it shut down in good order."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it stand still."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    async def killed_itself(self, *, within: float = 45) -> None:
        """Wait until an armed fail-point killed it."""
        process = self.process
        assert process is not None

        async def ended() -> bool:
            return process.poll() is not None

        await eventually(f"{self.name} passes its fail-point", ended, within=within)
        assert process.returncode == -signal.SIGKILL, f"{self.name} ended by itself: {process.returncode}"

    def _end(self, number: signal.Signals) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/readyz", timeout=2)).status_code == 200
    except httpx.TransportError:
        return False


@dataclass
class District:
    """The parts of one district."""

    folder: Path
    kafka: Broker
    clusters: Mapping[str, Cluster]
    members: dict[str, Member]
    engines: dict[str, AsyncEngine] = field(default_factory=dict)
    injected: set[UUID] = field(default_factory=set)
    """Ids of events that a test itself put on a topic, which no outbox holds."""

    def __getattr__(self, name: str) -> Member:
        try:
            return self.members[name]
        except KeyError:
            raise AttributeError(name) from None

    def headers(self, role: str) -> dict[str, str]:
        """The header of a token with this role."""
        token = auth.staff_token(read_signing_key(self.folder / "keys" / "staff"), role=role)
        return {"Authorization": f"Bearer {token}"}

    @asynccontextmanager
    async def http(self, service: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client of one service with a token of this role."""
        async with httpx.AsyncClient(
            base_url=self.members[service].url, headers=self.headers(role), timeout=20, trust_env=False
        ) as client:
            yield client

    async def rows(self, service: str, statement: str, **values: Any) -> Sequence[Any]:
        """What a statement finds in the service's database, asked as the superuser."""
        async with self.engine(service).begin() as connection:
            found = await connection.execute(sa.text(statement), values)
            return found.all() if found.returns_rows else []

    async def command(self, service: str, statement: str) -> Sequence[Any]:
        """As :meth:`rows`, outside of any transaction."""
        async with self.engine(service).connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            found = await alone.execute(sa.text(statement))
            return found.all() if found.returns_rows else []

    async def start(self, *names: str) -> None:
        """Start these members, or all, and wait until they are ready."""
        members = [self.members[name] for name in names or self.members]
        for member in members:
            member.start()
        await asyncio.gather(*(member.ready() for member in members))

    async def forget_connections(self) -> None:
        """Drop connections to a PostgreSQL that was restarted."""
        for engine in self.engines.values():
            await engine.dispose()

    def engine(self, service: str) -> AsyncEngine:
        """The service's database, as the superuser."""
        if service not in self.engines:
            self.engines[service] = create_engine(self.clusters[service].superuser_url(service), pool_size=2)
        return self.engines[service]


@asynccontextmanager
async def district(
    *services: str, logs: Path, kafka: Broker | None = None, apart: Sequence[str] = (), **settings: str
) -> AsyncIterator[District]:
    """``services`` at work, each with a database of its own; those in ``apart`` on a second PostgreSQL.

    What they log stays in ``logs``. ``settings`` become environment variables of every service. Everything ends and its folder goes at the end.
    """
    folder = Path(tempfile.mkdtemp(prefix="trellis-faults-"))
    await asyncio.to_thread(folder.chmod, 0o711)  # PostgreSQL may run as another user
    broker, made = kafka or Broker(folder / "kafka"), None
    try:
        made = await _made(folder, logs, broker, services, apart, settings)
        await made.start()
        yield made
    finally:
        for member in made.members.values() if made else ():
            member.kill()
        for engine in made.engines.values() if made else ():
            await engine.dispose()
        for data in ("together", "apart"):
            embedded.stop(folder / data)
        if kafka is None:
            broker.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def _made(
    folder: Path, logs: Path, broker: Broker, services: Sequence[str], apart: Sequence[str], settings: Mapping[str, str]
) -> District:
    together = [name for name in services if name not in apart]
    await asyncio.gather(
        asyncio.to_thread(broker.start),
        *(asyncio.to_thread(embedded.start, *each) for each in _data(folder, together, apart)),
    )
    clusters = {name: embedded.start(data, names) for data, names in _data(folder, together, apart) for name in names}
    write_keys(folder / "keys", services)
    for name in services:
        await migrate_within(name, clusters[name].owner_url(name), f"{name}_app")
    await create_topics(Settings(kafka=broker.bootstrap), {*SERVICES, *services}, partitions=3)
    members = {
        name: Member(name, logs / f"{name}.log", {}, twin="whole" if name == "tally" else "") for name in services
    }
    for name, member in members.items():
        member.environment = {
            **{key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ},
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE), *map(str, (ROOT / "services").iterdir()))),
            "TRELLIS_DATABASE_URL": clusters[name].application_url(name),
            "TRELLIS_KEYS": str(folder / "keys" / name),
            "TRELLIS_KAFKA": broker.bootstrap,
            "TRELLIS_TIME_ZONE": TIME_ZONE,
            "TRELLIS_PUBLIC_URL": member.url,
            "TRELLIS_PEERS": json.dumps({other: members[other].url for other in services}),
            **{f"TRELLIS_{key.upper()}": value for key, value in settings.items()},
        }
    return District(folder, broker, clusters, members)


def _data(folder: Path, together: Sequence[str], apart: Sequence[str]) -> list[tuple[Path, Sequence[str]]]:
    return [(folder / "together", together), *([(folder / "apart", apart)] if apart else [])]
