"""`trellis` as a process, for tests that use it as an operator does."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from common import embedded

TRELLIS = [sys.executable, "-c", "from common.cli import main; main()"]


def trellis(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TRELLIS, *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        env=os.environ | {"COLUMNS": "200"} | environment,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def up(data: Path, port: int, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`trellis up`, ready; killed at the end if it still runs."""
    log = data.with_suffix(".log")
    with log.open("a") as said:
        process = subprocess.Popen(
            [*TRELLIS, "up", "--port", str(port), "--data", str(data), *arguments], stdout=said, stderr=said, text=True
        )
    try:
        _wait_until_ready(process, port, log)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)


def _wait_until_ready(process: "subprocess.Popen[str]", port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready: {log.read_text()[-2000:]}")


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """An empty disk of that size; skips with one loud line, or fails where everything is required, if there can be none."""
    disk = Path(tempfile.mkdtemp(prefix="small-", dir="/tmp"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        disk.rmdir()
        untested("FULL DISK NOT TESTED: no file system may be mounted here")
    try:
        yield disk
    finally:
        embedded.stop(disk / "var")
        subprocess.run(["umount", "-l", disk], check=True)
        disk.rmdir()


def untested(reason: str) -> None:
    """Skip with one loud line, or fail where everything is required."""
    if os.environ.get("TRELLIS_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def in_a_process(work: Callable[[], object], uid: int | None = None) -> None:
    """Let a child process do ``work``, as another user if ``uid`` says so; what it raises is raised here."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        failure = ""
        try:
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            work()
        except BaseException:  # noqa: BLE001 - the parent hears of it
            failure = traceback.format_exc()
        os.write(writing, failure.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        failure = pipe.read()
    os.waitpid(child, 0)
    assert not failure, failure
