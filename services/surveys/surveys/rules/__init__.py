"""Who may answer, when, and how answers become scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeVar

from common.errors import DomainError, Invalid

Answers = Mapping[str, int | None]
"""Item key → answer on the item's scale; ``None`` is *prefer not to answer*, a missing key is not answered yet."""

Student = TypeVar("Student")
Said = TypeVar("Said")


class NoticeKind(StrEnum):
    """What families were told: that they may opt their child out, or that nothing happens without their consent."""

    OPT_OUT = "opt_out"
    CONSENT = "consent"


class ConsentState(StrEnum):
    """What was last said for one student and one window."""

    CONSENTED = "consented"
    OPTED_OUT = "opted_out"
    WITHDRAWN = "withdrawn"


class Stage(StrEnum):
    """How far a window is."""

    AWAITING_NOTICE = "awaiting_notice"
    PLANNED = "planned"
    OPEN = "open"
    CLOSED = "closed"


class Door(StrEnum):
    """What a personal link leads to."""

    OPEN = "open"
    NOT_YET = "not_yet"
    CLOSED = "closed"
    ANSWERED = "answered"
    GONE = "gone"


class NoticeMissing(DomainError):
    """Families have not been told of this survey: record the notice first."""


class NoticeTooLate(DomainError):
    """Families must be told before the survey opens: the notice is dated after the first day."""

    status = 422


class NoticeRecorded(DomainError):
    """The notice of this window is recorded already and does not change."""


class WindowClosed(DomainError):
    """This survey window is closed."""


class WindowNotClosed(DomainError):
    """This survey window is not closed yet: results are counted once, when it is and all paper has come in."""


class KeyTaken(DomainError):
    """A window with this key exists and says something else."""

    status = 422


class ConsentMissing(DomainError):
    """What this student needs to answer is missing: consent was not given, was withdrawn, or the family opted out."""


class ConsentDayImpossible(DomainError):
    """The day on which this was said must not lie in the future, nor before {earliest}."""

    status = 422


class StudentNotYetKnown(DomainError):
    """No enrolment of this student at a school of this window, while it is open, is known yet."""


class AnsweredOutsideWindow(DomainError):
    """The day of the answer is not a past day on which this survey was open."""

    status = 422


@dataclass(frozen=True, slots=True)
class Window:
    """When a survey is open. Both days are included."""

    opens_on: date
    closes_on: date
    notice: NoticeKind | None

    def stage(self, today: date) -> Stage:
        """How far it is. It never opens before families were told.

        Source: PPRA, 20 U.S.C. 1232h(b) and (c)(2): consent, or notice and the chance to opt out, before the survey.
        """
        if self.notice is None:
            return Stage.AWAITING_NOTICE
        if today < self.opens_on:
            return Stage.PLANNED
        return Stage.OPEN if today <= self.closes_on else Stage.CLOSED

    def told(self) -> NoticeKind:
        """What families were told.

        Raises:
            NoticeMissing: nothing is recorded.
        """
        if self.notice is None:
            raise NoticeMissing
        return self.notice

    def check_notice(self, sent_on: date) -> None:
        """Raise :class:`NoticeTooLate` if families were told only after the first day."""
        if sent_on > self.opens_on:
            raise NoticeTooLate

    def check_answered(self, on: date, *, today: date) -> None:
        """Raise :class:`AnsweredOutsideWindow` unless ``on`` is one of its days and not in the future."""
        if not self.opens_on <= on <= min(self.closes_on, today):
            raise AnsweredOutsideWindow


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A student's time at one school. Both days are included; ``left_on=None`` means still there."""

    school_id: str
    entry_on: date
    left_on: date | None = None
    primary: bool = True

    def covers(self, on: date) -> bool:
        """Whether the student was at the school on that day; leaving on the entry day is a no-show."""
        if self.left_on == self.entry_on:
            return False
        return self.entry_on <= on and (self.left_on is None or on <= self.left_on)


def may_answer(notice: NoticeKind, state: ConsentState | None) -> bool:
    """Whether a student may answer, given what families were told and what was last said for this student."""
    if notice is NoticeKind.CONSENT:
        return state is ConsentState.CONSENTED
    return state in (None, ConsentState.CONSENTED)


def check_said(on: date, *, today: date, earliest: date) -> None:
    """Raise :class:`ConsentDayImpossible` unless something may have been said on that day; both bounds are possible."""
    if not earliest <= on <= today:
        raise ConsentDayImpossible(earliest=earliest)


