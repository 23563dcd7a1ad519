"""A database, an owner role and an application role for each service, and their passwords."""

import json
import re
import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.embedded.cluster import SUPERUSER
from common.embedded.folder import sentence_of, write_private
from common.embedded.server import PATIENCE_SECONDS, PORT, Cluster
from common.system_user import EmbeddedError

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


def roles_of(service: str) -> tuple[str, str]:
    """The service's two roles: the owner of its schema, and the application."""
    return f"{service}_owner", f"{service}_app"


def prepare(cluster: Cluster, services: Sequence[str]) -> None:
    """Make the roles and databases that are missing, as the superuser; again and again with the same end."""
    script = ["SET client_min_messages = warning;", "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;"]
    for service in services:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,50}", service):
            raise EmbeddedError(f"{service!r} cannot name a database: take small letters, digits and underscores.")
        script += [_ROLE.format(role=role, password=cluster.passwords[role]) for role in roles_of(service)]
        script.append(_DATABASE.format(service=service))
    until = time.monotonic() + PATIENCE_SECONDS
    while _soon(failure := _psql(cluster, "\n".join(script))) and cluster.pid is not None and time.monotonic() < until:
        time.sleep(0.1)
    if "password authentication failed" in failure:
        raise EmbeddedError(
            f"{cluster.folder.parent / 'postgres.json'} does not fit the database beside it: restore both."
        )
    if failure:
        raise EmbeddedError(sentence_of(failure, cluster.folder.parent))


def write_down(cluster: Cluster) -> None:
    """Have everything on disk that was made so far: else it is the first stop that waits for thousands of new files.

    Raises:
        EmbeddedError: it cannot be written.
    """
    if failure := _psql(cluster, "CHECKPOINT"):
        raise EmbeddedError(sentence_of(failure, cluster.folder.parent))


_SOON = ("starting up", "shutting down", "Is the server running", "closed the connection")


def _soon(failure: str) -> bool:
    """Whether a server that lives may answer soon, or is about to be gone: one killed closes its socket before it ends."""
    return any(words in failure for words in _SOON)


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


def read_passwords(file: Path, roles: Sequence[str]) -> Mapping[str, str]:
    """A password for each role; those of new roles are made up and stored before anything uses them."""
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    if missing := [role for role in roles if role not in known]:
        known |= {role: secrets.token_hex(16) for role in missing}
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        write_private(new, json.dumps(known, indent=1))
        new.replace(file)
    return known
