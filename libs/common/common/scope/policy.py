"""Which role sees students on which grounds, and which classes of fields it reads: data, checked at start."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from common.policies import PolicyInvalid, policy_of

GROUNDS = ("district", "school", "grade", "section", "caseload", "counselor", "trusted_adult", "conference")
"""On which a person sees a student; ``district`` is every student."""
FIELD_CLASSES = (
    "non_personal",
    "directory",
    "education_record",
    "discipline",
    "support_plan",
    "narrative",
    "contact_address",
    "survey_answer",
    "equity_group",
    "access_record",
)
PURPOSES = ("records", "instruction", "support", "discipline", "contact", "administration", "operations", "equity")

_ALWAYS = frozenset({"non_personal"})


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """``grounds`` and ``reads`` of each role, the field classes that may be asked ``for_purpose``, and those always ``recorded``."""

    version: str
    grounds: Mapping[str, frozenset[str]]
    reads: Mapping[str, frozenset[str]]
    for_purpose: Mapping[str, frozenset[str]]
    recorded: frozenset[str]

    def may_read(self, role: str, purpose: str) -> frozenset[str]:
        """The field classes that ``role`` may read for ``purpose``: what tells of no student always."""
        return self.reads.get(role, frozenset()) & self.for_purpose[purpose] | _ALWAYS


def read_policy(said: Mapping[str, Any]) -> AccessPolicy:
    """A policy from what its file says.

    Raises:
        PolicyInvalid: a ground or a field class is unknown.
    """
    roles, purposes = said["roles"], said["purposes"]
    return AccessPolicy(
        version=said["version"],
        grounds={role: _known(each["grounds"], GROUNDS, f"roles.{role}.grounds") for role, each in roles.items()},
        reads={role: _known(each["reads"], FIELD_CLASSES, f"roles.{role}.reads") for role, each in roles.items()},
        for_purpose={
            name: _known(each["reads"], FIELD_CLASSES, f"purposes.{name}.reads") for name, each in purposes.items()
        },
        recorded=_known(said["audit"]["reads"], FIELD_CLASSES, "audit.reads"),
    )


@cache
def access_policy() -> AccessPolicy:
    """The policy in force: ``access.toml``, changed by the file that ``TRELLIS_ACCESS_POLICY`` names."""
    return read_policy(policy_of("common", of="access"))


def _known(said: list[str], words: tuple[str, ...], at: str) -> frozenset[str]:
    if not set(said) <= set(words):
        raise PolicyInvalid(f"The access policy: {at} must be a list of {', '.join(words)}")
    return frozenset(said)
