"""The HTTP server of a process, and restarts that refuse nobody: by draining, and by handing the listening socket on."""

import asyncio
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import uvicorn
from starlette.types import ASGIApp

from common.connections import Bounded, cut_late
from common.settings import NotConfigured

KEEP_ALIVE_SECONDS = 90
"""So long does an idle connection stay open: exporters keep theirs for 75 s and lose a row when we are quicker."""
DRAIN_SECONDS = 3.0
"""How long one that is to stop goes on answering, each answer asking the client to connect anew."""
STOP_SECONDS = 2
_FIRST_INHERITED = 3
_TICKS_A_SECOND = 10


def listen(host: str, port: int) -> socket.socket:
    """The socket that was handed on to this process, or a new one on ``host`` and ``port``.

    Handed on as systemd does: ``LISTEN_FDS`` and ``LISTEN_PID``, the socket being file descriptor 3.

    Raises:
        NotConfigured: the port is taken, or this user may not open it.
    """
    if (os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")) == (str(os.getpid()), "1"):
        inherited = socket.socket(fileno=_FIRST_INHERITED)
        inherited.set_inheritable(False)  # PostgreSQL is not to hold it
        return inherited
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EACCES:
            raise NotConfigured(f"This user may not open port {port}: choose another with --port.") from None
        raise NotConfigured(f"Port {port} is taken: stop what uses it or choose another with --port.") from None
    return listener


def start_again(listener: socket.socket) -> NoReturn:
    """Become a new process of the same command, which takes over ``listener`` and whoever waits there."""
    os.dup2(listener.fileno(), _FIRST_INHERITED, inheritable=True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (no shell is what is wanted)


def serve_http(application: ASGIApp, listener: socket.socket, *, drains: bool) -> socket.socket | None:
    """Serve until a signal says to stop; the listening socket if it said to start again (SIGHUP), else ``None``.

    With ``drains``, SIGTERM too first asks whoever is connected to connect anew, elsewhere.

    Raises:
        NotConfigured: the application did not start.
    """
    configuration = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        http=Bounded,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Server(configuration, listener, drains={signal.SIGHUP, *([signal.SIGTERM] if drains else [])})
    server.run(sockets=[listener])
    if not server.started:
        raise NotConfigured("The service did not start; its log says why.")
    return server.handed_on


class _Server(uvicorn.Server):
    """A server that leaves in good order, and lets us end what else we started instead of raising the signal again."""

    def __init__(self, configuration: uvicorn.Config, listener: socket.socket, *, drains: set[signal.Signals]) -> None:
        super().__init__(configuration)
        self.listener, self.drains = listener, drains
        self.handed_on: socket.socket | None = None
        self.leaves_at: float | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig not in self.drains:
            super().handle_exit(sig, frame)
        elif self.leaves_at is None:
            self.leaves_at = time.monotonic() + DRAIN_SECONDS
            self.config.encoded_headers.append((b"connection", b"close"))
            if sig == signal.SIGHUP:
                self.handed_on = self.listener.dup()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_SECOND == 0:
            cut_late(self.server_state.connections, asyncio.get_running_loop().time())
        if self.handed_on:
            for server in self.servers:  # who connects from now on waits for the next process
                server.close()
        if self.leaves_at and (not self.server_state.connections or time.monotonic() > self.leaves_at):
            self.should_exit = True
        return await super().on_tick(counter)
