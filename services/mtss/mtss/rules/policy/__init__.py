"""A tier policy: data that a district reads, rehearses, approves and reverts; the code knows none of its numbers."""

from mtss.rules.policy.conditions import FALSE, TRUE, UNKNOWN, Condition, Truth
from mtss.rules.policy.document import (
    Change,
    Clause,
    ExitHow,
    Number,
    Policy,
    PolicyInvalid,
    Support,
    Variant,
)

__all__ = [
    "FALSE",
    "TRUE",
    "UNKNOWN",
    "Change",
    "Clause",
    "Condition",
    "ExitHow",
    "Number",
    "Policy",
    "PolicyInvalid",
    "Support",
    "Truth",
    "Variant",
]
