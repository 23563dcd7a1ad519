"""The policy in force, from ``policy.toml`` and the file that ``TRELLIS_SURVEYS_POLICY`` names."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from common.policies import PolicyInvalid, policy_of, shipped


@dataclass(frozen=True, slots=True)
class Policy:
    """What a district may change. Each value's source stands beside it in ``policy.toml``."""

    version: str
    earliest_said_on: date
    answered_percent_at_least: int
    results_cell: int
    results_ends_percent: int


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
_SHIPPED = read_policy(shipped("surveys"))
if POLICY.results_cell < _SHIPPED.results_cell or not _SHIPPED.results_ends_percent <= POLICY.results_ends_percent < 50:
    raise PolicyInvalid(
        f"The policy of surveys: results_cell must be at least {_SHIPPED.results_cell}, and results_ends_percent at least "
        f"{_SHIPPED.results_ends_percent} and below 50."
    )
