"""What a benchmark runs on: PostgreSQL as it comes, a real Kafka, and services as processes of their own."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import asyncpg

from common import embedded
from common.auth import staff_token
from common.embedded import Cluster
from common.keys import read_signing_key, write_keys
from tests.harness import TIME_ZONE
from tests.kafka.broker import Broker, NoKafka, _free_port

_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Program:
    """A process of ours; ``port`` where it answers over HTTP."""

    pid: int
    port: int


@dataclass(frozen=True, slots=True)
class Machine:
    """One PostgreSQL and one Kafka, both with the settings they always have."""

    folder: Path
    cluster: Cluster
    kafka: Broker

    def url(self, service: str, database: str | None = None) -> str:
        """The address of a database as the application role of ``service``."""
        return self.cluster.application_url(service).replace(f"@/{service}?", f"@/{database or service}?")

    def token(self) -> str:
        """A token with which a SIS pushes."""
        return staff_token(read_signing_key(self.folder / "keys" / "staff"), role="sis")

    async def connect(self, service: str, database: str | None = None) -> Any:
        """A connection of PostgreSQL's superuser to a database."""
        url = self.cluster.superuser_url(service).replace(f"@/{service}?", f"@/{database or service}?")
        return await asyncpg.connect(plain(url))

    @contextmanager
    def serve(self, service: str, database: str | None = None, **reaching: Program) -> Iterator[Program]:
        """``trellis serve`` at work and ready, ``reaching`` sister services."""
        environment = {
            "TRELLIS_DATABASE_URL": self.url(service, database),
            "TRELLIS_KAFKA": self.kafka.bootstrap,
            "TRELLIS_KEYS": str(self.folder / "keys" / service),
            "TRELLIS_TIME_ZONE": TIME_ZONE,
            "TRELLIS_PUBLIC_URL": "http://127.0.0.1",
            "TRELLIS_LOG_FOLDER": str(self.folder / "logs"),
        }
        environment |= {
            f"TRELLIS_PEERS__{name.upper()}": f"http://127.0.0.1:{each.port}" for name, each in reaching.items()
        }
        port = _free_port()
        trellis = str(Path(sys.executable).with_name("trellis"))
        with _running([trellis, "serve", service, "--port", str(port), "--host", "127.0.0.1"], environment) as pid:
            _wait_for(f"http://127.0.0.1:{port}/readyz")
            yield Program(pid, port)

    @contextmanager
    def by_hand(self, database: str) -> Iterator[Program]:
        """The plain consumer that ``mtss`` is measured against."""
        command = [sys.executable, "-m", "bench.parts.by_hand", plain(self.url("mtss", database)), self.kafka.bootstrap]
        with _running(command, {}) as pid:
            yield Program(pid, 0)

    @contextmanager
    def bare(self, database: str) -> Iterator[Program]:
        """The bare route that the door of ``sis`` is measured against."""
        port = _free_port()
        command = [sys.executable, "-m", "bench.parts.bare", plain(self.url("sis", database)), str(port)]
        with _running(command, {}) as pid:
            _wait_for(f"http://127.0.0.1:{port}/readyz")
            yield Program(pid, port)

    def cpu_seconds(self, **programs: Program) -> dict[str, float]:
        """Processor time used so far by the given programs with their children that have ended, PostgreSQL and Kafka."""
        assert self.cluster.pid
        assert self.kafka.process
        used = {name: sum(_times(program.pid)) for name, program in programs.items()}
        return used | {"postgresql": _used_by_all(self.cluster.pid), "kafka": _used(self.kafka.process.pid)}


@contextmanager
def machine(*services: str) -> Iterator[Machine]:
    """PostgreSQL with a database for each of ``services``, and Kafka; both are stopped and forgotten at the end."""
    folder = Path(mkdtemp(prefix="trellis-bench-"))
    folder.chmod(0o711)  # PostgreSQL's own account must pass
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is also ended
    broker = Broker(folder / "kafka")
    try:
        write_keys(folder / "keys", services)
        cluster = embedded.start(folder, services)
        try:
            with _one_sentence():
                broker.start()
            yield Machine(folder, cluster, broker)
        finally:
            cluster.stop()
    finally:
        broker.kill()
        shutil.rmtree(folder)


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except NoKafka as reason:
        sys.exit(f"Without Kafka nothing is measured: {reason}")


async def until(what: str, reached: Callable[[], Awaitable[bool]], *, within: float = 600) -> None:
    """Wait until it is ``reached``, asked every 50 ms."""
    deadline = time.monotonic() + within
    while not await reached():
        assert time.monotonic() < deadline, f"not reached: {what}"
        await asyncio.sleep(0.05)


def plain(url: str) -> str:
    """An address as asyncpg takes it."""
    return url.replace("postgresql+asyncpg://", "postgresql://")


@contextmanager
def _running(command: Sequence[str], environment: dict[str, str]) -> Iterator[int]:
    process = subprocess.Popen(command, env=os.environ | environment, start_new_session=True)
    try:
        yield process.pid
        assert process.poll() is None, f"{command[:3]} ended by itself"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (an address of our own)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise TimeoutError(f"{url} does not answer")


def _used(pid: int) -> float:
    user, system, *_ = _times(pid)
    return user + system


def _used_by_all(postmaster: int) -> float:
    """What the server and its children used: those at work, and those that have ended."""
    children = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == postmaster]
    return sum(_times(postmaster)) + sum(_used(pid) for pid in children)


def _times(pid: int) -> list[float]:
    """User and system time of a process, then those of its children that have ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0.0, 0.0]
    return [int(word) / _TICKS for word in words[11:15]]


def _parent(path: Path) -> int:
    try:
        return int(path.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
