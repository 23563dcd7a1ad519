"""What ``surveys`` says: scores, never answers."""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.events.base import Event, SchoolId


class SubscaleScore(BaseModel):
    """The mean of one subscale, reversed items already turned."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    subscale: Annotated[str, Field(max_length=60)]
    mean: Annotated[float, Field(ge=1, le=7)]
    answered: Annotated[int, Field(ge=1)]
    items: Annotated[int, Field(ge=1)]
    prorated: bool = Field(description="Some items were missing: this score alone moves no tier.")


class SurveyScored(Event):
    """One student's scores in one survey window; a subscale with too few answers is absent."""

    owner: ClassVar[str] = "surveys"
    fact: ClassVar[tuple[str, ...]] = ("student_id", "window_id")
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "student_id"

    student_id: UUID
    window_id: UUID
    school_id: SchoolId
    instrument: Annotated[str, Field(max_length=80)]
    answered_on: date
    scores: tuple[SubscaleScore, ...]
