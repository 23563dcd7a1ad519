"""``trellis up`` as a process of its own, its logs out of the way, stopped cleanly however the run ends."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from common import embedded

_TRELLIS = (sys.executable, "-c", "from common.cli import main; main()")
_START_SECONDS, _STOP_SECONDS, _LOOK_SECONDS = 110.0, 4.5, 0.5
_OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotStarted(Exception):
    """The services did not come up. The message is one sentence that says what to do."""


@dataclass
class Server:
    """All services at work on ``url``."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_ready(self) -> None:
        """Return once every service is ready.

        Raises:
            NotStarted: it ended or took too long.
        """
        gives_up = time.monotonic() + _START_SECONDS
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as http:
            while not _ready(http):
                if self.process.poll() is not None:
                    raise NotStarted(self.last_words())
                if time.monotonic() > gives_up:
                    raise NotStarted(f"The services are not ready after {_START_SECONDS:.0f} s: {self.log} says why.")
                time.sleep(0.1)

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Meanwhile, end whatever is done here as soon as the services are gone or their disk is full.

        Raises:
            NotStarted: they are, or it is.
        """
        done, failed = threading.Event(), threading.Event()
        thread = threading.Thread(target=self._attend, args=(done, failed), name="attends the services", daemon=True)
        thread.start()
        try:
            yield
        except KeyboardInterrupt:
            if not failed.is_set():
                raise
            raise NotStarted(self.last_words()) from None
        finally:
            done.set()
            thread.join()

    def _attend(self, done: threading.Event, failed: threading.Event) -> None:
        while not done.wait(_LOOK_SECONDS):
            if self.process.poll() is not None or embedded.is_full(self.data):
                failed.set()
                # As Ctrl-C does: it also ends what waits patiently in an event loop or a pause.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return

    def last_words(self) -> str:
        """That the disk is full, else the last line that the process wrote, or where to look."""
        if embedded.is_full(self.data):
            return embedded.sentence_of("", self.data)
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return lines[-1] if lines else f"The services ended without a word: look into {self.log.parent}."

    def stop(self) -> None:
        """End the services and their PostgreSQL, within 5 seconds."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        embedded.stop(self.data)


@contextmanager
def served(data: Path, port: int, settings: dict[str, str]) -> Iterator[Server]:
    """All services on ``port``, with these settings on top of the environment's."""
    logs = data / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = logs / "up.log"
    environment = os.environ | {"TRELLIS_LOG_FOLDER": str(logs)} | settings
    command: Sequence[str] = (*_dying_with_us(), *_TRELLIS, "up", "--port", str(port), "--data", str(data))
    with log.open("wb") as output:
        # A session of its own: Ctrl-C is ours to pass on.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    server = Server(f"http://127.0.0.1:{port}", data, process, log)
    try:
        yield server
    finally:
        # An impatient second Ctrl-C must not leave PostgreSQL behind.
        before = {each: signal.signal(each, signal.SIG_IGN) for each in _OURS}
        try:
            server.stop()
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def _dying_with_us() -> tuple[str, ...]:
    """What makes a command end as by Ctrl-C once we are gone, even by kill -9; nothing where the system cannot."""
    found = shutil.which("setpriv")
    return (found, "--pdeathsig", "INT") if found else ()


def _ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
