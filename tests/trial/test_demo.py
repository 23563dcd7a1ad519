"""``trellis demo`` as a person starts it: processes, a real PostgreSQL, real SMTP."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common import embedded
from common.cli import file_sentence
from tests.processes import TRELLIS, free_port
from trial.mailbox import caught

READY_SECONDS = 110


@contextmanager
def demo(data: Path, port: int) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    said = data.parent / "said"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "100"}
    with said.open("wb") as output:
        process = subprocess.Popen(
            (*TRELLIS, "demo", "--port", str(port), "--data", str(data)), stdout=output, stderr=output, env=environment
        )
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()
        if (data / "postgres").is_dir():
            embedded.stop(data)


def wait_until_served(process: "subprocess.Popen[bytes]", said: Path, port: int) -> str:
    gives_up = time.monotonic() + READY_SECONDS
    while f"\nhttp://127.0.0.1:{port}\n" not in (text := said.read_text()):
        assert process.poll() is None, text
        assert time.monotonic() < gives_up, text
        time.sleep(0.1)
    return text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_district_is_shown_and_a_second_run_tells_nobody_again(tmp_path):
    data, port = tmp_path / "var", free_port()
    tmp_path.chmod(0o711)  # PostgreSQL runs as another user where this is root

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
    assert "Nothing left this machine." in first
    assert first.count("trellis token --role district") == 2
    assert len(told) >= 10
    assert stopped_after < 8
    assert "no new decision" in second
    assert [path.name for path in caught(data)] == told
    assert "Traceback" not in first + second
    assert not (data / "postgres" / "cluster" / "postmaster.pid").exists()


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
        (errno.ENOSPC, "No space is left for var: free some, or choose another folder with --data."),
        (errno.EACCES, "No permission to write var: choose another folder with --data."),
        (errno.EROFS, "No permission to write var: choose another folder with --data."),
        (errno.ENOTDIR, "var cannot be used (Not a directory): choose another file or folder."),
    ],
)
def test_what_the_system_refuses_says_what_to_do(number, says):
    assert file_sentence(OSError(number, os.strerror(number)), Path("var")) == says
