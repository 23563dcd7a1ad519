"""The rules of tiers: from facts and a policy to courses, decisions and their reasons. Pure, and exact in integers."""

from mtss.rules.course import CLAUSES, Clause, Course, CourseDay, course_of, what_would_change
from mtss.rules.courses import Courses, Standing, follow, standing_of
from mtss.rules.facts import (
    EPOCH,
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
from mtss.rules.ledger import NOTHING, Said, cause_of
from mtss.rules.policy import Policy, PolicyInvalid, read_policy

__all__ = [
    "CLAUSES",
    "EPOCH",
    "NEVER",
    "NOTHING",
    "Absences",
    "Calendar",
    "Clause",
    "Closed",
    "Course",
    "CourseDay",
    "Courses",
    "Enrolments",
    "Facts",
    "Ints",
    "Policy",
    "PolicyInvalid",
    "Referrals",
    "Said",
    "Scores",
    "Standing",
    "cause_of",
    "course_of",
    "day_number",
    "day_of",
    "follow",
    "read_policy",
    "standing_of",
    "what_would_change",
]
