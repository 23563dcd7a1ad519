"""One line of JSON for each figure."""

import json
import os
import sys
from typing import Any


def report(*, name: str, seconds: float, ratio: float, **figures: Any) -> None:
    """Print what was measured; ``load`` is how busy the machine was with all its work over the last minute."""
    line = {"name": name, "seconds": seconds, "ratio": ratio, **figures, "load": os.getloadavg()[0]}
    print(json.dumps(_rounded(line)), flush=True)


def note(text: str) -> None:
    """Tell whoever waits what is being done."""
    print(text, file=sys.stderr, flush=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value
