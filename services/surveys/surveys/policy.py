"""The policy in force, from ``policy.toml`` and the file that ``TRELLIS_SURVEYS_POLICY`` names."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from common.policies import policy_of


@dataclass(frozen=True, slots=True)
class Policy:
    """What a district may change. Each value's source stands beside it in ``policy.toml``."""

    version: str
    earliest_said_on: date
    answered_percent_at_least: int


def read_policy(policy: Mapping[str, Any]) -> Policy:
    """A policy from what its file says: ``version``, and for every other name a table with ``value`` and ``source``.

    Raises:
        ValueError: a value without a source.
    """
    entries = {name: entry for name, entry in policy.items() if name != "version"}
    unsourced = [name for name, entry in entries.items() if not entry.get("source")]
    if unsourced:
        raise ValueError(f"without a source: {', '.join(unsourced)}")
    return Policy(version=policy["version"], **{name: entry["value"] for name, entry in entries.items()})


POLICY = read_policy(policy_of("surveys"))
