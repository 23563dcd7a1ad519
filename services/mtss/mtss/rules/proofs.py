"""What a decision rests on, as digests: enough to say later whether the facts, or the decision itself, are still the same.

A digest is BLAKE2b of 128 bits (RFC 7693) over a canonical form: columns sorted by their content, numbers as 32-bit integers
in little-endian order, means as IEEE 754 doubles, schools and grades by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mtss.rules.digests import DIGEST_BYTES, digest_of
from mtss.rules.facts import TARDY, Facts, Flags, Ints
from mtss.rules.policy import Policy
from mtss.rules.signals import SIGNALS

Ground: TypeAlias = dict[str, dict[str, Any]]
"""For each kind of fact, how many rows of it a decision rests on, and their digest; ``seen``: when and how they were read."""


def resting_on(ground: Ground, policy: Policy) -> dict[str, Any]:
    """All that is kept of what a decision rests on: facts, the policy, and in which revision its signals mean what they mean."""
    signals = {clause.signal: SIGNALS[clause.signal].revision for clause in policy.clauses.values()}
    return {**ground, "policy": policy.digest, "signals": signals}


@dataclass(frozen=True, eq=False)
class Grounds:
    """The facts of some students, ready to be told one student at a time."""

    facts: Facts

    def of(self, student: int) -> Ground:
        """What a decision about one student rests on. A school's calendar and closed days are those of its enrolments."""
        schools = self._schools[student]
        return {
            "seen": dict(self.facts.seen),
            "enrolments": self._enrolments.of(student),
            "calendars": _joined([self._calendars[school] for school in schools]),
            "closed_days": _joined([self._closed[school] for school in schools]),
            "absences": self._absences.of(student),
            "tardies": self._tardies.of(student),
            "referrals": self._referrals.of(student),
            "scores": self._scores.of(student),
            "help_requests": self._help_requests.of(student),
            "exclusions": self._exclusions.of(student),
            "marks": self._marks.of(student),
            "rulings": self._rulings.of(student),
        }

    @cached_property
    def _schools(self) -> list[list[int]]:
        """For each student the schools of all enrolments, by name."""
        found: list[set[int]] = [set() for _ in range(self.facts.students)]
        for student, school in zip(
            self.facts.enrolments.student.tolist(), self.facts.enrolments.school.tolist(), strict=True
        ):
            found[student].add(school)
        return [sorted(each, key=lambda school: self.facts.schools[school]) for each in found]

    @cached_property
    def _enrolments(self) -> "_Rows":
        each = self.facts.enrolments
        columns = [self._school_names[each.school], self._grade_names[each.grade], each.entry, each.exit, each.primary]
        return _Rows.by(each.student, self.facts.students, columns)

    @cached_property
    def _absences(self) -> "_Rows":
        return self._of_attendance(self.facts.absences.hundredths > 0)

    @cached_property
    def _tardies(self) -> "_Rows":
        return self._of_attendance(self.facts.absences.kind == TARDY)

    def _of_attendance(self, mine: Flags) -> "_Rows":
        """What is of closed days of schools where the student is enrolled: on others nothing rests."""
        each, closed, enrolled = self.facts.absences, self.facts.closed, self.facts.enrolments
        counts = mine & np.isin(_pairs(each.school, each.day), _pairs(closed.school, closed.day))
        counts &= np.isin(_pairs(each.student, each.school), _pairs(enrolled.student, enrolled.school))
        columns = [self._school_names[each.school], each.day, each.hundredths, each.kind]
        return _Rows.by(each.student[counts], self.facts.students, [column[counts] for column in columns])

    @cached_property
    def _referrals(self) -> "_Rows":
        return _Rows.by(self.facts.referrals.student, self.facts.students, [self.facts.referrals.day])

    @cached_property
    def _scores(self) -> "_Rows":
        each = self.facts.scores
        columns = [self._subscale_names[each.subscale], each.day, each.mean, each.answered, each.items, each.prorated]
        return _Rows.by(each.student, self.facts.students, columns)

    @cached_property
    def _help_requests(self) -> "_Rows":
        return _Rows.by(self.facts.help_requests.student, self.facts.students, [self.facts.help_requests.day])

    @cached_property
    def _exclusions(self) -> "_Rows":
        each, names = self.facts.exclusions, _numbers_of(["\n".join(codes) for codes in self.facts.actions])
        return _Rows.by(each.student, self.facts.students, [names[each.action], each.day, each.hundredths])

    @cached_property
    def _marks(self) -> "_Rows":
        each = self.facts.marks
        return _Rows.by(each.student, self.facts.students, [each.day, each.failing, each.courses])

    @cached_property
    def _rulings(self) -> "_Rows":
        each = self.facts.rulings
        author = _numbers_of(self.facts.authors)[each.author]
        columns = [each.number, each.kind, each.tier, each.day, each.until, author]
        return _Rows.by(each.student, self.facts.students, columns)

    @cached_property
    def _calendars(self) -> list[tuple[int, bytes]]:
        each = self.facts.calendar
        rows = _Rows.by(each.school, len(self.facts.schools), [self._school_names[each.school], each.year, each.day])
        return [rows.digest(school) for school in range(len(self.facts.schools))]

    @cached_property
    def _closed(self) -> list[tuple[int, bytes]]:
        each = self.facts.closed
        rows = _Rows.by(each.school, len(self.facts.schools), [self._school_names[each.school], each.day, each.implied])
        return [rows.digest(school) for school in range(len(self.facts.schools))]

    @cached_property
    def _school_names(self) -> NDArray[Any]:
        return _numbers_of(self.facts.schools)

    @cached_property
    def _grade_names(self) -> NDArray[Any]:
        return _numbers_of(self.facts.grades)

    @cached_property
    def _subscale_names(self) -> NDArray[Any]:
        return _numbers_of(self.facts.subscales)


