"""What is known now, as columns: the one shape in which facts reach the rules.

Students and schools are named by their place, days are counted from 1970-01-01, and each fact is a set of columns of
equal length. A whole school, or a whole district, is one value.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from common.events.mtss import Tier
from common.events.sis import AttendanceKind

Ints: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]
Columns = TypeVar("Columns", bound="_Columns")

EPOCH = date(1970, 1, 1)
KINDS = tuple(AttendanceKind)
"""What kind of day it was, named by its place from here on."""
EXCUSED, UNEXCUSED = KINDS.index(AttendanceKind.EXCUSED), KINDS.index(AttendanceKind.UNEXCUSED)
TARDY = KINDS.index(AttendanceKind.TARDY)
TIERS = tuple(Tier)
"""Tiers from the least support to the most, named by their place from here on."""
UNIVERSAL, TARGETED, INTENSIVE = range(len(TIERS))
RULINGS = ("accepted", "declined", "overridden", "withdrawn", "support_begun", "support_ended", "looked")
"""What a person may decide: about a proposal, or otherwise than the policy, and taking that back; and what support is given."""
ACCEPTED, DECLINED, OVERRIDDEN, WITHDRAWN, SUPPORT_BEGUN, SUPPORT_ENDED, LOOKED = range(len(RULINGS))
OF_STUDENTS = ("enrolments", "absences", "referrals", "scores", "help_requests", "exclusions", "marks")
"""The kinds of facts that are about one student each."""
DATED = OF_STUDENTS[1:]
"""Those of them that are of one day."""
NEVER = int(np.iinfo(np.int32).max)
"""The exit day of an enrolment that is open, and the end of a ruling that has none."""


def day_number(on: date) -> int:
    """Days from 1970-01-01 to ``on``."""
    return (on - EPOCH).days


def day_of(number: int) -> date:
    """The date that is ``number`` days after 1970-01-01."""
    return EPOCH + timedelta(days=int(number))


@dataclass(frozen=True, slots=True)
class _Columns:
    @classmethod
    def of(cls: type[Columns], *columns: Sequence[float] | None) -> Columns:
        """From one sequence a column; ``None`` is an empty one."""
        kinds = [np.float64 if each.type is Floats else np.int32 for each in fields(cls)]
        return cls(*(np.array(column or (), kind) for column, kind in zip(columns, kinds, strict=True)))


def copied(columns: Columns, whose: Ints) -> Columns:
    """What the students ``whose`` have; each of them is named by the place there, and may be there several times."""
    student = getattr(columns, "student")  # noqa: B009 (columns of schools have none)
    order = np.argsort(student, kind="stable")
    first, end = (np.searchsorted(student[order], whose, side=side) for side in ("left", "right"))
    which = np.concatenate([np.zeros(0, np.intp), *(order[start:stop] for start, stop in zip(first, end, strict=True))])
    kept = {each.name: getattr(columns, each.name)[which] for each in fields(columns)}
    return replace(columns, **kept | {"student": np.repeat(np.arange(len(whose), dtype=np.int32), end - first)})


def picked(columns: Columns, which: Flags) -> Columns:
    """Some of the rows."""
    return replace(columns, **{each.name: getattr(columns, each.name)[which] for each in fields(columns)})


def joined(first: Columns, second: Columns) -> Columns:
    """Both, one after the other."""
    both = {each.name: np.concatenate([getattr(of, each.name) for of in (first, second)]) for each in fields(first)}
    return replace(first, **both)


Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Enrolments(_Columns):
    """Enrolments that stand. Entry and exit days both count; an exit on or before the entry is a no-show."""

    student: Ints
    school: Ints
    entry: Ints
    exit: Ints
    primary: Ints
    grade: Ints
    """The grade's place in ``Facts.grades``."""


@dataclass(frozen=True, slots=True)
class Calendar(_Columns):
    """Instructional days of schools, with the school year that the calendar names."""

    school: Ints
    year: Ints
    day: Ints


@dataclass(frozen=True, slots=True)
class Closed(_Columns):
    """Days whose attendance a school has submitted; ``implied`` by a later day, without any row of its own."""

    school: Ints
    day: Ints
    implied: Ints


