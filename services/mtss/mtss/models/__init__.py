"""What ``mtss`` holds, and how the facts that decide are read."""

from mtss.models.asking import courses_of, last_enrolment_is_open
from mtss.models.knowing import Moment, facts_known
from mtss.models.policy import POLICY
from mtss.models.reading import facts_of
from mtss.models.rehearsal import Rehearsal
from mtss.models.tables import (
    Attendance,
    AttendanceChange,
    Calendar,
    ClosedDay,
    Decision,
    Enrolment,
    Incident,
    Proposal,
    Score,
    Student,
)
from mtss.models.verifying import verify

__all__ = [
    "POLICY",
    "Attendance",
    "AttendanceChange",
    "Calendar",
    "ClosedDay",
    "Decision",
    "Enrolment",
    "Incident",
    "Moment",
    "Proposal",
    "Rehearsal",
    "Score",
    "Student",
    "courses_of",
    "facts_known",
    "facts_of",
    "last_enrolment_is_open",
    "verify",
]
