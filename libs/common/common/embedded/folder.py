"""The data folder: made for us alone, held by one process at a time, and what to say when it cannot be used."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.system_user import EmbeddedError


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


def sentence_of(said: str, data: Path) -> str:
    """What PostgreSQL or the system said, as one sentence that tells what to do."""
    if "No space left" in said or "quota exceeded" in said:
        return f"The disk that holds {data} is full: free some space and start again."
    if "ermission denied" in said or "Read-only" in said or "not permitted" in said:
        return f"{data} cannot be written: choose another folder with --data, or run as its owner."
    reason = re.search(r"(?:FATAL|PANIC|ERROR|error): +(?!connection to server)(.+)", said)
    return f"PostgreSQL in {data} did not start: {reason[1] if reason else said.strip() or 'it gave no reason'}"
