"""Where courses and rulings have led: the tier of each student as of the last closed day, since when, and by whom."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import compress
from typing import Any, TypeAlias, TypeVar

import numpy as np

from common.events.mtss import Tier
from mtss.rules.courses import EVER, Courses
from mtss.rules.facts import INTENSIVE, LOOKED, NEVER, OVERRIDDEN, TARGETED, TIERS, Flags, Ints, day_of
from mtss.rules.ledger import NOTHING, Held, Said
from mtss.rules.people import NO_PROPOSAL, Days, rulings_of, stand_of, tiers_of
from mtss.rules.policy import FALSE, TRUE, Policy
from mtss.rules.timeline import Small, numbered

At: TypeAlias = tuple[Any, Any]
"""A row of the timeline for each student, and the students."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standing:
    """One entry a student, as of the student's last closed day."""

    decided: Flags
    """Whether there is such a day. The other columns mean nothing without it."""
    through: Ints
    """That day."""
    school: Small
    tier: Ints
    """By its place in ``TIERS``."""
    since: Ints
    ruling: Ints
    """The number of the ruling by which the tier began; 0 where the facts did."""
    overridden: Flags
    beneath: Ints
    """The tier without the override, if there is one."""
    until: Ints
    """The last day of the override."""
    supported: Flags
    """Whether a support runs, so that no tier ends by itself."""
    proposal: Ints
    """The tier that is put before a person, ``NO_PROPOSAL`` where none is."""
    proposal_since: Ints
    asks: Flags
    """Whether a person is asked, since the tier hangs on what is unknown, and nobody has just looked at that."""


def standing_of(courses: Courses) -> Standing:
    """Where each course has led, once people have spoken."""
    on_course, students = courses.timeline.on_course, courses.timeline.on_course.shape[1]
    last = numbered(on_course).max(axis=0)
    at = np.maximum(last - 1, 0), np.arange(students)
    tier = np.where(courses.targeted[at], np.int32(TARGETED), np.int32(0))
    proposed = (last > 0) & courses.candidate[at]
    standing = Standing(
        decided=last > 0,
        through=courses.timeline.days[at[0]],
        school=courses.timeline.school[at],
        tier=tier,
        since=_since(courses, courses.targeted, courses.targeted[at]),
        ruling=np.zeros(students, np.int32),
        overridden=np.zeros(students, np.bool_),
        beneath=tier.copy(),
        until=np.full(students, NEVER, np.int32),
        supported=np.zeros(students, np.bool_),
        proposal=np.where(proposed, np.int32(INTENSIVE), np.int32(NO_PROPOSAL)),
        proposal_since=np.where(proposed, _since(courses, courses.candidate, courses.candidate[at]), np.int32(NEVER)),
        asks=np.zeros(students, np.bool_),
    )
    for student in _left_to_people(courses, standing.decided):
        _stand(courses, student, standing)
    standing.asks[:] = _asks(courses, at, standing) & ~standing.overridden
    return standing


def _asks(courses: Courses, at: At, standing: Standing) -> Flags:
    """Whether the tier hangs on a clause that asks, and about which nobody has looked so few days ago that it rests."""
    looked, stays = courses.rulings.kind == LOOKED, standing.tier == INTENSIVE
    hangs = _hangs(courses, at, stays)
    if hangs and looked.any():
        days = np.full(len(at[0]), EVER)
        np.maximum.at(days, courses.rulings.student[looked], courses.rulings.day[looked])
        after = courses.timeline.days[:, None] > days
        since = (courses.timeline.on_course & after).sum(axis=0)
        then = np.maximum(numbered(courses.timeline.on_course & ~after).max(axis=0) - 1, 0), at[1]
        rest = (days > EVER) & (since < _rests(courses, at))
        # Whoever looked saw what was unknown on that day; what has become unknown since, they were not asked about.
        hangs = {
            name: flags & ~(rest & seen)
            for (name, flags), seen in zip(hangs.items(), _hangs(courses, then, stays).values(), strict=True)
        }
    return np.logical_or.reduce(list(hangs.values())) & standing.decided if hangs else np.zeros(len(at[0]), np.bool_)


