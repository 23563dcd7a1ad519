"""The groups of many students at once, for ratios of whole groups: given to the service that makes them, and to nobody else."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from common.access import require
from common.app import Router
from common.audit.writing import about
from common.db import Session
from common.idempotency import repeatable
from common.runtime import RuntimeOf
from common.sealed import Vault
from sis.languages import LANGUAGES
from sis.policy import CONTACTS, GROUPS
from sis.rules.groups import together
from sis.storing import open_secret

router = Router("sis", tags=["groups"])

MOST_STUDENTS = 1_000
"""So many are opened in a few hundredths of a second."""

_SAID = sa.text(
    """
    SELECT place::int, id, sealed
    FROM unnest(CAST(:students AS uuid[])) WITH ORDINALITY AS asked(student_id, place), LATERAL (
        SELECT id, sealed FROM sis_document
        WHERE student_id = asked.student_id AND resource = 'studentEducationOrganizationAssociations' AND NOT deleted OFFSET 0
    ) AS association
    ORDER BY place, id
    """
)


class GroupsAsked(BaseModel):
    """Whose groups are asked for."""

    model_config = ConfigDict(extra="forbid")

    students: Annotated[list[UUID], Field(max_length=MOST_STUDENTS)]


class Groups(BaseModel):
    """One entry for each student who was asked for, in that order; null where the SIS said nothing that names a group."""

    race: Annotated[list[str | None], Field(description="One of the seven groups of 34 CFR 300.647.")]
    sex: list[str | None]
    disability: list[str | None]
    language: Annotated[list[str | None], Field(description="Of the home, by its code of ISO 639.")]


@router.post("/v1/equity/groups", dependencies=[require(services=("mtss",), reads=["equity_group"], purpose="equity")])
@repeatable("it changes nothing")
async def read_groups(asked: GroupsAsked, session: Session, runtime: RuntimeOf) -> Groups:
    """The groups of these students. It changes nothing; the students stand in the body, so that no log has them."""
    rows = (await session.execute(_SAID, {"students": asked.students})).all()
    about(*asked.students)
    return await asyncio.to_thread(_groups, runtime.vault, len(asked.students), rows)


def _groups(vault: Vault, students: int, rows: Sequence[Any]) -> Groups:
    said: dict[int, list[Mapping[str, Any]]] = {}
    for place, identity, sealed in rows:
        said.setdefault(place, []).append(open_secret(vault, identity, sealed))
    details = {place: together(associations) for place, associations in said.items()}

    def of_each(group: Callable[[Mapping[str, Any]], str | None]) -> list[str | None]:
        return [group(details[place]) if place in details else None for place in range(1, students + 1)]

    return Groups(
        race=of_each(GROUPS.race),
        sex=of_each(GROUPS.sex),
        disability=of_each(GROUPS.disability),
        language=of_each(lambda each: CONTACTS.language(each, LANGUAGES)),
    )
