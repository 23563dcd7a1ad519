"""The policy in force, from ``policy.toml`` and the file that ``TRELLIS_NOTIFICATIONS_POLICY`` names."""

from collections.abc import Mapping
from datetime import time
from typing import Any

from common.policies import PolicyInvalid, policy_of
from notifications.rules.policy import Policy


def read_policy(policy: Mapping[str, Any]) -> Policy:
    """A policy from what its file says: ``version``, and for every other name a table with ``value`` and ``source``.

    Raises:
        ValueError: a value without a source.
        PolicyInvalid: what should be a time is none.
    """
    entries = {name: entry for name, entry in policy.items() if name != "version"}
    unsourced = [name for name, entry in entries.items() if not entry.get("source")]
    if unsourced:
        raise ValueError(f"without a source: {', '.join(unsourced)}")
    values = {name: entry["value"] for name, entry in entries.items()}
    for name in ("tier_notice_at", "quiet_from", "quiet_until"):
        values[name] = _time(name, values[name])
    for name in ("channels_that_ring", "guardians"):
        values[name] = frozenset(values[name])
    for name in ("retry_minutes", "urgent_again_minutes"):
        values[name] = tuple(values[name])
    return Policy(version=policy["version"], **values)


def _time(name: str, said: str) -> time:
    try:
        return time.fromisoformat(said)
    except ValueError:
        raise PolicyInvalid(f"The policy of notifications: {name}.value must be a time such as 20:00.") from None


POLICY = read_policy(policy_of("notifications", added_to=("street_words.value",)))
