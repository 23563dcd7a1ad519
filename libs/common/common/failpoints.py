"""Named places where a test may kill this process, to prove that nothing is lost there.

``TRELLIS_FAILPOINT=name:3`` kills the process with SIGKILL at the third time it passes ``name``. Unset, a fail-point costs
one comparison.
"""

import os
import signal
from typing import Literal, get_args

Name = Literal[
    "relay-before-send",
    "relay-after-send",
    "inbox-before-commit",
    "inbox-after-commit",
    "sender-after-send",
    "adoption-before-commit",
    "audit-before-seal",
]
NAMES: tuple[str, ...] = get_args(Name)

_armed, _, _count = os.environ.get("TRELLIS_FAILPOINT", "").partition(":")
_left = {_armed: int(_count or "1")} if _armed else {}


def failpoint(name: Name) -> None:
    """Kill this process if the test armed ``name`` and this is the time it asked for."""
    if name not in _left:
        return
    _left[name] -= 1
    if _left[name] <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
