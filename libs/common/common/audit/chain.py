"""The audit log as a chain: what an entry is, the digest that binds it to all before it, and what breaks when one is touched.

An entry's digest is the SHA-256 of the digest before and of everything that the entry says. So an entry cannot be changed, added
or taken away without all after it being made anew; and that the newest were not made anew, or taken away, show anchors: digests
that were said outside the database.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

Anchors = Mapping[int, frozenset[str]]
"""Of a service: by its number the digests that an entry was said to have."""


class Entry(BaseModel):
    """One row of the audit log, sealed: who changed or read what, about whom, and never what it said."""

    number: int
    id: UUID
    at: AwareDatetime
    subject: str
    role: str
    method: str
    route: str
    purpose: str
    reads: list[str]
    students: list[UUID]
    status: int
    repeated: bool
    request: str | None
    digest: str


@dataclass(slots=True)
class Checked:
    """How many entries were looked at, and what is wrong with them, a sentence each."""

    sealed: int = 0
    faults: list[str] = field(default_factory=list)


def anchors_in(lines: Iterable[str]) -> dict[str, Anchors]:
    """The anchors in the lines of a log, by service. Lines that are none, or that no program of ours wrote, are passed over."""
    found: dict[str, dict[int, frozenset[str]]] = {}
    for line in lines:
        try:
            said = _Anchor.model_validate_json(line)
        except ValueError:
            continue
        of = found.setdefault(said.service, {})
        of[said.count] = of.get(said.count, frozenset()) | {said.digest}
    return dict(found)


class _Anchor(BaseModel):
    event: Literal["the audit log was anchored"]
    service: str
    count: int
    digest: str


def beginning(service: str) -> str:
    """What stands before the first entry of a service: no entry of another's fits there."""
    return hashlib.sha256(f"trellis audit {service}".encode()).hexdigest()


def digest_of(previous: str, entry: Entry) -> str:
    """The digest of an entry that follows one with the digest ``previous``; its own is not looked at."""
    # Without what is null, so that a column that is added one day changes no digest of before.
    said = {name: value for name, value in entry if name != "digest" and value is not None}
    text = json.dumps(said, default=_plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else str(value)


def check(service: str, entries: Iterable[Entry], anchors: Anchors) -> Checked:
    """What is wrong with the sealed ``entries`` of a service, all of them in the order of their numbers: nothing, if it is whole."""
    found, last, previous = Checked(), 0, beginning(service)
    for entry in entries:
        found.sealed += 1
        if entry.number > last + 1:
            found.faults.append(_missing(last + 1, entry.number - 1))  # what it follows is gone, and so its own proof
        elif digest_of(previous, entry) != entry.digest:
            found.faults.append(f"row {entry.number} was changed or added, or the one before it was")
        if anchors.get(entry.number, {entry.digest}) != {entry.digest}:
            found.faults.append(
                f"row {entry.number} is not the one that was anchored: it or some before it were made anew"
            )
        last, previous = entry.number, entry.digest
    if (anchored := max(anchors, default=0)) > last:
        found.faults.append(f"{_missing(last + 1, anchored)}, as an anchor shows")
    return found


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"
