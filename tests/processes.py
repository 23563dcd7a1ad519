"""`trellis` as a process, for tests that use it as an operator does."""

import atexit
import multiprocessing
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
    """A process that has loaded what Trellis consists of, and forks: a fresh start takes seconds of processor time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", "200")
        patched.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        forkserver.ensure_running()
    return context


class Command:
    """``trellis`` with these arguments at work in a process of its own."""

    def __init__(self, arguments: Sequence[str], out: Path, err: Path, environment: Mapping[str, str] = {}) -> None:
        self.arguments = arguments
        given = (arguments, dict(os.environ) | dict(environment), Path.cwd(), (out, err))
        self._process = _warm().Process(target=_run, args=given)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """What it ended with; ``None`` while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Nothing, if it is gone."""
        if self.returncode is None:
            os.kill(self._process.pid or 0, number)

    def wait(self, timeout: float) -> int:
        """What it ended with.

        Raises:
            TimeoutError: it still runs after so many seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise TimeoutError(f"trellis {self.arguments} still runs")
        return self.returncode


def trellis(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What the command answers."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        command = Command(arguments, out, err, environment)
        try:
            status = command.wait(180)
        finally:
            command.send_signal(signal.SIGKILL)
        return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())


def _run(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, said: tuple[Path, Path]) -> None:
    for descriptor, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.orig_argv = ["trellis", *arguments], [*TRELLIS, *arguments]
    main()


def free_port() -> int:
    """A port that nobody has, below those of outgoing connections: one of these may take it before who asked does."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


@contextmanager
def up(data: Path, port: int, *arguments: str) -> Iterator[Command]:
    """`trellis up`, ready; stopped at the end if it still runs. A new folder is one on which it has started once."""
    if not data.exists():
        subprocess.run(["cp", "-a", _started_once(), data], check=True)
    with at_work(data, port, *arguments) as command:
        yield command


@cache
def _started_once() -> Path:
    """Empty databases and keys: to make them takes seconds of processor time, to copy them a tenth of one."""
    data = Path(tempfile.mkdtemp(prefix="started-", dir="/tmp")) / "var"
    data.parent.chmod(0o711)  # PostgreSQL may run as another user
    atexit.register(shutil.rmtree, data.parent)
    with at_work(data, free_port()):
        pass
    return data


@contextmanager
def at_work(data: Path, port: int, *arguments: str) -> Iterator[Command]:
    """As :func:`up`, on this folder as it is."""
    log = data.with_suffix(".log")
    command = Command(("up", "--port", str(port), "--data", str(data), *arguments), log, log)
    try:
        _wait_until_ready(command, port, log)
        yield command
    finally:
        command.send_signal(signal.SIGINT)
        command.wait(timeout=20)


def _wait_until_ready(command: Command, port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and command.returncode is None:
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
