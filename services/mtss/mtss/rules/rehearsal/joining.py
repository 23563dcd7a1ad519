"""Facts that were read in parts, as one."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from mtss.rules.facts import Facts, Ints

_NAMES = ("enrolments", "calendar", "closed", "absences", "referrals", "scores", "help_requests", "exclusions", "marks")
_NAMED = {"schools": "school", "grades": "grade", "actions": "action"}
"""What facts name by its place, and the column that does."""


def joined(parts: Sequence[Facts]) -> Facts:
    """All students of ``parts``, in their order. What several parts name, such as a school, is one."""
    names: dict[str, Any] = {of: tuple(sorted({each for part in parts for each in getattr(part, of)})) for of in _NAMED}
    moved, first = [], 0
    for part in parts:
        moved.append(_renamed(part, first, names))
        first += part.students
    one = {name: _together([getattr(part, name) for part in moved]) for name in _NAMES}
    return replace(parts[0], students=first, **names, **one)


def _places(names: Sequence[Any], among: Sequence[Any]) -> Ints:
    place = {name: number for number, name in enumerate(among)}
    return np.array([place[name] for name in names], np.int32)


def _renamed(part: Facts, first: int, names: Mapping[str, Sequence[Any]]) -> Facts:
    places = {column: _places(getattr(part, of), names[of]) for of, column in _NAMED.items()}

    def renamed(columns: Any) -> Any:
        mine = {each.name for each in fields(columns)}
        change: dict[str, Any] = {"student": columns.student + first} if "student" in mine else {}
        change |= {column: place[getattr(columns, column)] for column, place in places.items() if column in mine}
        return replace(columns, **change)

    return replace(part, **{name: renamed(getattr(part, name)) for name in _NAMES})


def _together(parts: Sequence[Any]) -> Any:
    names = [each.name for each in fields(parts[0])]
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
