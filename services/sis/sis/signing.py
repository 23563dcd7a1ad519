"""Who signs in: the names under which the identity provider knows a member of staff, found without being readable."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from common.db import fetch
from common.sealed import Vault
from sis.rules.members import objects_at
from sis.standing import Standing

_FORGET = sa.text("DELETE FROM sis_sign_in WHERE staff_id = ANY(CAST(:ids AS uuid[]))")
_REMEMBER = sa.text(
    """
    INSERT INTO sis_sign_in (digest, staff_id)
    SELECT * FROM unnest(CAST(:digests AS bytea[]), CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING
    """
)
_FIND = sa.text("SELECT DISTINCT staff_id FROM sis_sign_in WHERE digest = ANY(CAST(:digests AS bytea[])) LIMIT 2")


class Claim(StrEnum):
    """What the identity provider names a member of staff by."""

    EMAIL = "email"
    STAFF_UNIQUE_ID = "staff_unique_id"


async def remember(session: AsyncSession, vault: Vault, changed: Sequence[Standing]) -> None:
    """Keep the names of these staff as they stand now; those who are gone have none."""
    names = [(vault.digest(name), one.id) for one in changed if not one.content.deleted for name in _names(one)]
    await fetch(session, _FORGET, {"ids": [one.id for one in changed]})
    if names:
        await fetch(session, _REMEMBER, {"digests": [one for one, _ in names], "ids": [one for _, one in names]})


async def staff_named(session: AsyncSession, vault: Vault, claim: Claim, value: str) -> UUID | None:
    """The one member of staff of this name; ``None`` if there is none, or if several share it: nobody is guessed."""
    found = await fetch(session, _FIND, {"digests": vault.digests(_name(claim, value))})
    return found[0][0] if len(found) == 1 else None


def _names(staff: Standing) -> Iterator[str]:
    yield _name(Claim.STAFF_UNIQUE_ID, staff.content.body["staffUniqueId"])
    for mail in objects_at(staff.content.secret, "electronicMails[]"):
        yield _name(Claim.EMAIL, mail["electronicMailAddress"])


def _name(claim: Claim, value: str) -> str:
    """The same text for a name in any case."""
    return f"{claim}\n{value.strip().casefold()}"