def _pairs(one: Ints, other: Ints) -> NDArray[np.int64]:
    return one.astype(np.int64) << 32 | other


def _numbers_of(names: Sequence[str]) -> NDArray[Any]:
    """A number for each name that depends on nothing but the name."""
    digests = (blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(each, "little", signed=True) for each in digests], np.int64)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of numbers, those of one owner beside each other, in an order that depends on nothing but what they say."""

    content: bytes
    width: int
    first: Ints

    @classmethod
    def by(cls, owner: Ints, owners: int, columns: Sequence[NDArray[Any]]) -> "_Rows":
        order = np.lexsort((*columns, owner))
        table = (
            np.stack([_bits(column)[order] for column in columns], axis=1) if len(owner) else np.zeros((0, 1), "<i8")
        )
        first = np.searchsorted(owner[order], np.arange(owners + 1)).astype(np.int32)
        return cls(table.tobytes(), table.shape[1] * 8, first)

    def digest(self, owner: int) -> tuple[int, bytes]:
        """How many rows are an owner's, and their digest."""
        first, end = int(self.first[owner]), int(self.first[owner + 1])
        content = self.content[first * self.width : end * self.width]
        return end - first, blake2b(content, digest_size=DIGEST_BYTES).digest()

    def of(self, owner: int) -> dict[str, Any]:
        """The same as JSON holds it."""
        count, digest = self.digest(owner)
        return {"count": count, "digest": digest.hex()}


def _bits(column: NDArray[Any]) -> NDArray[Any]:
    return column.astype("<f8").view("<i8") if column.dtype.kind == "f" else column.astype("<i8")


def _joined(parts: Sequence[tuple[int, bytes]]) -> dict[str, Any]:
    joined = blake2b(b"".join(digest for _, digest in parts), digest_size=DIGEST_BYTES)
    return {"count": sum(count for count, _ in parts), "digest": joined.hexdigest()}


_SAID_LATER = ("ruling", "tier_beneath")
_PROPOSED_LATER = ("facts", "adoption")


def digest_of_decision(said: Mapping[str, Any]) -> str:
    """The digest of a decision. Members that decisions have had only since people rule count where they say something."""
    return digest_of({name: value for name, value in said.items() if value or name not in _SAID_LATER})


def digest_of_proposal(said: Mapping[str, Any]) -> str:
    """The digest of a proposal. Members that the first proposals did not have count where they say something."""
    return digest_of({name: value for name, value in said.items() if value or name not in _PROPOSED_LATER})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a decision says otherwise than its facts do today."""

    field: str
    stored: Any
    recomputed: Any


_OF_A_CLAUSE = ("holds", "since", "evidence", "at_entry")
"""What a clause says. Its sentences follow from it, and may be worded better later."""


def differences(stored: Mapping[str, Any], recomputed: Mapping[str, Any]) -> list[Difference]:
    """What is otherwise between a stored decision and the same one recomputed; each kind of fact and each clause apart.

    What would change a clause is compared where it was kept and recomputed.
    """
    found = [
        Difference(name, stored[name], recomputed[name])
        for name in recomputed
        if name not in ("clauses", "facts") and stored[name] != recomputed[name]
    ]
    before, now = stored["facts"] or {}, recomputed["facts"]
    found += [
        Difference(f"facts.{kind}", before[kind], now[kind])
        for kind in before.keys() - {"seen"}
        if before[kind] != now[kind]
    ]
    return found + _of_clauses(stored["clauses"], recomputed["clauses"])


def _of_clauses(stored: Sequence[Mapping[str, Any]], recomputed: Sequence[Mapping[str, Any]]) -> list[Difference]:
    before, now = ({each["clause"]: each for each in those} for those in (stored, recomputed))
    found = [
        Difference(f"clauses.{name}.{part}", before[name][part], now[name][part])
        for name in before.keys() & now.keys()
        for part in _OF_A_CLAUSE
        if before[name][part] != now[name][part]
    ]
    found += [
        Difference(f"clauses.{name}.change", before[name]["change"], now[name]["change"])
        for name in before.keys() & now.keys()
        if (told := before[name].get("change")) and now[name].get("change") not in (None, told)
    ]
    found += [Difference(f"clauses.{name}", name in before, name in now) for name in before.keys() ^ now.keys()]
    return sorted(found, key=lambda each: each.field)
