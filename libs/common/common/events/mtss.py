"""What ``mtss`` says: the tier it assigned, and that somebody asked for help that cannot wait."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from common.events.base import Event, SchoolId


class Tier(StrEnum):
    """How much support a student gets: for all, for some, for a few."""

    UNIVERSAL = "universal"
    TARGETED = "targeted"
    INTENSIVE = "intensive"


class Cause(StrEnum):
    """Why the ledger got a new line."""

    ENROLLED = "enrolled"
    ENTERED = "entered"
    EXITED = "exited"
    CORRECTED = "corrected"
    WITHDRAWN = "withdrawn"
    ADOPTED = "adopted"
    """The facts are the same: the district adopted another policy."""
    ACCEPTED = "accepted"
    """A person accepted what the policy proposed."""
    OVERRIDDEN = "overridden"
    """A person decided otherwise than the policy, for a time."""
    RESUMED = "resumed"
    """That time is over, or was ended early: the policy counts again."""


class UrgentHelpRequested(Event):
    """Somebody asked for help that cannot wait, for a student of a school; gone once it is answered. It names no student."""

    owner: ClassVar[str] = "mtss"
    fact: ClassVar[tuple[str, ...]] = ("request_id",)
    subject_field: ClassVar[str] = "request_id"
    key_field: ClassVar[str] = "request_id"

    request_id: UUID
    school_id: SchoolId


class TierDecided(Event):
    """The last decision about one student's tier; ``tier`` is null once every enrolment was taken back."""

    owner: ClassVar[str] = "mtss"
    fact: ClassVar[tuple[str, ...]] = ("student_id",)
    subject_field: ClassVar[str] = "student_id"
    key_field: ClassVar[str] = "student_id"

    student_id: UUID
    school_id: SchoolId
    decision_id: UUID
    number: Annotated[int, Field(ge=1, description="1 for the student's first decision, then without a gap.")]
    tier: Tier | None
    tier_before: Tier | None
    cause: Cause
    policy: Annotated[str, Field(max_length=80)]
    effective_on: date
    known_at: datetime
    tells_families: Annotated[
        bool, Field(description="Whether families are to be told, as the policy and its adoption have it.")
    ] = True
    clauses_known: Annotated[
        int | None, Field(ge=0, description="Of how many clauses of the policy something was known. Null: nobody said.")
    ] = None
    clauses_in_all: Annotated[int | None, Field(ge=0, description="How many clauses the policy has.")] = None
