"""Whom a policy reaches, by group: who enters, who leaves and how soon it decides, told of whole groups alone."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from mtss.rules.equity import Minimum, risk, told
from mtss.rules.facts import Flags, Ints
from mtss.rules.rehearsal.figures import Figures, quartiles, within
from mtss.rules.rehearsal.outcome import TARGETED, Outcome
from mtss.rules.rehearsal.past import Past
from mtss.rules.rehearsal.years import decided

NOT_SAID = "not_said"
OTHER = "other"
"""Groups of an open list, such as languages, that are too small for a line of their own."""
SCHOOL = "school"


@dataclass(frozen=True, slots=True)
class Groups:
    """Of one kind of group, such as sex: their names, and for each student the place of the name, or -1 where none is said."""

    names: tuple[str, ...]
    of: Ints


def groups_of(said: Iterable[str | None], least: int = 0) -> Groups:
    """Groups by what was said of each student; those with fewer than ``least`` students are one."""
    words = np.array([each or "" for each in said], np.str_)
    names, of, sizes = np.unique(words, return_inverse=True, return_counts=True)
    renamed = [name if not name or size >= least else OTHER for name, size in zip(names.tolist(), sizes, strict=True)]
    kept = tuple(sorted(set(renamed) - {""}))
    places = np.array([kept.index(name) if name else -1 for name in renamed], np.int32)
    return Groups(kept, places[of])


def schools_of(past: Past) -> Groups:
    """The school at which each student was last, of those that the report is about."""
    stays, district = past.district.stays, past.district
    at: Ints = np.full(district.students, -1, np.int32)
    somewhere = stays.school < len(district.schools)
    at[stays.student[somewhere]] = stays.school[somewhere]  # by student and then row: the last one counts
    place = np.full(len(district.schools) + 1, -1, np.int32)
    place[past.columns] = np.arange(len(past.schools))
    return Groups(past.schools, place[at])


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of one policy for each student."""

    there: Flags
    """Who had a counted day."""
    entered: Flags
    left: Flags
    """Who entered, and left after it."""
    student: Ints
    """Of each school year of somebody who was decided about in it, who that was."""
    waited: Ints
    """And the school days from the first counted day of the year to the decision."""


def reached(past: Past, outcome: Outcome) -> Reached:
    """Whom a policy reached within this past."""
    there, entered, left = (np.zeros(outcome.students, np.bool_) for _ in range(3))
    there[past.years.student] = True
    times, inside = outcome.episodes(TARGETED), within(past)
    came = inside[times.entry] & there[times.student]
    entered[times.student[came]] = True
    left[times.student[came & inside[times.exit]]] = True
    on = decided(past.years, outcome)
    found = on < len(outcome.days)
    waited = past.number[on[found]] - past.number[past.years.first[found]]
    return Reached(there, entered, left, past.years.student[found], waited)


def who(past: Past, outcomes: Mapping[str, Outcome], groups: Mapping[str, Groups], least: Minimum) -> Figures:
    """For each policy and kind of group its lines; none of a second policy that differs from the first in too few students."""
    kinds = {**groups, SCHOOL: schools_of(past)}
    found = {role: reached(past, outcome) for role, outcome in outcomes.items()}
    first = next(iter(found.values()))
    return {
        "minimum": asdict(least),
        **{
            role: {kind: _lines(each, of, least) for kind, of in kinds.items()} if _apart(first, each, least) else None
            for role, each in found.items()
        },
    }


def _apart(first: Reached, other: Reached, least: Minimum) -> bool:
    """Whether two policies differ in nobody, or in enough that the difference of their lines tells of nobody."""
    differ = int(np.count_nonzero((first.entered != other.entered) | (first.left != other.left)))
    return not differ or differ >= least.cell


def _lines(reached: Reached, groups: Groups, least: Minimum) -> list[Figures]:
    names = [*groups.names, NOT_SAID]
    at = groups.of % len(names)  # -1 is the last
    members, entered, left = (
        np.bincount(at[flags], minlength=len(names)).tolist()
        for flags in (reached.there, reached.entered, reached.left)
    )
    shown = told(entered, members, least)
    shown_left = told(left, entered, least, shown)
    waited = [reached.waited[at[reached.student] == place] for place in range(len(names))]
    return [
        {
            "group": name,
            "students": members[place] if shown[place] else None,
            "entered": risk(entered, members, place, least) if shown[place] else None,
            "left": risk(left, entered, place, least) if shown_left[place] else None,
            "school_days_until_decided": quartiles(waited[place])["quartiles"] if shown[place] else None,
        }
        for place, name in enumerate(names)
        if members[place]
    ]
