"""A tier policy: data that a district reads, rehearses, approves and reverts; the code knows none of its numbers."""

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from common.errors import DomainError

Part = TypeVar("Part")


class PolicyInvalid(DomainError):
    """The tier policy cannot be used: {field} {rule}."""

    status = 422


@dataclass(frozen=True, slots=True)
class AttendancePolicy:
    """Shares of enrolled days missed in the school year so far, in whole percent, whatever the reason."""

    minimum_days: int
    watch_percent: int
    entry_percent: int
    severe_percent: int
    exit_below_percent: int
    exit_days: int

    def __post_init__(self) -> None:
        _require(self.minimum_days >= 1, "attendance.minimum_days", "must be at least 1")
        _require(self.exit_days >= 1, "attendance.exit_days", "must be at least 1")
        _require(0 < self.watch_percent <= self.entry_percent, "attendance.watch_percent", "must not exceed the entry")
        _require(
            0 < self.exit_below_percent <= self.entry_percent,
            "attendance.exit_below_percent",
            "must not exceed the entry",
        )
        _require(
            self.entry_percent <= self.severe_percent < 100,
            "attendance.severe_percent",
            "must lie between the entry and 100",
        )


@dataclass(frozen=True, slots=True)
class SurveyPolicy:
    """The subscale that is listened to, and the mean at or under which its alarm rings."""

    subscale: str
    at_most: float


@dataclass(frozen=True, slots=True)
class ReferralPolicy:
    """Referrals within one school year."""

    entry: int
    severe: int

    def __post_init__(self) -> None:
        _require(
            1 <= self.entry <= self.severe, "referrals.entry", "must be at least 1 and not exceed the severe number"
        )


@dataclass(frozen=True, slots=True)
class IntensivePolicy:
    """When intensive support is put before a person."""

    independent_signals: int

    def __post_init__(self) -> None:
        _require(self.independent_signals >= 1, "intensive.independent_signals", "must be at least 1")


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides, but for the facts."""

    version: str
    attendance: AttendancePolicy
    adult_support: SurveyPolicy
    referrals: ReferralPolicy
    intensive: IntensivePolicy

    def __post_init__(self) -> None:
        _require(0 < len(self.version) <= 80, "version", "must have 1 to 80 characters")


def read_policy(text: str) -> Policy:
    """The policy that ``text`` says: JSON in which every parameter stands with its value, unit and source.

    Raises:
        PolicyInvalid: a parameter is missing, unknown, of the wrong kind, without a source or out of range.
    """
    try:
        document = json.loads(text)
    except ValueError:
        raise PolicyInvalid(field="the file", rule="is not JSON") from None
    if not isinstance(document, dict):
        raise PolicyInvalid(field="the file", rule="must be an object")
    _require(isinstance(document.get("version"), str), "version", "must be a text")
    return Policy(
        version=document["version"],
        attendance=_part(document, "attendance", AttendancePolicy),
        adult_support=_part(document, "adult_support", SurveyPolicy),
        referrals=_part(document, "referrals", ReferralPolicy),
        intensive=_part(document, "intensive", IntensivePolicy),
    )


def _part(document: dict[str, Any], name: str, part: type[Part]) -> Part:
    given = document.get(name)
    kinds: dict[str, type] = part.__annotations__
    if not isinstance(given, dict) or set(given) != set(kinds):
        raise PolicyInvalid(field=name, rule=f"must hold exactly {', '.join(sorted(kinds))}")
    return part(**{key: _parameter(f"{name}.{key}", given[key], kind) for key, kind in kinds.items()})


def _parameter(field: str, given: Any, kind: type) -> Any:
    if not isinstance(given, dict) or set(given) != {"value", "unit", "source"}:
        raise PolicyInvalid(field=field, rule="needs a value, a unit and a source")
    value = given["value"]
    _require(
        type(value) is kind or (kind is float and type(value) is int), field, f"must be of the kind {kind.__name__}"
    )
    return value


def _require(holds: bool, field: str, rule: str) -> None:
    if not holds:
        raise PolicyInvalid(field=field, rule=rule)
