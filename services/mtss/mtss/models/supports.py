"""Tables of the supports that students receive, and of what was tried."""

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlmodel import Field

from common.db import Table
from common.sealed import Sealed
from mtss.models.tables import moment


class Support(Table, table=True):
    """A support that a student receives until a person ends it. That it began and ended, by whom and why, are rulings.

    Whose it is says the last handover; what was tried is told by its attempts.
    """

    __tablename__ = "mtss_support"
    __table_args__ = (sa.Index("mtss_support_student", "student_id"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    student_id: UUID
    kind: str
    """Its name in the district's catalogue."""
    tier: str
    """What the catalogue said of it when it began."""
    begun_on: date
    first_review_on: date | None
    """The instructional day by which somebody was to look whether it helps, as said when it began; none where that was not kept."""
    review_on: date
    """The same as said last: with each attempt another, which the attempt keeps. Nothing else of a support moves but its end."""
    attempts: int = 0
    ended_on: date | None = None
    ending: str | None = None
    """How it ended, by its name in the catalogue."""
    contexts: bytes | None = Field(default=None, sa_type=Sealed)
    """What weighed on the student when it began, by the names of the catalogue."""
    known_at: datetime = moment()


class Attempt(Table, table=True):
    """Somebody looked what was tried with a support and what came of it; it goes on until the next review. Never changed."""

    __tablename__ = "mtss_attempt"
    __table_args__ = (sa.UniqueConstraint("support_id", "number"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    support_id: UUID
    student_id: UUID
    number: int
    reviewed_on: date
    progress: str
    tried: bytes = Field(default=None, sa_type=Sealed)
    next_review_on: date
    contexts: bytes | None = Field(default=None, sa_type=Sealed)
    """What weighs on the student now, where the review says so."""
    by: str
    known_at: datetime = moment()
