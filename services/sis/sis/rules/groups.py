"""Which groups a student is of, read out of what the SIS says: for ratios of whole groups, and for nothing else."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sis.rules.values import code_value

RACES = ("american_indian", "asian", "black", "pacific_islander", "white")
HISPANIC, SEVERAL = "hispanic", "two_or_more"
"""With ``RACES`` the seven groups: Hispanic of any race, then of no race but one, then of two or more. Source: 34 CFR 300.647."""

_LISTS = ("races", "disabilities", "languages")

Details = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GroupPolicy:
    """Which group a code value names, in small letters."""

    races: Mapping[str, str]
    sexes: Mapping[str, str]
    no_disability: Collection[str]

    def race(self, details: Details) -> str | None:
        """The one of the seven groups, or ``None`` where nothing was said that names one."""
        if details.get("hispanicLatinoEthnicity"):
            return HISPANIC
        named = {self.races.get(_code(one["raceDescriptor"])) for one in details.get("races", ())} - {None}
        return SEVERAL if len(named) > 1 else next(iter(named), None)

    def sex(self, details: Details) -> str | None:
        """Female or male, where one of them was said."""
        said = details.get("sexDescriptor")
        return self.sexes.get(_code(said)) if said else None

    def disability(self, details: Details) -> str | None:
        """Whether a disability is recorded: without any the student has none, for that is how a SIS says it."""
        codes = {_code(one["disabilityDescriptor"]) for one in details.get("disabilities", ())}
        return "disability" if codes - set(self.no_disability) else "no_disability"


def together(associations: Sequence[Details]) -> Details:
    """What several associations say of one student, who may have one with the school and one with the district."""
    sexes = (each.get("sexDescriptor") for each in associations)
    return {
        "hispanicLatinoEthnicity": any(each.get("hispanicLatinoEthnicity") for each in associations),
        "sexDescriptor": next(filter(None, sexes), None),
        **{name: [one for each in associations for one in each.get(name, ())] for name in _LISTS},
    }


def _code(descriptor: str) -> str:
    return code_value(descriptor).lower()
