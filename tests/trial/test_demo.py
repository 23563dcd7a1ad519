"""``trellis demo`` as a person starts it: processes, a real PostgreSQL, real SMTP."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import httpx
import pytest

from common import embedded
from common.commands import file_sentence
from common.embedded.folder import LEAST_FREE_BYTES
from tests.processes import Command, free_port, small_disk, trellis
from trial.mailbox import caught

READY_SECONDS = 110


@contextmanager
def demo(data: Path, port: int, said: Path | None = None) -> Iterator[tuple[Command, Path]]:
    said = said or data.parent / "said"
    said.write_bytes(b"")
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "100"}
    process = Command(("demo", "--port", str(port), "--data", str(data)), said, said, environment)
    try:
        yield process, said
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        if (data / "postgres").is_dir():
            embedded.stop(data)


def wait_for(come: Callable[[], object]) -> None:
    gives_up = time.monotonic() + READY_SECONDS
    while not come():
        assert time.monotonic() < gives_up
        time.sleep(0.1)


def is_free(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def wait_until_served(process: Command, said: Path, port: int) -> str:
    gives_up = time.monotonic() + READY_SECONDS
    last = f" http://127.0.0.1:{port}/mtss/v1/students/"
    while not (text := said.read_text()).endswith("\n") or last not in text:
        assert process.returncode is None, text
        assert time.monotonic() < gives_up, text
        time.sleep(0.1)
    return text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_district_is_shown_and_a_second_run_tells_nobody_again(tmp_path):
    data, port = tmp_path / "var", free_port()
    tmp_path.chmod(0o711)  # PostgreSQL runs as another user where this is root
    embedded.make_folder(data)
    assert (
        trellis("sample", str(data / "sample"), "--students", "300").returncode == 0
    )  # a quarter of the usual, as quick

    with demo(data, port) as (process, said):
        first = wait_until_served(process, said, port)
        told = [path.name for path in caught(data)]
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        stopped_after = time.monotonic() - began
    with demo(data, port) as (process, said):
        second = wait_until_served(process, said, port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0

    assert "rows taken, 0 rejected" in first
    for section in ("Students", "Tiers", "Unknown", "Families told", "Waiting", "Held back", "Conferences", "Speed"):
        assert section in first
    assert f"Nothing left this machine.\nhttp://127.0.0.1:{port}\n" in first
    assert first.count("trellis token --role district") == 2
    assert len(told) >= 10
    assert stopped_after < 8
    assert "no new decision" in second
    assert [path.name for path in caught(data)] == told
    assert "Traceback" not in first + second
    assert not (data / "postgres" / "cluster" / "postmaster.pid").exists()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_disk_that_fills_while_the_district_is_pushed_is_one_sentence_at_once(tmp_path):
    with small_disk(90) as small, demo(small / "var", free_port(), tmp_path / "said") as (process, said):
        wait_for(lambda: shutil.disk_usage(small).free < LEAST_FREE_BYTES)
        began = time.monotonic()
        assert process.wait(60) == 1
        ended_after = time.monotonic() - began
        assert not embedded.stop(small / "var"), "PostgreSQL still runs"

    assert (
        said.read_text().rstrip().endswith(f"The disk that holds {small}/var is full: free some space and start again.")
    )
    assert "does not answer" not in said.read_text()
    assert ended_after < 10


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL], ids=["closed terminal", "kill -9"])
def test_a_second_one_is_refused_and_nothing_runs_on_when_it_is_gone(tmp_path, number):
    data, port = tmp_path / "var", free_port()
    tmp_path.chmod(0o711)

    with demo(data, port) as (process, _):
        wait_for(lambda: is_ready(port))
        second = trellis("demo", "--port", str(port), "--data", str(data))
        process.send_signal(number)
        process.wait(10)
        wait_for(lambda: not (data / "postgres/cluster/postmaster.pid").exists())
        with (data / "up.lock").open() as lock:
            wait_for(lambda: is_free(lock))

    assert second.returncode == 1
    assert second.stdout == f"Trellis runs on {data} already: stop it, or choose another folder.\n"


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path / "var", port) as (process, said):
            assert process.wait(60) == 1

    assert said.read_text().strip() == f"Port {port} is taken: stop what uses it or choose another with --port."
    assert not (tmp_path / "var").exists()


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "var").touch()

    with demo(tmp_path / "var", free_port()) as (process, said):
        assert process.wait(60) == 1

    assert said.read_text().strip().endswith("is a file: choose a folder with --data.")
    assert "Traceback" not in said.read_text()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "No space is left for var: free some, or choose another folder."),
        (errno.EACCES, "No permission to write var: choose another folder."),
        (errno.EROFS, "No permission to write var: choose another folder."),
        (errno.ENOTDIR, "var cannot be used (Not a directory): choose another file or folder."),
    ],
)
def test_what_the_system_refuses_says_what_to_do(number, says):
    assert file_sentence(OSError(number, os.strerror(number)), Path("var")) == says
