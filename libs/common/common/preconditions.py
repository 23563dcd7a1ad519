"""Nobody's change is lost where two people edit: who changes something names the version they saw, in ``If-Match``.

Source: RFC 9110, section 13.1.1, and RFC 6585, section 3 (428).
"""

import hashlib
from typing import Annotated, ClassVar

from fastapi import Header

from common.errors import DomainError

IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="The ETag of what was seen before this change."),
]


class SeenVersionMissing(DomainError):
    """Name in If-Match the ETag of what you saw: without it this could undo what somebody else has done since."""

    status: ClassVar[int] = 428


class SeenVersionGone(DomainError):
    """It has been changed since the version that If-Match names was read: read it again, then decide."""

    status: ClassVar[int] = 412


def etag_of(*version: object) -> str:
    """The entity tag of what these values, which must differ whenever it does, stand for. It is a strong one."""
    digest = hashlib.sha256("\x1f".join(map(str, version)).encode())
    return f'"{digest.hexdigest()[:32]}"'


def names(header: str, etag: str) -> bool:
    """Whether the entity tags of ``If-Match`` or ``If-None-Match`` name this one, with quotes or without.

    One that a proxy made weak while it compressed the answer is ours all the same.
    """
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))
    return any(tag in ("*", etag.strip('"')) for tag in tags)


def check_seen(expected: str | None, etag: str) -> None:
    """Nothing if ``If-Match`` names this version. ``*``, which names none, counts as no header.

    Raises:
        SeenVersionMissing: it is not there.
        SeenVersionGone: it names others.
    """
    if expected is None or expected.strip() == "*":
        raise SeenVersionMissing
    if not names(expected, etag):
        raise SeenVersionGone
