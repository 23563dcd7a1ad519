"""Waiting with a deadline: a test that waits says what it waits for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(what: str, ask: Callable[[], Awaitable[T]], *, within: float = 30, every: float = 0.05) -> T:
    """The first true answer of ``ask``.

    Raises:
        AssertionError: there was none in time; it says what was waited for and the last answer.
    """
    until = time.monotonic() + within
    while not (answer := await ask()):
        assert time.monotonic() < until, f"not within {within:g} s: {what} (last answer: {answer!r})"
        await asyncio.sleep(every)
    return answer


async def soon(what: str, ask: Callable[[], T], *, within: float = 30, every: float = 0.05) -> T:
    """As :func:`eventually`, for a question whose answer is at hand."""

    async def asked() -> T:
        return ask()

    return await eventually(what, asked, within=within, every=every)
