"""The rules of tiers: from facts and a policy to courses, decisions and their reasons. Pure, and exact in integers."""

from mtss.rules.coming import Change, Changes, Least, what_may_change
from mtss.rules.course import ClauseAt, Course, CourseDay, course_of, documents, what_would_change
from mtss.rules.courses import EVER, Courses, Policies, always, follow
from mtss.rules.facts import (
    EPOCH,
    KINDS,
    NEVER,
    RULINGS,
    TIERS,
    Absences,
    Calendar,
    Closed,
    Enrolments,
    Facts,
    HelpRequests,
    Ints,
    Referrals,
    Rulings,
    Scores,
    day_number,
    day_of,
)
from mtss.rules.in_force import InForce, Step, since_ever
from mtss.rules.ledger import NOTHING, Said, cause_of
from mtss.rules.people import NO_PROPOSAL
from mtss.rules.policy import Policy, PolicyInvalid
from mtss.rules.policy.reading import policy_of, read_policy
from mtss.rules.proofs import Difference, Ground, Grounds, differences, digest_of, digest_of_decision
from mtss.rules.sentences import Audience, Language, seen_again, words_of
from mtss.rules.signals import SIGNALS
from mtss.rules.standing import Standing, beneath_of, said_before, said_of, standing_of, unknown_of

__all__ = [
    "EPOCH",
    "EVER",
    "KINDS",
    "NEVER",
    "NOTHING",
    "NO_PROPOSAL",
    "RULINGS",
    "SIGNALS",
    "TIERS",
    "Absences",
    "Audience",
    "Calendar",
    "Change",
    "Changes",
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
    "HelpRequests",
    "InForce",
    "Ints",
    "Language",
    "Least",
    "Policies",
    "Policy",
    "PolicyInvalid",
    "Referrals",
    "Rulings",
    "Said",
    "Scores",
    "Standing",
    "Step",
    "always",
    "beneath_of",
    "cause_of",
    "course_of",
    "day_number",
    "day_of",
    "differences",
    "digest_of",
    "digest_of_decision",
    "documents",
    "follow",
    "policy_of",
    "read_policy",
    "said_before",
    "said_of",
    "seen_again",
    "since_ever",
    "standing_of",
    "unknown_of",
    "what_may_change",
    "what_would_change",
    "words_of",
]
