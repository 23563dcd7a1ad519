"""The figures of one policy over one past: how many, how long, and how early."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np

from mtss.rules.facts import Flags, Ints
from mtss.rules.intervals import needed, share
from mtss.rules.policy.document import Number
from mtss.rules.rehearsal.comparison import Decides, YearEnd
from mtss.rules.rehearsal.outcome import CANDIDATE, TARGETED, UNKNOWN, Outcome
from mtss.rules.rehearsal.past import Past
from mtss.rules.rehearsal.years import decided

Figures: TypeAlias = dict[str, Any]
"""As JSON holds it."""

_STATES = {"targeted": TARGETED, "candidate": CANDIDATE, "unknown": UNKNOWN}
_QUARTILES = (25, 50, 75)
_ROUNDING = 1e-9


def caseload(past: Past, outcome: Outcome) -> Figures:
    """At the end of the last school day of each week: for each school how many students are in each state."""
    return {name: _of_weeks(past, outcome.caseload(state)) for name, state in _STATES.items()}


def against_places(past: Past, outcome: Outcome, places: Mapping[str, Number]) -> Figures:
    """For each tier and school the places, if the policy names them, the most students at the end of a week, and how many weeks had more."""
    found: Figures = {}
    for tier, state in (("targeted", TARGETED), ("intensive", CANDIDATE)):
        there = [places.get(f"{school}.{tier}") for school in past.schools]
        weeks = outcome.caseload(state)[past.weeks][:, past.columns]
        found[tier] = [
            {
                "places": None if number is None else int(number.value),
                "most": int(of.max(initial=0)),
                "weeks_over": None if number is None else int(np.count_nonzero(of > int(number.value))),
            }
            for number, of in zip(there, weeks.T, strict=True)
        ]
    return found


def enrolled(past: Past, outcome: Outcome) -> list[list[int]]:
    """The same for all who are enrolled."""
    return _of_weeks(past, outcome.counts.sum(axis=2, dtype=np.int32))


def _of_weeks(past: Past, counts: Ints) -> list[list[int]]:
    of_weeks: list[list[int]] = counts[past.weeks][:, past.columns].tolist()
    return of_weeks


def daily(past: Past, outcome: Outcome, state: int = TARGETED) -> Figures:
    """How many students are in ``state``, over all school days: the mean, the most, and when that was."""
    each = outcome.caseload(state)[past.rows][:, past.columns].sum(axis=1)
    if not len(each):
        return {"mean": None, "most": None, "most_on": None, "last": None}
    most = int(each.argmax())
    return {
        "mean": round(float(each.mean()), 1),
        "most": int(each[most]),
        "most_on": past.date(past.rows[most]),
        "last": int(each[-1]),
    }


def flow(past: Past, outcome: Outcome, state: int = TARGETED) -> Figures:
    """Who came and went: entries and exits, how long it stood, and who came back after an exit."""
    times, inside = outcome.episodes(state), within(past)
    came, left = inside[times.entry], inside[times.exit]
    seen = np.minimum(times.exit[came], _seen_until(past, outcome)[times.student[came]])
    stays = past.number[seen] - past.number[times.entry[came]]
    entries = np.bincount(times.student[came])
    return {
        "students": int(np.count_nonzero(ever(past, outcome, state))),
        "entries": int(np.count_nonzero(came)),
        "exits": int(np.count_nonzero(left)),
        "school_days_stayed": {"quartiles": stayed(stays, left[came]), "of": len(stays)},
        "students_who_came_back": int(np.count_nonzero(entries > 1)),
        "returns": int(np.maximum(entries - 1, 0).sum()),
    }


def _seen_until(past: Past, outcome: Outcome) -> Ints:
    """For each student the row after the last day of this past that counted for them: what came later nobody knows."""
    until: Ints = np.zeros(outcome.students, np.int32)
    np.maximum.at(until, past.years.student, past.years.last + 1)
    return until


def stayed(lengths: Ints, over: Flags) -> list[int | None]:
    """By when a quarter, half and three quarters of stays were over; ``None`` where that cannot be said yet.

    A stay that is not over counts until its length so far, for who still stays is not who left soon.
    Source: Kaplan and Meier, Nonparametric estimation from incomplete observations, JASA 53 (1958).
    """
    at, ended = np.unique(lengths[over], return_counts=True)
    still = len(lengths) - np.searchsorted(np.sort(lengths), at)
    gone = 100 * (1 - np.cumprod(1 - ended / still))
    reached = [np.flatnonzero(gone >= part - _ROUNDING) for part in _QUARTILES]
    return [int(at[found[0]]) if len(found) else None for found in reached]


def ever(past: Past, outcome: Outcome, state: int = TARGETED) -> Flags:
    """Which students were in ``state`` on any day of this past."""
    stood: Flags = np.zeros(outcome.students, np.bool_)
    if len(past.rows):
        times = outcome.episodes(state)
        stood[times.student[(times.entry <= past.rows[-1]) & (times.exit > past.rows[0])]] = True
    return stood


def within(past: Past) -> Flags:
    """Which rows are of this past; one more for the end, which is not."""
    inside: Flags = np.zeros(len(past.district.days) + 1, np.bool_)
    inside[past.rows] = True
    return inside


def quartiles(values: Ints) -> Figures:
    """A quarter is at most the first, half at most the second; and of how many these are."""
    found = np.percentile(values, _QUARTILES, method="inverted_cdf").tolist() if len(values) else [None] * 3
    return {"quartiles": found, "of": len(values)}


def early(
    past: Past, outcome: Outcome, end: YearEnd, place: int, decides: Decides = "every_day", state: int = TARGETED
) -> Figures:
    """How early a policy calls for ``state`` for students whose year ended so, whom it misses, and whom it supports besides.

    In time is before the day on which the end of the year was certain.
    """
    years, rows = past.years, len(outcome.days)
    told = years.enrolled >= end.enrolled_days
    ended = told & (years.missed >= end.percent * years.enrolled)
    on = decided(years, outcome, state, decides)
    found, crossed = ended & (on < rows), years.crossed[place]
    in_time = found & (on < crossed)
    precision = share(int(np.count_nonzero(found)), int(np.count_nonzero(told & (on < rows))))
    students = int(np.count_nonzero(ended))
    return {
        "ended": students,
        "sensitivity": asdict(share(precision.count, students)),
        "in_time": asdict(share(int(np.count_nonzero(in_time)), students)),
        "precision": asdict(precision),
        "needed_to_support": asdict(needed(precision)),
        "school_days_ahead": quartiles(past.number[crossed[found]] - past.number[on[found]]),
    }


def unknown(past: Past, outcome: Outcome) -> Figures:
    """Of all student days the share on which nothing was known; ``outcome`` is that of a clause alone, which asks."""
    days = past.school_days[past.rows]
    mute = np.where(days, outcome.caseload(UNKNOWN)[past.rows][:, past.columns], 0)
    every = np.where(days, outcome.counts[past.rows][:, past.columns].sum(axis=2), 0)
    at = np.searchsorted(past.mondays(past.weeks), past.mondays(past.rows))
    of_weeks = [np.bincount(at, each.sum(axis=1), minlength=len(past.weeks)) for each in (mute, every)]
    return {
        "share": _share(mute.sum(), every.sum()),
        "schools": [_share(*each) for each in zip(mute.sum(axis=0), every.sum(axis=0), strict=True)],
        "weeks": [_share(*each) for each in zip(*of_weeks, strict=True)],
    }


def _share(part: float, whole: float) -> float | None:
    return round(float(part / whole), 4) if whole else None
