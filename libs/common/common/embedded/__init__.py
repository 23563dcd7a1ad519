"""PostgreSQL without a system package: the server's programs come from a Python wheel, everything else is ours.

A data folder holds ``postgres/cluster`` (the server's own files), ``postgres/server.log``, ``postgres/socket`` and
``postgres.json`` (the passwords, readable by whoever started it). Nothing listens on a network address.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.embedded.cluster import SUPERUSER, initialise, programs_for
from common.embedded.databases import prepare, read_passwords, roles_of, write_down
from common.embedded.folder import (
    alone,
    is_full,
    make_folder,
    only_one,
    refuse_in_use,
    sentence_of,
    tell_address,
    told_address,
)
from common.embedded.keeping import kept
from common.embedded.server import SETTINGS, Cluster, launch, running
from common.system_user import EmbeddedError, account_for, let_pass

__all__ = [
    "Cluster",
    "EmbeddedError",
    "alone",
    "is_full",
    "kept",
    "make_folder",
    "refuse_in_use",
    "sentence_of",
    "start",
    "stop",
    "tell_address",
    "told_address",
    "write_down",
]


def start(data: Path, services: Sequence[str], *, settings: Mapping[str, str] = {}) -> Cluster:
    """The PostgreSQL of this data folder, running, with what each service needs; made at first, adopted if it runs.

    ``settings`` are PostgreSQL's own and win over ours; a server that already runs keeps those it was started with.

    Raises:
        EmbeddedError: one sentence that says what to do.
    """
    data = Path(os.path.abspath(data))  # noqa: PTH100 - resolve() would also follow links
    try:
        make_folder(data)
        with only_one(data):
            return _start(data, services, {**SETTINGS, **settings})
    except OSError as failure:
        raise EmbeddedError(sentence_of(failure.strerror or str(failure), data)) from failure


def stop(data: Path) -> bool:
    """Stop the PostgreSQL of this data folder; whether one was running.

    Raises:
        EmbeddedError: it did not stop.
    """
    folder = Path(os.path.abspath(data)) / "postgres"  # noqa: PTH100 - resolve() would also follow links
    server = running(folder)
    if server is None:
        return False
    Cluster(folder, server.socket, programs_for(folder / "cluster"), account_for(folder), {}).stop()
    return True


def _start(data: Path, services: Sequence[str], settings: Mapping[str, str]) -> Cluster:
    folder = data / "postgres"
    account = account_for(folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    account.owns(folder)
    let_pass(account, folder)
    programs = programs_for(folder / "cluster")
    let_pass(account, programs)
    passwords = read_passwords(
        data / "postgres.json", [SUPERUSER, *(role for each in services for role in roles_of(each))]
    )
    if not (folder / "cluster").exists():
        initialise(folder, programs, account, passwords[SUPERUSER], sync=settings.get("fsync") != "off")
    found = running(folder)
    server = found or launch(folder, programs, account, settings)
    cluster = Cluster(folder, server.socket, programs, account, passwords)
    try:
        prepare(cluster, services)
    except EmbeddedError:
        if found is None:
            cluster.halt()
        elif cluster.pid is None:  # the one found was just ending
            return _start(data, services, settings)
        raise
    return cluster
