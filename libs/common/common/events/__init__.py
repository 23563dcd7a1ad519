"""Every event that crosses a boundary between services.

An event carries the whole standing state of one fact with a revision of that fact, never a change. A revision not
higher than the one already known is ignored, so repeats and reordering are harmless.
"""

from common.events.base import Event, by_type
from common.events.mtss import Cause, Tier, TierDecided, UrgentHelpRequested
from common.events.restorative import AgreementCompleted, ConferenceOffered, ExclusionAvoided
from common.events.sis import (
    AlertKind,
    AlertRaised,
    AttendanceKind,
    AttendanceRecorded,
    CourseMarked,
    ExclusionRecorded,
    Harm,
    IncidentRecorded,
    Relation,
    SchoolCalendarSet,
    SchoolDayClosed,
    SchoolGoverned,
    SectionAttended,
    SectionTaught,
    StaffAssigned,
    StaffRelated,
    StudentEnrolled,
)
from common.events.surveys import SubscaleScore, SurveyScored

__all__ = [
    "CATALOGUE",
    "AgreementCompleted",
    "AlertKind",
    "AlertRaised",
    "AttendanceKind",
    "AttendanceRecorded",
    "Cause",
    "ConferenceOffered",
    "CourseMarked",
    "Event",
    "ExclusionAvoided",
    "ExclusionRecorded",
    "Harm",
    "IncidentRecorded",
    "Relation",
    "SchoolCalendarSet",
    "SchoolDayClosed",
    "SchoolGoverned",
    "SectionAttended",
    "SectionTaught",
    "StaffAssigned",
    "StaffRelated",
    "StudentEnrolled",
    "SubscaleScore",
    "SurveyScored",
    "Tier",
    "TierDecided",
    "UrgentHelpRequested",
    "by_type",
]

CATALOGUE: tuple[type[Event], ...] = (
    StudentEnrolled,
    SchoolCalendarSet,
    AttendanceRecorded,
    SchoolDayClosed,
    IncidentRecorded,
    ExclusionRecorded,
    CourseMarked,
    SchoolGoverned,
    StaffAssigned,
    SectionTaught,
    SectionAttended,
    StaffRelated,
    AlertRaised,
    SurveyScored,
    TierDecided,
    UrgentHelpRequested,
    ConferenceOffered,
    AgreementCompleted,
    ExclusionAvoided,
)
