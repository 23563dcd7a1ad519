"""What ``restorative`` says: conferences offered, agreements kept, exclusion avoided."""

from datetime import date
from typing import ClassVar
from uuid import UUID

from common.events.base import Event, Hundredths, SchoolId


class ConferenceOffered(Event):
    """A conference was offered to one student who would take part; each such student has an event of their own."""

    owner: ClassVar[str] = "restorative"
    fact: ClassVar[tuple[str, ...]] = ("conference_id", "student_id")
    subject_field: ClassVar[str] = "conference_id"
    key_field: ClassVar[str] = "conference_id"

    conference_id: UUID
    student_id: UUID
    school_id: SchoolId
    offered_on: date


class AgreementCompleted(Event):
    """The agreement of a conference is kept; one event per student who took part."""

    owner: ClassVar[str] = "restorative"
    fact: ClassVar[tuple[str, ...]] = ("conference_id", "student_id")
    subject_field: ClassVar[str] = "conference_id"
    key_field: ClassVar[str] = "conference_id"

    conference_id: UUID
    student_id: UUID
    school_id: SchoolId
    completed_on: date


class ExclusionAvoided(Event):
    """Days of exclusion proposed, frozen before the offer, and served; the difference was avoided."""

    owner: ClassVar[str] = "restorative"
    fact: ClassVar[tuple[str, ...]] = ("conference_id",)
    subject_field: ClassVar[str] = "conference_id"
    key_field: ClassVar[str] = "conference_id"

    conference_id: UUID
    student_id: UUID
    school_id: SchoolId
    completed_on: date
    hundredths_proposed: Hundredths
    hundredths_served: Hundredths
    hundredths_avoided: Hundredths
