"""Calculations that come to no end, or to a bad one, which a process of its own can find by their names."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from mtss.rules.policy import PolicyInvalid


def endless(step: Callable[[], None], *_: Any) -> None:
    while True:
        time.sleep(0.05)
        step()


def failing(_: Callable[[], None]) -> float:
    return 1 / 0


def refusing(_: Callable[[], None]) -> None:
    raise PolicyInvalid(field="clauses.a", rule="cannot be rehearsed yet")


def killed(_: Callable[[], None]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
