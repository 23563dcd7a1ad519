"""What a tier policy says, once it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from common.errors import DomainError
from common.events.mtss import Tier
from mtss.rules.policy.conditions import Condition

ExitHow: TypeAlias = Literal["assigned", "proposed"]


class PolicyInvalid(DomainError):
    """The tier policy cannot be used: {field} {rule}."""

    status = 422


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a policy, exact, with its unit and where it comes from; a source of ``local`` is the district's own."""

    value: Decimal
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes of the SIS that a clause counts, and where the list comes from."""

    codes: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Clause:
    """One ground: when it begins to stand over a signal, and when it ends.

    ``texts`` hold what the signal takes that is no number (which absences, which window, which subscale), ``lists`` which codes
    of the SIS it counts. ``numbers`` are
    named by their path within the clause, such as ``entry.at_least`` or ``exit.days_in_a_row``.
    """

    name: str
    signal: str
    texts: Mapping[str, str]
    numbers: Mapping[str, Number]
    when_unknown: Literal["hold", "ask"]
    lists: Mapping[str, Codes] = field(default_factory=dict)

    @property
    def measured_by(self) -> tuple[Any, ...]:
        """What two clauses have in common that listen to the same signal in the same way."""
        numbers = ((path, number.value) for path, number in self.numbers.items() if not may_differ(path))
        lists = ((name, said.codes) for name, said in self.lists.items())
        return (self.signal, *sorted(self.texts.items()), *sorted(lists), *sorted(numbers))

    def __getitem__(self, path: str) -> Decimal:
        return self.numbers[path].value


def scale_of(values: Sequence[Decimal]) -> int:
    """1, 10 or 100: times this, all of these numbers of a policy are whole, and comparing them is exact."""
    return next(scale for scale in _SCALES if all(value * scale == int(value * scale) for value in values))


_SCALES = (1, 10, 100)
_MAY_DIFFER = frozenset({"entry", "exit", "bands", "minimum_dwell"})


def may_differ(path: str) -> bool:
    """Whether a clause's number may be another one for some students; all others say how the signal is measured."""
    return path.partition(".")[0] in _MAY_DIFFER


@dataclass(frozen=True, slots=True)
class Support:
    """When a tier of support is called for, and whether it is then assigned or put before a person."""

    when: Condition
    entry: Literal["assigned", "proposed"]
    exit: ExitHow
    tells_families: bool = True
    """Whether families are told of what the facts bring about."""


@dataclass(frozen=True, slots=True)
class Change:
    """A number that stands in place of another, named by its path, such as ``clauses.attendance.entry.at_least``."""

    path: str
    number: Number


@dataclass(frozen=True, slots=True)
class Variant:
    """What is otherwise for some grades, or for one school."""

    name: str
    changes: tuple[Change, ...]
    grades: frozenset[str] = frozenset()
    school: str | None = None

    def number_at(self, path: str, usual: Decimal) -> Decimal:
        """The number that counts here at ``path``."""
        return next((each.number.value for each in self.changes if each.path == path), usual)

    def of(self, clause: Clause) -> Clause:
        """The clause as it counts here."""
        here = {each.path: each.number for each in reversed(self.changes)}
        numbers = {path: here.get(f"clauses.{clause.name}.{path}", number) for path, number in clause.numbers.items()}
        return replace(clause, numbers=numbers)


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides, but for the facts. ``document`` is what was read, for those who want to see it."""

    version: str
    title: str
    clauses: Mapping[str, Clause]
    targeted: Support
    intensive: Support
    variants: tuple[Variant, ...]
    bounds: Mapping[str, tuple[Number, Number]]
    exempt_grades: frozenset[str]
    confirm_above: Number | None
    """How many percent of students the next adoption may change without being confirmed again; without it none."""
    review: Mapping[str, Number]
    """What people who decide are bound to, such as ``proposal_due``."""
    places: Mapping[str, Number]
    """By school and tier, such as ``7000011.targeted``, how many students can be supported at once; decides nothing."""
    document: Mapping[str, Any]
    digest: str
    """Of that document: what a version says never changes, and by this it shows."""

    @property
    def subscales(self) -> tuple[str, ...]:
        """The survey subscales it listens to."""
        return tuple(
            sorted({clause.texts["subscale"] for clause in self.clauses.values() if "subscale" in clause.texts})
        )

    def support_of(self, tier: Tier | None) -> Support:
        """When what a tier gives is called for. Where that is no extra support, or no tier, targeted support comes next."""
        return self.intensive if tier is Tier.INTENSIVE else self.targeted

    def variant_of(self, grade: str, school: str) -> Variant | None:
        """What is otherwise for a student of this grade at this school; where both say something, the school's counts."""
        of_grade = next((each for each in self.variants if grade in each.grades), None)
        of_school = next((each for each in self.variants if each.school == school), None)
        if of_grade is None or of_school is None:
            return of_school or of_grade
        return together(of_grade, of_school)


def together(of_grade: Variant, of_school: Variant) -> Variant:
    """What is otherwise for a student of both; where both say something, the school's counts."""
    return Variant(f"{of_grade.name}, {of_school.name}", of_school.changes + of_grade.changes)
