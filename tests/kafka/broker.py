"""A real Apache Kafka as a plain process, which tests may stop, kill and freeze.

One broker that is its own controller, from jars that Maven copies into ``.cache/kafka`` once; nothing of it stays.
"""

import asyncio
import base64
import contextlib
import fcntl
import random
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "kafka"
POM = Path(__file__).with_name("pom.xml")

JAVA = ("java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class NoKafka(Exception):
    """Says in one line why there is no Kafka here."""


def jars() -> Path:
    """The folder of Kafka's jars, fetched through Maven the first time.

    Raises:
        NoKafka: Java or Maven is missing, or Maven could not fetch.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise NoKafka(f"`{program}` is not installed (apt-get install default-jre-headless maven)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = CACHE / f"jars-{uuid.uuid5(uuid.NAMESPACE_OID, POM.read_text()).hex[:12]}"
        if not wanted.exists():
            _fetch(wanted)
    return wanted


def _fetch(wanted: Path) -> None:
    unfinished = wanted.with_suffix(".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise NoKafka(f"Maven could not fetch Kafka: {(done.stdout.strip().splitlines() or ['no reason given'])[0]}")
    unfinished.rename(wanted)


def _free_port() -> int:
    """A port nobody listens on, below those the system gives to outgoing connections, so that a restart finds it free."""
    while True:
        port = random.randint(20000, 30000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Broker:
    """One Kafka broker on a port and data folder of its own, the same after every restart."""

    folder: Path
    port: int = field(default_factory=_free_port)
    controller_port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """Where clients connect: ``127.0.0.1:PORT``."""
        return f"127.0.0.1:{self.port}"

    def start(self, *, within: float = 60) -> None:
        """Answering requests when this returns, on the data it had; nothing to do for one that already does."""
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            return
        classpath = f"{jars()}/*"
        configuration = self._configuration(classpath)
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*_dies_with_us(), *JAVA, "-cp", classpath, "kafka.Kafka", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + within
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                said = (self.folder / "broker.log").read_text()[-2000:]
                self.kill()
                raise RuntimeError(f"Kafka did not start:\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut down in good order and wait."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)
        while self._moves():  # a thread may go on for a moment on another processor
            time.sleep(0.01)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop in good order and start again on the same port and data."""
        self.stop()
        self.start()

    def answers(self) -> bool:
        """Whether it answers an ApiVersions request, the first thing that every client asks."""
        request = struct.pack(">hhih", 18, 0, 1, -1)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                return len(connection.recv(4)) == 4
        except OSError:
            return False

    def _moves(self) -> bool:
        """Whether any of its threads is not stopped."""
        if self.process is None or self.process.poll() is not None:
            return False
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return any(each.read_text().rpartition(")")[2].split()[0] != "T" for each in threads)
        return True  # one ended while it was looked at

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.thaw()
        self._signal(number)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _configuration(self, classpath: str) -> Path:
        """The broker's settings; at first also its formatted data folder."""
        file, data = self.folder / "server.properties", self.folder / "data"
        if file.exists():
            return file
        self.folder.mkdir(parents=True, exist_ok=True)
        draft = self.folder / "server.properties.new"
        draft.write_text("\n".join(f"{name}={value}" for name, value in self._settings(data).items()))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        subprocess.run(
            # With "=": one in 64 of such names begins with a dash, and would be taken for an option.
            [*JAVA, "-cp", classpath, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(draft)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        return draft.rename(file)

    def _settings(self, data: Path) -> dict[str, str | int]:
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            # After kill -9 a broker may come back only when its former life counts as over: 9 s by default.
            "broker.heartbeat.interval.ms": 500,
            "broker.session.timeout.ms": 3000,
        }


def _dies_with_us() -> Sequence[str]:
    """Words before a command so that it ends with the tests, even when those are killed."""
    return ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


async def fresh_topics(bootstrap: str, topics: Sequence[str], *, partitions: int = 3) -> None:
    """Each topic new and empty, and with it what consumer groups had committed: names are fixed, tests start afresh."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await _until_done(lambda: admin.delete_topics(list(topics)), accepts={NO_ERROR, UNKNOWN_TOPIC})
        await _until_known(admin, dict.fromkeys(topics, 0))
        new = [NewTopic(topic, partitions, 1) for topic in topics]
        await _until_done(lambda: admin.create_topics(new), accepts={NO_ERROR, CREATED_ALREADY})
        await _until_known(admin, dict.fromkeys(topics, partitions))
    finally:
        await admin.close()


NO_ERROR, UNKNOWN_TOPIC, CREATED_ALREADY = 0, 3, 36


async def _until_done(ask: Callable[[], Awaitable[Any]], *, accepts: set[int]) -> None:
    codes: set[int] = set()
    for _ in range(100):
        answer = await ask()
        codes = {error[1] for error in getattr(answer, "topic_errors", None) or answer.topic_error_codes}
        if codes <= accepts:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"Kafka does not make fresh topics: error codes {codes}")


async def _until_known(admin: AIOKafkaAdminClient, wanted: dict[str, int]) -> None:
    """Wait until clients are told of so many partitions: the controller knows before the broker does."""
    known: dict[str, int] = {}
    for _ in range(100):
        found = await admin.describe_topics(list(wanted))
        known = {topic["topic"]: len(topic["partitions"]) for topic in found}
        if known == wanted:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"Kafka does not make fresh topics known: {known}")
