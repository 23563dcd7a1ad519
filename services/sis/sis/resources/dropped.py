"""Members of the standard that may be sent and of which nothing is kept."""

from collections.abc import Mapping
from pathlib import Path

_FILE = Path(__file__).with_name("dropped.txt")


def _dropped() -> dict[str, tuple[str, ...]]:
    lines = (line.split() for line in _FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    found: dict[str, tuple[str, ...]] = {}
    for resource, path in lines:
        found[resource] = (*found.get(resource, ()), path)
    return found


DROPPED: Mapping[str, tuple[str, ...]] = _dropped()
"""Their paths, such as ``behaviors[].behaviorDescriptor``, by resource."""


def dropped_lists(resource: str) -> dict[str, list[str]]:
    """Lists in documents of ``resource`` of which some or all is dropped, and what tells their items apart."""
    found: dict[str, list[str]] = {}
    for path in DROPPED.get(resource, ()):
        head, is_list, key = path.partition("[]")
        if is_list:
            found.setdefault(head, []).extend([key.removeprefix(".")] if key else [])
    return found
