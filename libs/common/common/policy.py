"""What every service grants and bounds at its edge, from ``policy.toml`` and the file that ``TRELLIS_COMMON_POLICY`` names."""

from dataclasses import dataclass
from datetime import timedelta

from common.policies import policy_of

_DATA = policy_of("common")

ANSWERS_KEPT = timedelta(hours=_DATA["answers"]["kept_hours"])
"""How long an ``Idempotency-Key`` is known."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second, and how many at once after a pause."""

    per_second: int
    burst: int


PERSON, MACHINE, STRANGER, LINK = (
    Rate(**_DATA["requests"][name]) for name in ("person", "machine", "stranger", "link")
)
STRANGERS_AT_WORK: int = _DATA["strangers"]["at_work"]
"""How many requests without a token one process works on at once, so that they cannot take the places of those with one."""
STRANGERS_SENDING: int = _DATA["strangers"]["sending"]
"""How many of them may be sending a body from one address, so that slow ones cannot take the places of all others."""
STRANGERS_SENDING_IN_ALL: int = _DATA["strangers"]["sending_in_all"]
"""How many may be from all addresses; then whose body has been arriving longest makes room for the next."""
REFUSALS_A_MINUTE: int = _DATA["log"]["refusals_a_minute"]
"""How many refusals of one who asks are logged one by one."""
AUDIT_ANCHORED = timedelta(minutes=_DATA["audit"]["anchored_minutes"])
"""How often the log says where the chain of the audit log stands."""
AUDIT_SEALED = timedelta(seconds=_DATA["audit"]["sealed_seconds"])
"""How long a row of it may wait for its seal."""
LINK_DAYS: int = _DATA["links"]["good_days"]
"""For how many days a personal link works, if nothing else ends it."""
HEAD_BYTES: int = _DATA["connections"]["head_bytes"]
HEAD_FIELDS: int = _DATA["connections"]["head_fields"]
HEAD_SECONDS: int = _DATA["connections"]["head_seconds"]
MESSAGE_SECONDS: int = _DATA["connections"]["message_seconds"]
ANSWER_SECONDS: int = _DATA["connections"]["answer_seconds"]
ANSWER_BYTES: int = _DATA["connections"]["answer_bytes"]
