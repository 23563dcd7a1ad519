"""What a signal is: something about a student that is measured day by day, shown as evidence and said in words."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from mtss.rules.facts import Facts, Flags, Ints, day_of
from mtss.rules.policy.document import Clause
from mtss.rules.rehearsal import measures
from mtss.rules.rehearsal.district import Happened
from mtss.rules.rehearsal.ground import Ground
from mtss.rules.rehearsal.rare import Count, RecentCount, RecentSchoolCount
from mtss.rules.timeline import LAST_DAYS, LAST_SCHOOL_DAYS, Timeline

Evidence: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """What a signal says on each day of each student.

    ``amount`` is compared with a clause's numbers as it is; where ``of`` is given, it is hundredths of days, and the numbers
    are whole or broken percent of so many days. Where it is not ``telling``, nothing is known.
    """

    amount: NDArray[Any]
    telling: Flags
    of: Ints | None = None
    unit: int = 1
    """So many of the amount are one of what the clause's numbers count."""
    running: NDArray[Any] | None = None
    """What the next day or survey goes on from, where that is not the amount: days in a row so far, or the mean last heard."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One clause of one student on one day: all that evidence is made of."""

    clause: Clause
    facts: Facts
    timeline: Timeline
    measure: Measure
    days_leaving: int
    """How many days in a row the exit has been met, up to and including this day."""
    row: int
    student: int


@dataclass(frozen=True, slots=True)
class Going:
    """How one clause of one student goes on if every coming school day of this school year is attended and nothing happens."""

    clause: Clause
    facts: Facts
    stands: bool
    """Whether it stands on the last closed day."""
    days: Ints
    """The coming school days."""
    school: Ints
    """Where the student is on each."""
    now: tuple[Any, Any]
    """On the last closed day: what is measured, and of how many days."""
    running: float
    """On the same day what goes on, where the measure has that."""
    amount: NDArray[Any]
    of: NDArray[Any] | None
    telling: Flags


@dataclass(frozen=True, slots=True)
class Supposed:
    """Something that is supposed to happen from the next school day on, and how much of it."""

    by: str
    least: float
    further: float
    """Grows with how much is supposed."""
    facts: Mapping[str, Sequence[tuple[float, ...]]]
    """What is to be added, by kind of fact: rows of its columns without the student."""
    of: str = ""
    """Suppositions of the same thing ``by`` the same way, such as two clauses over one subscale, are compared."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that make sense, both ends included."""

    least: Decimal
    most: Decimal
    places: int = 0
    """So many decimal places at most."""


def whole(least: int, most: int) -> Range:
    """Whole numbers from ``least`` to ``most``."""
    return Range(Decimal(least), Decimal(most))


def broken(least: str, most: str, places: int = 1) -> Range:
    """Numbers from ``least`` to ``most`` with so many decimal places at most."""
    return Range(Decimal(least), Decimal(most), places)


MOST_SCHOOL_DAYS = 186
"""No school year has more: the longest that a state asks for (Kansas, K.S.A. 72-3115)."""


def beyond_a_year(clause: Clause, path: str = "entry.at_least") -> Iterator[tuple[str, str]]:
    """A number of days in one school year that no school year has."""
    if clause[path] > MOST_SCHOOL_DAYS:
        yield path, "is never reached, so the clause can never hold: no school year has so many days"


def wrong_window(clause: Clause, timed: Collection[str], minimum: str = "") -> Iterator[tuple[str, str]]:
    """The length of a window that needs one and has none, or the other way round, or that never holds the ``minimum``."""
    has, needs = "window_days" in clause.numbers, clause.texts["window"] in timed
    if needs and not has:
        yield "window_days", "is missing: this window needs its length"
    elif has and not needs:
        yield "window_days", "means nothing: this window has no length"
    elif needs and minimum in clause.numbers and clause[minimum] > clause["window_days"]:
        yield minimum, "is never reached, so the clause can never hold: the window is shorter"


def _nothing(_: Clause) -> Iterator[tuple[str, str]]:
    return iter(())


def shows(holds: bool | None, _: Mapping[str, Any]) -> Iterator[str]:
    """The name of the sentence about what is seen."""
    yield {True: "stands", False: "clear", None: "unknown"}[holds]