def school_on(enrolments: Sequence[Enrolment], on: date) -> str | None:
    """The school an answer of that day belongs to, ``None`` if the student was at none.

    The primary school comes first, then the latest entry; an answer of a day on which the student was at none of
    them belongs to the school that comes first all the same, because exits are often entered late.
    """
    came = [enrolment for enrolment in enrolments if enrolment.left_on != enrolment.entry_on]
    if not came:
        return None
    return max(came, key=lambda one: (one.covers(on), one.primary, one.entry_on, one.school_id)).school_id


def door(stage: Stage, *, answered: bool, allowed: bool, enrolled: bool) -> Door:
    """What a link that is not revoked leads to.

    Args:
        stage: of the window, today.
        answered: this student has answered.
        allowed: this student has what is required.
        enrolled: this student is at a school of the window.
    """
    if answered:
        return Door.ANSWERED
    if stage is Stage.AWAITING_NOTICE or not allowed or not enrolled:
        return Door.GONE
    return {Stage.PLANNED: Door.NOT_YET, Stage.OPEN: Door.OPEN, Stage.CLOSED: Door.CLOSED}[stage]


@dataclass(frozen=True, slots=True)
class Item:
    """One question, as far as scoring cares."""

    key: str
    subscale: str
    reversed: bool = False
    ends: tuple[int, int] | None = None
    """The lowest and the highest answer of its own scale; without one it has that of all others."""


@dataclass(frozen=True, slots=True)
class ScoringKey:
    """How answers become scores. All percentages and counts are data: the instrument's, and the district's floor.

    Source of the defaults: no standard exists; see the instrument's ``scoring.source`` and ``policy.toml``.
    """

    items: tuple[Item, ...]
    lowest: int
    highest: int
    answered_percent: int
    never_below_percent: int
    straight_line_items: int

    def __post_init__(self) -> None:
        """Refuse a key that would score a subscale on too few answers."""
        if not 0 < self.never_below_percent <= self.answered_percent <= 100:
            raise ValueError("answered_percent must lie between never_below_percent and 100")

    def ends(self, item: Item) -> tuple[int, int]:
        """The lowest and the highest answer to an item."""
        return item.ends or (self.lowest, self.highest)

    def turned(self, item: Item, answer: int) -> int:
        """The answer with the item's direction taken out: high is good for every item."""
        return sum(self.ends(item)) - answer if item.reversed else answer

    def subscales(self) -> dict[str, list[Item]]:
        """The items of each subscale, in the instrument's order."""
        grouped: dict[str, list[Item]] = {}
        for item in self.items:
            grouped.setdefault(item.subscale, []).append(item)
        return grouped


@dataclass(frozen=True, slots=True)
class Score:
    """The mean of one subscale over its answered items, on the scale of the items."""

    subscale: str
    mean: float
    answered: int
    items: int

    @property
    def prorated(self) -> bool:
        """Whether missing answers were taken to be like the given ones."""
        return self.answered < self.items


def check_answers(key: ScoringKey, answers: Mapping[str, object]) -> None:
    """Raise :class:`common.errors.Invalid` for an unknown item or an answer off the scale, naming the item only."""
    known = {item.key: key.ends(item) for item in key.items}
    if not answers.keys() <= known.keys():
        raise Invalid(field="answers", rule="holds an item that this instrument does not have")
    for name, answer in answers.items():
        lowest, highest = known[name]
        if answer is not None and not (type(answer) is int and lowest <= answer <= highest):
            rule = f"must be a whole number between {lowest} and {highest}, or null"
            raise Invalid(field=f"answers.{name}", rule=rule)


def score(key: ScoringKey, answers: Answers) -> tuple[Score, ...]:
    """The subscales with enough answers, in the instrument's order; too few answers give no score, not a low one.

    The mean over the answered items is the person-mean prorated score.
    """
    scores = (_subscale_score(key, name, items, answers) for name, items in key.subscales().items())
    return tuple(one for one in scores if one is not None)


def _subscale_score(key: ScoringKey, name: str, items: Sequence[Item], answers: Answers) -> Score | None:
    turned = [key.turned(item, answer) for item in items if (answer := answers.get(item.key)) is not None]
    if not turned or len(turned) * 100 < key.answered_percent * len(items):
        return None
    return Score(name, sum(turned) / len(turned), len(turned), len(items))


def is_straight_line(key: ScoringKey, answers: Answers) -> bool:
    """Whether many items of one scale got one and the same answer: something to know before trusting the scores."""
    alike = (answers.get(item.key) for item in key.items if item.ends is None)
    given = [answer for answer in alike if answer is not None]
    return len(given) >= key.straight_line_items and len(set(given)) == 1


def news(known: Mapping[Student, Said], said: Sequence[tuple[Student, Said]]) -> list[bool]:
    """For each of ``said``, taken one after the other, whether it differs from what was known of that student."""
    standing, new = dict(known), []
    for student, what in said:
        new.append(standing.get(student) != what)
        standing[student] = what
    return new
