"""What ``mtss`` holds, and how the facts that decide are read."""

from mtss.models.adopting import count_anew, counts_hold_since, schools_behind
from mtss.models.asking import course_ahead, courses_of, ended_by_itself, last_enrolment_is_open, signals_since_of
from mtss.models.knowing import Moment, facts_known
from mtss.models.people import Author, Handover, HelpLink, HelpRequest, Proposal, Ruling
from mtss.models.policy import (
    DEFAULT_POLICY,
    LAST_ADOPTION,
    UNDER_WAY,
    Adoption,
    AdoptionChange,
    PolicyStep,
    StoredPolicy,
    find_policy,
    policies_after,
    policies_in_force,
    policies_known,
    policy_in_force,
)
from mtss.models.pulses import Pulse
from mtss.models.reading import facts_of
from mtss.models.rehearsal import Rehearsal
from mtss.models.supports import Attempt, Support
from mtss.models.tables import (
    Attendance,
    AttendanceChange,
    Calendar,
    ClosedDay,
    Decision,
    Enrolment,
    Exclusion,
    Incident,
    Mark,
    Push,
    Score,
    Student,
)
from mtss.models.teams import TeamReferral
from mtss.models.verifying import verify, verify_proposed

__all__ = [
    "DEFAULT_POLICY",
    "LAST_ADOPTION",
    "UNDER_WAY",
    "Adoption",
    "AdoptionChange",
    "Attempt",
    "Attendance",
    "AttendanceChange",
    "Author",
    "Calendar",
    "ClosedDay",
    "Decision",
    "Enrolment",
    "Exclusion",
    "Handover",
    "HelpLink",
    "HelpRequest",
    "Incident",
    "Mark",
    "Moment",
    "PolicyStep",
    "Proposal",
    "Pulse",
    "Push",
    "Rehearsal",
    "Ruling",
    "Score",
    "StoredPolicy",
    "Student",
    "Support",
    "TeamReferral",
    "count_anew",
    "counts_hold_since",
    "course_ahead",
    "courses_of",
    "ended_by_itself",
    "facts_known",
    "facts_of",
    "find_policy",
    "last_enrolment_is_open",
    "policies_after",
    "policies_in_force",
    "policies_known",
    "policy_in_force",
    "schools_behind",
    "signals_since_of",
    "verify",
    "verify_proposed",
]
