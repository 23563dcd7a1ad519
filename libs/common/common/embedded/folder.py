"""The data folder: made for us alone, held by one process at a time, and what to say when it cannot be used."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.system_user import EmbeddedError

_ADDRESS = "address"
LEAST_FREE_BYTES = 16 * 1024 * 1024
"""With less than this PostgreSQL cannot go on: one segment of its write-ahead log.

Source: PostgreSQL 18, ``wal_segment_size``, whose default ``initdb`` takes.
"""


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
            raise EmbeddedError(f"Trellis runs on {data} already: stop it, or choose another folder.") from None
        yield


def refuse_in_use(data: Path) -> None:
    """Touch nothing of a folder that another process runs on.

    Raises:
        EmbeddedError: one does.
    """
    if (data / "up.lock").exists():
        with alone(data):
            pass


def tell_address(data: Path, public: str, here: str) -> None:
    """Note where Trellis answers that runs on this folder: for people and clients, and on this machine."""
    (data / _ADDRESS).write_text(f"{public}\n{here}\n", encoding="utf-8")


def told_address(data: Path, *, here: bool = False) -> str:
    """Where Trellis answers, or last did, that runs on this folder, as people reach it or ``here``; empty if none is known."""
    try:
        told = (data / _ADDRESS).read_text(encoding="utf-8").split()
    except OSError:
        return ""
    return told[-1 if here else 0] if told else ""


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder's lock: of several processes that start at once, the others adopt the first one's server."""
    with (data / "postgres.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def write_private(file: Path, text: str) -> None:
    """Write a new file that only its owner may read, safe on the disk when this returns."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)


def sentence_of(said: str, data: Path, *, failed: str = "did not start") -> str:
    """What PostgreSQL or the system said, as one sentence that tells what to do."""
    if any(words in said for words in _FULL) or is_full(data):
        return f"The disk that holds {data} is full: free some space and start again."
    if "ermission denied" in said or "Read-only" in said or "not permitted" in said:
        return f"{data} cannot be written: choose another folder with --data, or run as its owner."
    reason = re.search(r"(?:FATAL|PANIC|ERROR|error): +(?!connection to server)(.+)", said)
    last = said.strip().rpartition("\n")[2]
    return f"PostgreSQL in {data} {failed}: {reason[1] if reason else last or 'it gave no reason'}"


_FULL = ("No space left", "quota exceeded", "Check free disk space")


def is_full(data: Path) -> bool:
    """Whether the disk of this folder has no room for PostgreSQL to go on."""
    # PostgreSQL says nothing of it where its own log is on the full disk.
    return data.exists() and shutil.disk_usage(data).free < LEAST_FREE_BYTES


def refuse_full(data: Path) -> None:
    """Start nothing on a full disk: PostgreSQL may come up by half there, with a lock file that names no socket.

    Raises:
        EmbeddedError: the disk is full.
    """
    if is_full(data):
        raise EmbeddedError(sentence_of("", data))
