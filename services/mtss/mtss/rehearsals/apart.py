"""Work in a process of its own: whoever asks mtss meanwhile does not wait for it.

It ends when it is done, when we let go of it, and when we are gone, however that came.
"""

import asyncio
import os
import pickle
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Callable
from typing import Any, cast

from common.errors import DomainError

_NICER = 10
"""How far it gives way where processors are scarce, from 0 to 19 (ours)."""
_STEP, _DONE, _REFUSED, _BROKEN = b"sdrb"
_LENGTH = 8

Step = Callable[[], None]
Work = Callable[..., Any]
"""What is done with what was given, and says each of its steps: ``work(step, *given)``. It is found by its name."""


class Refused(DomainError):
    """{reason}."""


class Broken(Exception):
    """The work failed; the message says with which error and where, never its text."""


class Gone(ConnectionError):
    """The process ended before its work was done: trying again may help."""


async def apart(work: Work, *given: Any, heard: Step = lambda: None) -> Any:
    """What ``work`` comes to in a process of its own; each of its steps is ``heard``. Cancelled, the process ends at once.

    Raises:
        Refused: the work was refused for a reason that people may read.
        Broken: it failed.
        Gone: somebody ended the process.
    """
    command = (sys.executable, "-m", "mtss.rehearsals.apart")
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
    try:
        return await _answer(process, pickle.dumps((work, given)), heard)
    except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
        raise Gone from None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answer(process: asyncio.subprocess.Process, asked: bytes, heard: Step) -> Any:
    to, answers = cast(asyncio.StreamWriter, process.stdin), cast(asyncio.StreamReader, process.stdout)
    to.write(asked)  # and it stays open: its end tells that we are gone
    await to.drain()
    while True:
        kind = (await answers.readexactly(1))[0]
        body = await answers.readexactly(int.from_bytes(await answers.readexactly(_LENGTH), "big"))
        if kind == _STEP:
            heard()
        elif kind == _DONE:
            return pickle.loads(body)  # noqa: S301 (from our own child)
        else:
            raise Refused(reason=body.decode()) if kind == _REFUSED else Broken(body.decode())


def _main() -> None:
    os.nice(_NICER)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    work, given = pickle.load(sys.stdin.buffer)  # noqa: S301 (from our own parent)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def say(kind: int, body: bytes = b"") -> None:
        answers.write(bytes((kind,)) + len(body).to_bytes(_LENGTH, "big") + body)
        answers.flush()

    try:
        found = work(lambda: say(_STEP), *given)
    except DomainError as refused:
        say(_REFUSED, refused.detail.rstrip(".").encode())
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent says it)
        from common.logs import place_of

        say(_BROKEN, f"{type(error).__name__} at {place_of(error)}".encode())
    else:
        say(_DONE, pickle.dumps(found))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    _main()