@dataclass(frozen=True, slots=True)
class Absences(_Columns):
    """What students missed, in hundredths of a day, and of what kind it was, by its place in ``KINDS``.

    A day that was begun late stands here though nothing was missed.
    """

    student: Ints
    school: Ints
    day: Ints
    hundredths: Ints
    kind: Ints


@dataclass(frozen=True, slots=True)
class Referrals(_Columns):
    """Office discipline referrals: a student's part in one incident, however many behaviours it had."""

    student: Ints
    day: Ints


@dataclass(frozen=True, slots=True)
class Scores(_Columns):
    """Scores of the subscales that the policy listens to, each by its place in ``Facts.subscales``."""

    student: Ints
    day: Ints
    subscale: Ints
    mean: Floats
    answered: Ints
    items: Ints
    prorated: Ints


@dataclass(frozen=True, slots=True)
class HelpRequests(_Columns):
    """Requests for help: whom they are about, and the day."""

    student: Ints
    day: Ints


@dataclass(frozen=True, slots=True)
class Exclusions(_Columns):
    """Disciplinary actions: on what day, of how many days, served or as long as nobody says so proposed."""

    student: Ints
    day: Ints
    hundredths: Ints
    action: Ints
    """The place in ``Facts.actions`` of what was done, or ``ANY_ACTION``."""


ANY_ACTION = -1
"""Whatever a clause may name; of actions that are only supposed."""


@dataclass(frozen=True, slots=True)
class Marks(_Columns):
    """What came of grading periods: their last day, of how many courses there is a mark, and how many of them are not passed."""

    student: Ints
    day: Ints
    failing: Ints
    courses: Ints


@dataclass(frozen=True, slots=True)
class Rulings(_Columns):
    """What people decided about students. A student's rulings are numbered from 1, in the order in which they were made."""

    student: Ints
    number: Ints
    kind: Ints
    """Its place in ``RULINGS``."""
    tier: Ints
    """What was proposed, or what an override says, by its place in ``TIERS``; of a support, the tier without an override then."""
    day: Ints
    until: Ints
    """The last day of an override."""
    author: Ints
    """Who decided, by their place in ``Facts.authors``."""


NO_HELP_REQUESTS = HelpRequests.of(None, None)
NO_EXCLUSIONS = Exclusions.of(*[()] * 4)
NO_MARKS = Marks.of(*[()] * 4)
NO_RULINGS = Rulings.of(*[()] * 7)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides about some students, and nothing else."""

    students: int
    schools: tuple[str, ...]
    grades: tuple[str, ...]
    subscales: tuple[str, ...]
    enrolments: Enrolments
    calendar: Calendar
    closed: Closed
    absences: Absences
    referrals: Referrals
    scores: Scores
    help_requests: HelpRequests = NO_HELP_REQUESTS
    exclusions: Exclusions = NO_EXCLUSIONS
    actions: tuple[tuple[str, ...], ...] = ()
    """What single actions are, each by the codes of its descriptors, in the form of ``common.events.sis.plain``."""
    marks: Marks = NO_MARKS
    rulings: Rulings = NO_RULINGS
    authors: tuple[str, ...] = ()
    seen: Mapping[str, str | None] = field(default_factory=dict)
    """When and in which snapshot of the database they were read, for whoever wants to read the same again."""

    def of_subscale(self, name: str) -> Flags:
        """Which of the scores are of one subscale."""
        place = self.subscales.index(name) if name in self.subscales else -1
        mine: Flags = self.scores.subscale == place
        return mine

    def through(self, last: int) -> "Facts":
        """The same at the end of a day: with the days that were closed and what people had decided by then."""
        closed, rulings = self.closed, self.rulings
        return replace(self, closed=picked(closed, closed.day <= last), rulings=picked(rulings, rulings.day <= last))

    def of_those(self, whose: Ints) -> "Facts":
        """The same of some students, who are named by their place in ``whose``, and may be there several times."""
        mine = {name: copied(getattr(self, name), whose) for name in (*OF_STUDENTS, "rulings")}
        return replace(self, students=len(whose), **mine)

    def hearing(self, subscales: Collection[str]) -> "Facts":
        """The same with the scores of these subscales alone."""
        heard = [place for place, name in enumerate(self.subscales) if name in subscales]
        return replace(self, scores=picked(self.scores, np.isin(self.scores.subscale, heard)))
