"""Scope: whom a person sees, on which grounds, on which day; which classes of fields, and for what.

Two nets hold the same definition of sight, the view ``scope_sight``: ``visible_to`` on every query of student rows, and row-level
security on every table of them.
"""

from common.scope.hearing import HEARD, SEEN_UNTIL, events, keep_scope
from common.scope.policy import FIELD_CLASSES, GROUNDS, PURPOSES, access_policy
from common.scope.sight import (
    EVERYTHING,
    NOTHING,
    Sight,
    left_school,
    see_all,
    see_all_along,
    see_as,
    see_by_key,
    see_nothing,
    see_student,
    seen,
    seen_school,
    session_for,
    sight_of,
)

__all__ = [
    "EVERYTHING",
    "FIELD_CLASSES",
    "GROUNDS",
    "HEARD",
    "NOTHING",
    "PURPOSES",
    "SEEN_UNTIL",
    "Sight",
    "access_policy",
    "events",
    "keep_scope",
    "left_school",
    "see_all",
    "see_all_along",
    "see_as",
    "see_by_key",
    "see_nothing",
    "see_student",
    "seen",
    "seen_school",
    "session_for",
    "sight_of",
]