def _hangs(courses: Courses, at: At, stays: Flags) -> dict[str, Flags]:
    """By each clause that asks whether nothing is known of it, and whether it hangs on it which support is called for.

    It does where what the clause is taken for, true or false, says otherwise; for who ``stays`` in intensive support that is called for, whatever is
    called for beneath. Of exempt grades nothing is asked.
    """
    policy, clauses, exempt = courses.policy, courses.clauses, courses.timeline.exempt
    asking = [name for name, clause in policy.clauses.items() if clause.when_unknown == "ask"]
    truth = {name: clause.truth(at) for name, clause in clauses.items() if asking}
    settled = stays & courses.candidate[at]
    found: dict[str, Flags] = {}
    for name in asking:
        mute = ~clauses[name].measure.telling[at]
        if exempt is not None:
            mute &= ~exempt[at]
        taken = [truth | {name: np.full(len(mute), value, np.int8)} for value in (TRUE, FALSE)]
        targeted, intensive = (
            np.not_equal(*(support.when.truth(each) for each in taken))
            for support in (policy.targeted, policy.intensive)
        )
        found[name] = mute & (intensive | (targeted & ~settled))
    if courses.before is None:
        return found
    was, nobody = _hangs(courses.before, at, stays), np.zeros(len(at[0]), np.bool_)
    earlier = courses.timeline.days[at[0]] < courses.first_day
    return {name: np.where(earlier, was.get(name, nobody), found.get(name, nobody)) for name in was | found}


def _rests(courses: Courses, at: At) -> Ints:
    """For so many days nobody is asked again, by the policy of each student's last day."""
    usual = int(courses.policy.review["declined_rests"].value)
    before = usual if courses.before is None else _rests(courses.before, at)
    return np.where(courses.timeline.days[at[0]] < courses.first_day, before, usual)


def tiers_over(courses: Courses) -> Ints:
    """The tier of each student at the end of each day of the course, by what people had decided by then."""
    tiers = np.where(courses.targeted, np.int32(TARGETED), np.int32(0))
    for student in _left_to_people(courses, np.asarray(courses.timeline.on_course.any(axis=0))):
        days = _days(courses, student)
        rows = np.searchsorted(courses.timeline.days, days.days)
        tiers[rows, student] = tiers_of(days, rulings_of(courses.rulings, student))
    return tiers


def unknown_of(courses: Courses) -> list[tuple[str, ...] | None]:
    """For each student the clauses of which nothing is known on the last closed day; ``None`` without such a day."""
    return _of_last_day(courses, _unknown)


def signals_since(courses: Courses) -> list[dict[str, date] | None]:
    """For each student the signals over which clauses stand on the last closed day, and since when; ``None`` without such a day."""
    return _of_last_day(courses, _signals)


def _of_last_day(courses: Courses, of: Callable[[Courses, At], list[T]]) -> list[T | None]:
    """What ``of`` says of each student under the policy that counts on their last closed day."""
    on_course = courses.timeline.on_course
    last = numbered(on_course).max(axis=0)
    rows = np.maximum(last - 1, 0)
    now = of(courses, (rows, np.arange(on_course.shape[1])))
    before = now if courses.before is None else _of_last_day(courses.before, of)
    earlier = courses.timeline.days[rows] < courses.first_day
    return [(before if earlier[place] else now)[place] if last[place] else None for place in range(len(now))]


def _unknown(courses: Courses, at: At) -> list[tuple[str, ...]]:
    columns = [~(stand.stands[at] | stand.measure.telling[at]) for stand in courses.clauses.values()]
    return [tuple(compress(courses.clauses, each)) for each in zip(*columns, strict=True)]