def counted(name: str) -> Callable[[Moment], Evidence]:
    """Evidence of how many, under this name, counted through which day of which school year."""

    def evidence(at: Moment) -> Evidence:
        amount = at.measure.amount[at.row, at.student]
        return {
            name: int(amount) if at.measure.unit == 1 else float(amount / at.measure.unit),
            "school_year": int(at.timeline.year[at.row, at.student]),
            "through": day_of(at.timeline.days[at.row]).isoformat(),
        }

    return evidence


def on_the_next_day(kind: str) -> Callable[[Going], Supposed | None]:
    """Of this kind of fact as many on the next school day as are missing to the entry."""

    def suppose(going: Going) -> Supposed | None:
        if going.stands or not len(going.days):
            return None
        least = max(int(going.clause["entry.at_least"]) - int(going.amount[0]), 1)
        return Supposed(kind, least, least, {kind: [(going.days[0],)] * least})

    return suppose


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of signal. A new one is one file that makes one of these.

    ``texts``, ``lists`` of codes and ``numbers`` are what a clause must say of it, ``may`` what it may leave out. A clause without an exit stands
    exactly as long as its entry holds. ``reads`` is the class of fields that its evidence and its sentences are of. ``wrong``
    says which numbers of a clause make no sense together, and why. ``suppose`` is the least of what may happen that could
    change where a clause stands; ``None``: nothing but days that pass. ``revision`` is one higher whenever the signal means something else
    than before: every decision keeps it, so that one that rests on the older meaning is found. ``shows`` names the sentences about what is seen, and
    ``values`` is what they are filled with. ``words`` are those sentences, by language and by who reads them; beside them ``nouns``
    that are counted and ``texts`` of clauses, where no other signal has them. A rehearsal goes day by day: by the clause's window,
    or by ``None``, ``rehearsed`` brings the measure from one day to the next, and ``recorded`` is what it hears beside attendance.
    """

    name: str
    reads: str
    entry: Literal["at_least", "at_most"]
    measure: Callable[[Timeline, Facts, Clause], Measure]
    evidence: Callable[[Moment], Evidence]
    suppose: Callable[[Going], Supposed | None]
    rehearsed: Mapping[str | None, Callable[[Ground, Clause], measures.Measure]]
    words: Mapping[str, Any]
    recorded: Callable[[Timeline, Facts, Clause], Happened] | None = None
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()
    numbers: Mapping[str, Range] = field(default_factory=dict)
    may: Mapping[str, Range] = field(default_factory=dict)
    wrong: Callable[[Clause], Iterator[tuple[str, str]]] = _nothing
    shows: Callable[[bool | None, Mapping[str, Any]], Iterator[str]] = shows
    values: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    revision: int = 1
    always_known: bool = False
    """Whether something is known of it on every closed day."""

    @property
    def exit(self) -> str:
        """How the exit is compared: the opposite of the entry."""
        return {"at_least": "below", "at_most": "above"}[self.entry]


def in_window(
    name: str,
    most: Range,
    minimum: str = "",
    timed: tuple[str, ...] = (LAST_DAYS,),
    in_year: type[Count] = Count,
    how: Mapping[str, Any] | None = None,
    **other: Any,
) -> Signal:
    """A signal that counts in one school year, or in ``timed`` windows, whose days must be as many as ``minimum`` says.

    A rehearsal counts ``in_year``, or in last days, ``how`` as :class:`mtss.rules.rehearsal.rare.Count` takes it.
    """
    counts = {LAST_DAYS: RecentCount, LAST_SCHOOL_DAYS: RecentSchoolCount}
    windows = ("school_year", *timed)
    return Signal(
        name=name,
        entry="at_least",
        texts={"window": frozenset(windows)},
        numbers={"entry.at_least": most},
        may={"window_days": whole(1, 400), "exit.below": most, "exit.days_in_a_row": whole(1, 400)},
        wrong=partial(wrong_window, timed=timed, minimum=minimum),
        always_known=not minimum,
        rehearsed={each: partial(counts.get(each, in_year), **(how or {})) for each in windows},
        **other,
    )
