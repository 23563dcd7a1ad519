"""The policy in force, from ``policy.toml`` and the file that ``TRELLIS_RESTORATIVE_POLICY`` names."""

from collections.abc import Mapping
from typing import Any

from common.events.sis import plain
from common.policies import policy_of
from restorative.rules.exclusion import Policy


def read_policy(data: Mapping[str, Any]) -> Policy:
    """A policy from what its file says; of two spellings of one descriptor the later one, which is the district's, holds."""
    excludes = {plain(code): entry["exclusion"] for code, entry in data["descriptors"].items()}
    exclusions = frozenset(code for code, exclusion in excludes.items() if exclusion)
    return Policy(version=data["version"], exclusions=exclusions, late_after_days=data["late_after_days"])


POLICY = read_policy(policy_of("restorative", added_to=("descriptors",)))