def _signals(courses: Courses, at: At) -> list[dict[str, date]]:
    found: list[dict[str, date]] = [{} for _ in at[0]]
    for name, stand in courses.clauses.items():
        signal, places = courses.policy.clauses[name].signal, np.flatnonzero(stand.stands[at])
        since = _since(courses, stand.stands[:, places], stand.stands[at][places], places)
        for place, day in zip(places.tolist(), map(day_of, since), strict=True):
            found[place][signal] = min(found[place].get(signal, day), day)
    return found


def said_of(standing: Standing, student: int) -> Said:
    """What is so of one student now, as the ledger compares it."""
    if not standing.decided[student]:
        return NOTHING
    return Said(
        TIERS[standing.tier[student]],
        day_of(standing.since[student]),
        int(standing.ruling[student]),
        bool(standing.overridden[student]),
    )


def held_of(standing: Standing, student: int) -> Held | None:
    """The override of one student, if one stands."""
    if not (standing.decided[student] and standing.overridden[student]):
        return None
    return Held(day_of(standing.until[student]), TIERS[standing.beneath[student]])


def said_before(courses: Courses, student: int, tier: Tier | None, since: date | None, ruling: int) -> Said:
    """What an earlier decision about one student said, by what it kept."""
    rulings = courses.rulings
    of_kind = rulings.kind[(rulings.student == student) & (rulings.number == ruling)]
    return Said(tier, since, ruling, bool((of_kind == OVERRIDDEN).any()))


def _left_to_people(courses: Courses, decided: Flags) -> list[int]:
    """Students about whom a person has ruled, or to whom a policy assigns or ends less than everything by itself.

    Without either, the tier of the last day is what the facts call for on it.
    """
    left = np.zeros(len(decided), np.bool_)
    left[courses.rulings.student] = True
    if any(not _by_itself(policy) for _, policy in _policies(courses)):
        left |= courses.targeted.any(axis=0) | courses.candidate.any(axis=0)
    return np.flatnonzero(left & decided).tolist()


def _by_itself(policy: Policy) -> bool:
    targeted, intensive = policy.targeted, policy.intensive
    return (targeted.entry, targeted.exit, intensive.entry) == ("assigned", "assigned", "proposed")


def _policies(courses: Courses) -> list[tuple[int, Policy]]:
    """The policies that count on these days, in their order."""
    earlier = [] if courses.before is None else _policies(courses.before)
    return [*earlier, (courses.first_day, courses.policy)]


def _stand(courses: Courses, student: int, standing: Standing) -> None:
    stand = stand_of(_days(courses, student), rulings_of(courses.rulings, student))
    for name in (
        "tier",
        "since",
        "ruling",
        "overridden",
        "beneath",
        "until",
        "supported",
        "proposal",
        "proposal_since",
    ):
        getattr(standing, name)[student] = getattr(stand, name)


def _days(courses: Courses, student: int) -> Days:
    rows, counting = np.flatnonzero(courses.timeline.on_course[:, student]), courses.as_of(student)

    def newest(tier: int) -> int:
        """The last day on which a clause began that ``tier`` rests on and that stands now."""
        support = counting.policy.intensive if tier == INTENSIVE else counting.policy.targeted
        stands = [counting.clauses[clause].stands[rows, student] for clause in support.when.clauses()]
        began = [rows[np.flatnonzero(~each).max(initial=-1) + 1] for each in stands if each[-1]]
        return max((int(courses.timeline.days[row]) for row in began), default=-NEVER)

    return Days(
        days=courses.timeline.days[rows],
        targeted=courses.targeted[rows, student],
        intensive=courses.candidate[rows, student],
        policies=_policies(counting),
        newest=newest,
    )


def _since(courses: Courses, flag: Flags, now: Flags, places: Any = slice(None)) -> Ints:
    """The first day on course after the last one on which ``flag`` was not as it is ``now``, for the students at some places."""
    on_course = courses.timeline.on_course[:, places]
    otherwise = numbered(on_course & (flag != now)).max(axis=0)
    first = (numbered(on_course) > otherwise).argmax(axis=0)
    days: Ints = courses.timeline.days[first]
    return days
