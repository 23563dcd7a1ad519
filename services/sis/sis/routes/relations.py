"""Whom staff answer for beyond their sections: caseloads, counselors, trusted adults, grades."""

from datetime import date, datetime
from operator import attrgetter
from typing import Annotated, Self
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel import col

from common.access import require
from common.app import Router
from common.auth import Principal
from common.db import Session, transaction_time
from common.events import Relation
from common.events.base import SchoolId
from common.idempotency import ONCE
from common.paging import Cursor, Limit, Page, keyset, next_of
from common.runtime import Today
from sis import relations
from sis.models import StaffRelation

router = Router("sis", tags=["staff"])

Keeper = Annotated[Principal, require("district", "principal", reads=["directory"], purpose="administration")]
_NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"


class RelationAsked(BaseModel):
    """For whom a member of staff shall answer: one student, or with ``grade`` a grade of a school.

    Both days count; without ``begin_on`` it begins today, without ``end_on`` it goes on.
    """

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {
                "staff_id": "0190f6a8-0000-4000-8000-000000000001",
                "kind": "caseload",
                "student_id": "0190f6a8-0000-4000-8000-000000000002",
                "begin_on": "2026-09-01",
                "end_on": "2027-06-11",
            }
        },
    )

    staff_id: UUID
    kind: Relation
    student_id: UUID | None = None
    school_id: Annotated[SchoolId | None, Field(pattern=_NO_CONTROL)] = None
    grade: Annotated[str | None, Field(min_length=1, max_length=60, pattern=_NO_CONTROL)] = None
    begin_on: date | None = None
    end_on: date | None = None

    @model_validator(mode="after")
    def _names_one_student_or_one_grade(self) -> Self:
        of_grade = self.kind is Relation.GRADE
        if (self.student_id is None) != of_grade or {self.school_id is None, self.grade is None} != {not of_grade}:
            raise ValueError("a grade is named by school_id and grade, everything else by student_id alone")
        return self


class RelationShown(BaseModel):
    """A relation, who said so and who ended it. A withdrawn one never counted."""

    id: UUID
    staff_id: UUID
    kind: Relation
    student_id: UUID | None
    school_id: str | None
    grade: str | None
    begin_on: date
    end_on: date | None
    made_at: datetime
    made_by: str
    ended_at: datetime | None
    ended_by: str | None
    withdrawn: bool


@router.post("/v1/relations", status_code=201, dependencies=[ONCE])
async def create_relation(asked: RelationAsked, session: Session, who: Keeper, today: Today) -> RelationShown:
    """Let a member of staff answer for a student or a grade; a principal for those of their schools."""
    relation = StaffRelation(
        **asked.model_dump(exclude={"begin_on"}),
        id=uuid_utils.uuid7(),
        begin_on=asked.begin_on or today,
        made_at=await transaction_time(session),
        made_by=who.subject,
        withdrawn=False,
    )
    await relations.relate(session, who, relation)
    return _shown(relation)


@router.get("/v1/relations")
async def list_relations(
    session: Session,
    who: Keeper,
    limit: Limit = 100,
    cursor: Cursor = None,
    staff: UUID | None = None,
    student: UUID | None = None,
) -> Page[RelationShown]:
    """Relations of all times, oldest first: of one member of staff, about one student, or all that this token sees."""
    query = sa.select(StaffRelation).where(relations.seen_by(who))
    for column, wanted in ((StaffRelation.staff_id, staff), (StaffRelation.student_id, student)):
        if wanted is not None:
            query = query.where(col(column) == wanted)
    rows = (await session.scalars(keyset(query, col(StaffRelation.id), cursor, limit))).all()
    return Page(items=[_shown(row) for row in rows[:limit]], next=next_of(rows, limit, attrgetter("id")))


@router.delete("/v1/relations/{relation_id}")
async def end_relation(relation_id: UUID, session: Session, who: Keeper, today: Today) -> RelationShown:
    """Let a relation end today; one that began today or later never counted. It stays in the list."""
    return _shown(await relations.end(session, who, relation_id, today))


def _shown(relation: StaffRelation) -> RelationShown:
    return RelationShown.model_validate(relation.model_dump())
