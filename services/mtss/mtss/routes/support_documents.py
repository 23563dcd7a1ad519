"""What is said and asked of supports."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.events import Tier
from common.words import Words
from mtss.routes.desk import Reasoned
from mtss.routes.handing import Assigned

Name = Annotated[str, Field(max_length=60)]


class KindDocument(BaseModel):
    """A support that students of this district may receive."""

    model_config = ConfigDict(from_attributes=True)

    name: Annotated[str, Field(examples=["mentor"])]
    title: str
    tier: Tier
    outcomes: Annotated[list[str], Field(description="What it is for, by the names in `outcomes`.")]
    grades: Annotated[list[str], Field(description="For whom it is made; none: for each grade.")]
    audience: Annotated[list[str], Field(description="Who takes part: student, family, staff, community.")]
    review_within: Annotated[int, Field(description="Instructional days until it is to be reviewed, at most.")]
    offered: bool


class EndingDocument(BaseModel):
    """How a support may end."""

    model_config = ConfigDict(from_attributes=True)

    name: Annotated[str, Field(examples=["goal-met"])]
    title: str
    needs_review: Annotated[bool, Field(description="Whether it may end so only after somebody has reviewed it.")]


class SignDocument(BaseModel):
    """What staff may have noticed about a student for whom they ask for help."""

    name: Annotated[str, Field(examples=["alone"])]
    title: str
    urgent: Annotated[bool, Field(description="Whether a request that names it is to be answered on the same day.")]


class TeamDocument(BaseModel):
    """A team that a student may be put before."""

    name: Annotated[str, Field(examples=["problem-solving"])]
    title: str
    roles: Annotated[list[str], Field(description="Who has the first of them sees to it.")]
    meets_within: Annotated[int, Field(description="Instructional days until it is to meet.")]


Contexts = Annotated[
    list[Name],
    Field(
        max_length=20,
        description="What may weigh on the student beside school, by the names of the catalogue; sealed.",
        examples=[["moved"]],
    ),
]


class CatalogueDocument(BaseModel):
    """What staff may have noticed, who solves problems together, what the district gives, what for, and how it ends."""

    signs: list[SignDocument]
    teams: list[TeamDocument]

    supports: list[KindDocument]
    outcomes: Annotated[dict[str, str], Field(examples=[{"attendance": "Fewer days missed"}])]
    endings: list[EndingDocument]
    contexts: Annotated[dict[str, str], Field(examples=[{"moved": "Has come from another school this year"}])]
    universal: Annotated[
        dict[str, str],
        Field(description="What every student gets.", examples=[{"greeting": "Greeted by name each day"}]),
    ]


class SupportAsked(Reasoned):
    """Which support, whose it is, and by when somebody looks whether it helps."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "kind": "mentor",
                "owner_id": "0190f6a8-0000-7000-8000-000000000001",
                "review_on": "2024-11-08",
                "reason": "She asked for somebody to talk to each week.",
            }
        }
    )

    kind: Name
    owner_id: Annotated[UUID, Field(description="The member of staff who sees to it, by the id that sis gives them.")]
    review_on: Annotated[date, Field(description="An instructional day; how far away at most, the catalogue says.")]
    contexts: Annotated[Contexts, Field(default_factory=list)]


class AttemptAsked(BaseModel):
    """What was tried, what came of it, and when somebody looks again. The words are sealed."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "example": {"progress": "same", "tried": "They met each Monday.", "next_review_on": "2024-11-08"}
        },
    )

    progress: Literal["better", "same", "worse", "too_early"]
    tried: Words
    next_review_on: date
    contexts: Annotated[Contexts | None, Field(description="Null: as they were said last.")] = None


class SupportEnded(Reasoned):
    """How it ends, and why."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"ending": "goal-met", "reason": "She has two friends and comes every day."}}
    )

    ending: Name


class AttemptDocument(BaseModel):
    """What was tried until a review, and what came of it."""

    number: int
    reviewed_on: date
    progress: str
    tried: str
    next_review_on: date
    by: str
    known_at: datetime


class RunningDocument(BaseModel):
    """A support that a student receives now."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str
    tier: Tier
    begun_on: date
    review_on: date


class SupportDocument(RunningDocument):
    """A support with all that was tried. Who began and ended it and why stand among the rulings, by its id."""

    student_id: UUID
    known_at: datetime
    first_review_on: Annotated[
        date | None,
        Field(description="`review_on` as said when it began; each attempt says the next. Null: it was not kept then."),
    ]
    ended_on: Annotated[date | None, Field(description="Null: it runs.")]
    ending: str | None
    owner: Assigned
    contexts: Annotated[list[str], Field(description="As they were said last.")]
    attempts: list[AttemptDocument]
