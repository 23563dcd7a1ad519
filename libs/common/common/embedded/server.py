"""The server's process: started, found again, stopped."""

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from common.embedded.cluster import SUPERUSER
from common.embedded.folder import is_full, only_one, refuse_full, sentence_of
from common.system_user import Account, EmbeddedError

PORT = 5432
LONGEST_SOCKET_PATH = 107
PATIENCE_SECONDS = 30

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A failed statement names the values it failed on, and those are about people: only the server itself is logged.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL with a database, an owner role and an application role for each service."""

    folder: Path
    socket: Path
    programs: Path = field(repr=False)
    account: Account = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)

    @property
    def pid(self) -> int | None:
        """The process id of the server, ``None`` once it is gone."""
        server = running(self.folder)
        return server.pid if server else None

    def owner_url(self, service: str) -> str:
        """The address of the service's database as its owner, who may change the schema."""
        return self._url(f"{service}_owner", service)

    def application_url(self, service: str) -> str:
        """The address of the service's database as the application role, which may not change the schema."""
        return self._url(f"{service}_app", service)

    def superuser_url(self, database: str) -> str:
        """The address of a database as PostgreSQL's superuser, for tests and repairs."""
        return self._url(SUPERUSER, database)

    def stop(self) -> None:
        """Disconnect everyone, shut down and wait until the server is gone.

        Raises:
            EmbeddedError: it was still there after 30 seconds.
        """
        with only_one(self.folder.parent):
            self.halt()

    def halt(self) -> None:
        """As :meth:`stop`, for whoever holds the data folder's lock already."""
        if self.pid is None:
            return
        # On a full disk the last checkpoint would be tried without end; the write-ahead log makes up for it.
        mode = "immediate" if is_full(self.folder) else "fast"
        if self.pg_ctl("stop", "-m", mode).returncode and self.pid is not None:
            raise EmbeddedError(f"PostgreSQL in {self.folder} does not stop: {self.folder}/server.log says why.")
        _forget_socket(self.account, self.folder, self.socket)

    def revive(self) -> bool:
        """Start the server again, as it was started, if it is gone; whether it had to be.

        Raises:
            EmbeddedError: it does not start.
        """
        with only_one(self.folder.parent):
            if self.pid is not None:
                return False
            refuse_full(self.folder.parent)
            (self.folder / "cluster" / "postmaster.pid").unlink(
                missing_ok=True
            )  # the process of that id is another now
            said = _Log(self.folder)
            self.pg_ctl("restart")  # with the options of its last start, which it keeps in postmaster.opts
            if running(self.folder) is None:
                raise EmbeddedError(sentence_of(said.since(), self.folder.parent))
            return True

    def _url(self, role: str, database: str) -> str:
        return (
            f"postgresql+asyncpg://{role}:{self.passwords[role]}@/{database}?host={quote(str(self.socket))}&port={PORT}"
        )

    def pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """PostgreSQL's own control program, applied to this cluster and waited for."""
        where = ("-D", self.folder / "cluster", "-l", self.folder / "server.log", "-w", "-t", str(PATIENCE_SECONDS))
        return self.account.run(self.programs / "pg_ctl", *where, *arguments, silent=True)  # a pipe would never end


@dataclass(frozen=True, slots=True)
class Server:
    """A process, and the folder of the socket it listens on."""

    pid: int
    socket: Path


def _last_started(folder: Path) -> Server | None:
    """The server that wrote the cluster's ``postmaster.pid``, alive or not."""
    try:
        lines = (folder / "cluster" / "postmaster.pid").read_text().splitlines()
        return Server(int(lines[0]), Path(lines[4]))
    except (FileNotFoundError, ValueError, IndexError):
        return None


def running(folder: Path) -> Server | None:
    """The server of this folder if it is alive: a process id left behind may meanwhile be somebody else's."""
    server = _last_started(folder)
    if server is None:
        return None
    try:
        works_in = Path(f"/proc/{server.pid}/cwd").readlink()
    except OSError:
        return None
    return server if works_in == (folder / "cluster").resolve() else None


def launch(folder: Path, programs: Path, account: Account, settings: Mapping[str, str]) -> Server:
    """A server just started.

    What a killed one left behind is cleared away; as long as one of its children lives, PostgreSQL itself sees the
    memory they share and refuses, so that is tried again.
    """
    refuse_full(folder.parent)
    if killed := _last_started(folder):
        _forget_socket(account, folder, killed.socket)
    (folder / "cluster" / "postmaster.pid").unlink(missing_ok=True)
    socket = _socket_folder(folder, account)
    flags = " ".join(shlex.quote(f"--{name}={value}") for name, value in settings.items())
    cluster = Cluster(folder, socket, programs, account, {})
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        log = _Log(folder)
        cluster.pg_ctl("start", "-o", f"{flags} --unix_socket_directories={shlex.quote(str(socket))}")
        if server := running(folder):
            return server
        said = log.since()
        if "shared memory block" not in said or time.monotonic() > until:
            raise EmbeddedError(sentence_of(said, folder.parent))
        time.sleep(0.2)


class _Log:
    """What the server writes into its log from now on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "server.log"
        self._seen = self._file.stat().st_size if self._file.exists() else 0

    def since(self) -> str:
        return self._file.read_bytes()[self._seen :].decode(errors="replace") if self._file.exists() else ""


def _socket_folder(folder: Path, account: Account) -> Path:
    """A private folder whose path is short enough for a socket: beside the cluster, else one of its own in /tmp."""
    socket = folder / "socket"
    if len(os.fsencode(socket / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH and "," not in str(socket):
        socket.mkdir(mode=0o700, exist_ok=True)
    else:
        socket = Path(tempfile.mkdtemp(prefix="trellis-", dir="/tmp"))
    account.owns(socket)
    return socket


def _forget_socket(account: Account, folder: Path, socket: Path) -> None:
    """Clear what a server leaves in its socket folder, and the folder too where it is in /tmp; never as root."""
    left = [socket] if socket.parent != folder else list(socket.glob(".s.PGSQL.*"))
    if left:
        account.run("rm", "-rf", "--", *left)
