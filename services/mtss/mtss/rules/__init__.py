"""The rules of tiers: from facts and a policy to courses, decisions and their reasons. Pure, and exact in integers."""

from mtss.rules.course import ClauseAt, Course, CourseDay, course_of, documents, what_would_change
from mtss.rules.courses import EVER, Courses, Policies, Standing, always, follow, said_of, standing_of
from mtss.rules.facts import (
    EPOCH,
    KINDS,
    NEVER,
    Absences,
    Calendar,
    Closed,
    Enrolments,
    Facts,
    Ints,
    Referrals,
    Scores,
    day_number,
    day_of,
)
from mtss.rules.in_force import InForce, Step, since_ever
from mtss.rules.ledger import NOTHING, Said, cause_of
from mtss.rules.policy import Policy, PolicyInvalid
from mtss.rules.policy.reading import policy_of, read_policy
from mtss.rules.proofs import Difference, Ground, Grounds, differences, digest_of
from mtss.rules.signals import SIGNALS

__all__ = [
    "EPOCH",
    "EVER",
    "KINDS",
    "NEVER",
    "NOTHING",
    "SIGNALS",
    "Absences",
    "Calendar",
    "ClauseAt",
    "Closed",
    "Course",
    "CourseDay",
    "Courses",
    "Difference",
    "Enrolments",
    "Facts",
    "Ground",
    "Grounds",
    "InForce",
    "Ints",
    "Policies",
    "Policy",
    "PolicyInvalid",
    "Referrals",
    "Said",
    "Scores",
    "Standing",
    "Step",
    "always",
    "cause_of",
    "course_of",
    "day_number",
    "day_of",
    "differences",
    "digest_of",
    "documents",
    "follow",
    "policy_of",
    "read_policy",
    "said_of",
    "since_ever",
    "standing_of",
    "what_would_change",
]
