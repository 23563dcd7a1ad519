"""Facts that were read in parts, as one."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from mtss.rules.facts import Facts, Ints

_NAMES = ("enrolments", "calendar", "closed", "absences", "referrals", "scores", "help_requests")


def joined(parts: Sequence[Facts]) -> Facts:
    """All students of ``parts``, in their order. A school or grade that several parts name is one."""
    schools, grades = (
        tuple(sorted({each for part in parts for each in getattr(part, of)})) for of in ("schools", "grades")
    )
    moved, first = [], 0
    for part in parts:
        moved.append(_renamed(part, first, _places(part.schools, schools), _places(part.grades, grades)))
        first += part.students
    one = {name: _together([getattr(part, name) for part in moved]) for name in _NAMES}
    return replace(parts[0], students=first, schools=schools, grades=grades, **one)


def _places(names: Sequence[str], among: Sequence[str]) -> Ints:
    place = {name: number for number, name in enumerate(among)}
    return np.array([place[name] for name in names], np.int32)


def _renamed(part: Facts, first: int, schools: Ints, grades: Ints) -> Facts:
    def renamed(columns: Any) -> Any:
        names = {each.name for each in fields(columns)}
        change: dict[str, Any] = {"student": columns.student + first} if "student" in names else {}
        change |= {"school": schools[columns.school]} if "school" in names else {}
        change |= {"grade": grades[columns.grade]} if "grade" in names else {}
        return replace(columns, **change)

    return replace(part, **{name: renamed(getattr(part, name)) for name in _NAMES})


def _together(parts: Sequence[Any]) -> Any:
    names = [each.name for each in fields(parts[0])]
    return replace(parts[0], **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
