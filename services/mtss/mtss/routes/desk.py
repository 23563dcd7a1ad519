"""The desk at which a person rules: who may, one student locked before them, and what they decided as it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

import sqlalchemy as sa
from fastapi import Depends, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import require, visible_to
from common.auth import Principal
from common.db import Session
from common.errors import NotFound
from common.events import Tier
from common.paging import keyset, next_of
from common.preconditions import IfMatch, check_seen
from common.runtime import RuntimeOf, Today
from common.sealed import Vault
from common.words import Words
from mtss.models import Ruling, Student
from mtss.routes.documents import MIXES, PURPOSE, READS
from mtss.ruling import reason_of, rule, version_of

Decider = Annotated[
    Principal, require("district", "principal", "counselor", reads=(*READS, *MIXES, "narrative"), purpose=PURPOSE)
]
"""Who decides about students, and reads why others did."""
DECIDED = frozenset({*MIXES, "narrative"})
Holder = Annotated[
    Principal,
    require(
        "district", "principal", "counselor", "facilitator", "teacher", reads=READS, mixes=DECIDED, purpose=PURPOSE
    ),
]
"""Who decides about students; and who has something, which they read whole, whatever their role reads elsewhere."""


class Reasoned(BaseModel):
    """Why somebody decides so. It is sealed, and read by those alone who decide too."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"example": {"reason": "Her counselor and family have met and agree."}},
    )

    reason: Annotated[Words, Field(min_length=10)]


class RulingDocument(BaseModel):
    """What a person decided. It never changes; another ruling may follow."""

    id: UUID
    student_id: UUID
    number: int
    kind: Annotated[
        str, Field(description="accepted, declined, overridden, withdrawn, support_begun, support_ended or looked")
    ]
    tier: Annotated[
        Tier,
        Field(
            description="What was proposed, or what the override says; of a support, the tier without an override then."
        ),
    ]
    made_on: date
    until: Annotated[date | None, Field(description="The last day of an override.")]
    proposal_id: UUID | None
    support_id: UUID | None
    by: str
    known_at: datetime
    reason: str


class OfStudent(Protocol):
    """A row about one student."""

    id: UUID
    student_id: UUID


Row = TypeVar("Row", bound=OfStudent)


@dataclass
class Desk:
    """Where ``who`` rules today, over what ``expected`` says that they saw."""

    session: AsyncSession
    vault: Vault
    who: Principal
    today: date
    response: Response
    expected: str | None

    async def student(self, student_id: UUID) -> Student:
        """A student whom they see, locked until the end of the request.

        Raises:
            NotFound: they are not seen, or no longer enrolled anywhere.
        """
        return await locked_student(self.session, self.who, student_id)

    async def rule(self, student: Student, reason: str, **said: Any) -> RulingDocument:
        """Keep what was decided about a student who is locked; the answer has the next ETag."""
        check_seen(self.expected, await version_of(self.session, student))
        said |= {"made_on": self.today, "by": self.who.subject}
        ruling = await rule(self.session, self.vault, student, reason, **said)
        self.response.headers["ETag"] = await version_of(self.session, student)
        return shown(self.vault, ruling)


async def locked_student(session: AsyncSession, who: Principal, student_id: UUID) -> Student:
    """A student whom ``who`` sees, locked until the end of the request.

    Raises:
        NotFound: they are not seen, or no longer enrolled anywhere.
    """
    seen = col(Student.enrolled), visible_to(who, col(Student.student_id))
    asked = sa.select(Student).where(col(Student.student_id) == student_id, *seen).with_for_update()
    student = (await session.scalars(asked)).one_or_none()
    if student is None:
        raise NotFound(what="student")
    return student


async def open_desk(
    who: Decider, session: Session, runtime: RuntimeOf, today: Today, response: Response, expected: IfMatch = None
) -> Desk:
    """The desk of this request."""
    return Desk(session, runtime.vault, who, today, response, expected)


At = Annotated[Desk, Depends(open_desk, scope="function")]


async def open_holders_desk(
    who: Holder, session: Session, runtime: RuntimeOf, today: Today, response: Response, expected: IfMatch = None
) -> Desk:
    """The desk of who works on what they have."""
    return Desk(session, runtime.vault, who, today, response, expected)


HoldersAt = Annotated[Desk, Depends(open_holders_desk, scope="function")]


async def page_of(
    session: AsyncSession,
    who: Principal,
    student_id: UUID,
    rows: type[Row],
    by: Any,
    cursor: str | None,
    limit: int,
    *which: sa.ColumnElement[bool],
) -> tuple[Sequence[Row], str | None]:
    """A page of the rows about one student by a column of theirs, and the cursor of what follows.

    Raises:
        NotFound: the student is not seen.
        Invalid: this is no cursor of such a list.
    """
    seen = sa.select(sa.exists().where(col(Student.student_id) == student_id, visible_to(who, col(Student.student_id))))
    if not await session.scalar(seen):
        raise NotFound(what="student")
    mine = col(rows.student_id) == student_id, visible_to(who, col(rows.student_id))
    asked = sa.select(rows).where(*mine, *which)
    found = (await session.scalars(keyset(asked, by, cursor, limit))).all()
    return found[:limit], next_of(found, limit, attrgetter(by.key))


def shown(vault: Vault, ruling: Ruling) -> RulingDocument:
    """A ruling as it is answered."""
    return RulingDocument.model_validate({**ruling.model_dump(exclude={"reason"}), "reason": reason_of(vault, ruling)})
