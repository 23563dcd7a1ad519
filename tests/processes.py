"""`trellis` as a process, for tests that use it as an operator does."""

import multiprocessing
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
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import httpx
import pytest

from common import embedded
from common.cli import main

TRELLIS = [sys.executable, "-c", "from common.cli import main; main()"]


@cache
def _warm() -> ForkServerContext:
    """A process that has loaded what every command loads, and forks: a fresh start takes a second of processor time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["common.app", "common.cli", "numpy"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", "200")
        forkserver.ensure_running()
    return context


def trellis(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What the command answers. It runs in a process of its own that read nothing of a service before."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "out"), Path(folder, "err")
        process = _warm().Process(target=_command, args=(arguments, dict(os.environ) | environment, Path.cwd(), said))
        process.start()
        process.join(180)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"trellis {arguments} still runs")
        return subprocess.CompletedProcess(arguments, process.exitcode, *(file.read_text() for file in said))


def _command(arguments: tuple[str, ...], environment: dict[str, str], folder: Path, said: tuple[Path, Path]) -> None:
    for descriptor, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["trellis", *arguments]
    main()


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
