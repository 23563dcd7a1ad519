"""Table of how students are, as who follows up found them."""

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlmodel import Field

from common.db import Table
from common.sealed import Sealed
from mtss.models.tables import moment


class Pulse(Table, table=True):
    """Somebody spoke with a student and asked how they are: a mark of a series, and what was said and done. Never changed."""

    __tablename__ = "mtss_pulse"
    __table_args__ = (sa.Index("mtss_pulse_student", "student_id", "asked_on"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    student_id: UUID
    asked_on: date
    wellbeing: int = Field(sa_type=sa.SmallInteger)
    """From 1, very bad, to 5, very good, in the student's own judgement."""
    words: bytes = Field(default=None, sa_type=Sealed)
    by: str
    known_at: datetime = moment()
