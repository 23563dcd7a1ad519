"""Members of the standard that may be sent and of which nothing is kept."""

from collections.abc import Iterator, Mapping
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


def dropped_lists(resource: str) -> Iterator[str]:
    """The names of lists in documents of ``resource`` of which some or all is dropped."""
    for path in DROPPED.get(resource, ()):
        head, found, _ = path.partition("[]")
        if found:
            yield head
