"""What was known then: attendance that changed after its day was closed, as it stood at the end of each day.

A student whose attendance changed has one more column for each day on which it did: the student as known before that day. So
a policy runs over all of them at once, and each day's state is that of the column that was true at its end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np

from mtss.rules.facts import OF_STUDENTS, Absences, Facts, Ints, _Columns, copied, joined
from mtss.rules.policy.document import Policy
from mtss.rules.rehearsal.district import Bytes, District, Happened, Stays
from mtss.rules.rehearsal.ground import Ground, tables_of
from mtss.rules.rehearsal.kernel import run
from mtss.rules.rehearsal.outcome import STATES, Changes, Outcome


@dataclass(frozen=True, slots=True)
class Later(_Columns):
    """Changes after the day was closed, in the order in which they were heard; a kind is its place, below 0 for none."""

    student: Ints
    school: Ints
    day: Ints
    before: Ints
    after: Ints
    kind_before: Ints
    kind_after: Ints
    known: Ints
    """The day on which it was heard."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The further columns: whose they are, and before which day they were true. By student and then day."""

    students: int
    """How many students there are; further columns follow them."""
    student: Ints
    until: Ints


def with_versions(facts: Facts, later: Later) -> tuple[Facts, Versions]:
    """``facts``, and behind its students one more for each day on which somebody's attendance became known otherwise."""
    moments = np.unique(np.stack([later.student, later.known], axis=1), axis=0)
    versions = Versions(facts.students, moments[:, 0], moments[:, 1])
    copies = {name: copied(getattr(facts, name), versions.student) for name in OF_STUDENTS}
    more = {name: replace(each, student=each.student + versions.students) for name, each in copies.items()}
    more["absences"] = _as_known(more["absences"], list(_cells(later, versions)))
    together = {name: joined(getattr(facts, name), more[name]) for name in OF_STUDENTS}
    return replace(facts, students=facts.students + len(moments), **together), versions


def _cells(later: Later, versions: Versions) -> Iterator[tuple[int, int, int, int, int]]:
    """What each further column knew of the days that changed: its number, school, day, hundredths and kind."""
    of_student: dict[int, list[tuple[int, ...]]] = {}
    for student, *change in zip(*(getattr(later, each.name).tolist() for each in fields(later)), strict=True):
        of_student.setdefault(student, []).append(tuple(change))
    for at, (student, until) in enumerate(zip(versions.student.tolist(), versions.until.tolist(), strict=True)):
        knew: dict[tuple[int, int], tuple[int, int]] = {}
        for school, day, before, after, kind_before, kind_after, known in of_student[student]:
            knew.setdefault((school, day), (before, kind_before))
            if known < until:
                knew[school, day] = after, kind_after
        yield from ((versions.students + at, *cell, *missed) for cell, missed in knew.items())


def _as_known(absences: Absences, cells: Sequence[tuple[int, ...]]) -> Absences:
    """Those that did not change, and of those that did what was known; nothing missed is no absence."""
    knew = Absences.of(*zip(*cells, strict=True)) if cells else Absences.of(*[None] * len(fields(Absences)))
    stays = ~np.isin(_named(absences), _named(knew))
    missed = knew.hundredths > 0
    kept = {each.name: getattr(absences, each.name)[stays] for each in fields(absences)}
    return joined(replace(absences, **kept), Absences(*(getattr(knew, each.name)[missed] for each in fields(knew))))


def _named(absences: Absences) -> Any:
    """One number for each student, school and day: places are below 2 to the 24th, 16th and 20th."""
    return (absences.student.astype(np.int64) << 36) | (absences.school.astype(np.int64) << 20) | absences.day


def of_students(district: District, students: int) -> District:
    """The first ``students`` of a district."""

    def first(columns: Any) -> Any:
        mine = columns.student < students
        return replace(columns, **{each.name: getattr(columns, each.name)[mine] for each in fields(columns)})

    stays: Stays = first(district.stays)
    referrals: Happened = first(district.referrals)
    help_requests: Happened = first(district.help_requests)
    return replace(
        district,
        missed={counts: missed[:, :students] for counts, missed in district.missed.items()},
        begins={year: row[:students] for year, row in district.begins.items()},
        stays=stays,
        referrals=referrals,
        help_requests=help_requests,
        scores={subscale: first(scores) for subscale, scores in district.scores.items()},
    )


def run_as_known_then(district: District, versions: Versions, policy: Policy) -> Outcome:
    """What ``policy`` would have said at the end of each day, of what was known by then."""
    states = cast(Bytes, run(district, policy, states=True).states)
    then = states[:, : versions.students].copy()
    until = np.searchsorted(district.days, versions.until)
    # The latest first: on the days before each of them an earlier one says what was known.
    for at in range(len(until) - 1, -1, -1):
        then[: until[at], versions.student[at]] = states[: until[at], versions.students + at]
    return _outcome_of(of_students(district, versions.students), policy, then)


def _outcome_of(district: District, policy: Policy, states: Bytes) -> Outcome:
    before = np.concatenate([np.zeros((1, district.students), np.uint8), states[:-1]])
    student, row = (each.astype(np.int32) for each in np.nonzero((states != before).T))
    return Outcome(
        days=district.days,
        schools=district.schools,
        students=district.students,
        counts=_counts(district, policy, states),
        changes=Changes(student, row, before[row, student], states[row, student]),
        states=states,
    )


def _counts(district: District, policy: Policy, states: Bytes) -> Ints:
    ground, places = Ground(district, tables_of(district, policy), 0, district.students), len(district.schools) + 1
    counts = np.zeros((ground.rows, places, STATES), np.int32)
    for row in range(ground.rows):
        ground.turn(row)
        counts[row] = np.bincount(ground.school * STATES + states[row], minlength=places * STATES).reshape(
            places, STATES
        )
    return counts[:, :-1]
