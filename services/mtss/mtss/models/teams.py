"""Table of what is put before a team."""

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

from common.db import Table
from common.sealed import Sealed
from mtss.models.tables import moment


class TeamReferral(Table, table=True):
    """A student put before a team of the district's catalogue; it waits until the team has met, and what it agreed is kept."""

    __tablename__ = "mtss_team_referral"
    __table_args__ = (sa.Index("mtss_team_referral_student", "student_id"),)

    id: UUID = Field(primary_key=True, default_factory=uuid_utils.uuid7)
    student_id: UUID
    team: str
    """Its name in the catalogue."""
    members: dict[str, str] = Field(sa_type=JSONB)
    """For each role of the team the member of staff who has it for this student, by the id that sis gives them."""
    asked_on: date
    by: str
    reason: bytes = Field(default=None, sa_type=Sealed)
    known_at: datetime = moment()
    """When that was written down."""
    met_on: date | None = None
    present: list[str] | None = Field(default=None, sa_type=ARRAY(sa.String))
    """Which of the roles were there."""
    agreed: bytes | None = Field(default=None, sa_type=Sealed)
    recorded_by: str | None = None
    recorded_at: datetime | None = moment(nullable=True)
