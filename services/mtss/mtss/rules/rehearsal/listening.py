"""Which measure brings what a clause listens to from one day to the next."""

from collections.abc import Callable, Mapping

from mtss.rules.policy.document import Clause, PolicyInvalid
from mtss.rules.rehearsal.district import District
from mtss.rules.rehearsal.ground import Ground
from mtss.rules.rehearsal.measures import FirstDays, LastDays, LongestStreak, Measure, Share, Streak
from mtss.rules.rehearsal.rare import (
    Count,
    Drop,
    Level,
    NoAdult,
    RecentCount,
    RecentSchoolCount,
    Tardies,
)
from mtss.rules.signals.excluded_days import HUNDREDTHS


def _tardies(measure: type[Count]) -> Callable[[Ground, Clause], Measure]:
    return lambda ground, clause: measure(ground, clause, ground.district.tardies, closed=True)


def _excluded(measure: type[Count]) -> Callable[[Ground, Clause], Measure]:
    def of_actions(ground: Ground, clause: Clause) -> Measure:
        return measure(ground, clause, ground.district.exclusions[clause.lists["actions"]], unit=HUNDREDTHS)

    return of_actions


_OF: Mapping[tuple[str, str | None], Callable[[Ground, Clause], Measure]] = {
    ("absence_streak", None): Streak,
    ("longest_streak", None): LongestStreak,
    ("attendance_share", "year_to_date"): Share,
    ("attendance_share", "first_days"): FirstDays,
    ("attendance_share", "last_days"): LastDays,
    ("survey_level", None): Level,
    ("survey_drop", None): Drop,
    ("no_trusted_adult", None): NoAdult,
    ("referrals", "school_year"): lambda ground, clause: Count(ground, clause, ground.district.referrals),
    ("referrals", "last_days"): lambda ground, clause: RecentCount(ground, clause, ground.district.referrals),
    ("excluded_days", "school_year"): _excluded(Count),
    ("excluded_days", "last_days"): _excluded(RecentCount),
    ("excluded_days", "last_school_days"): _excluded(RecentSchoolCount),
    ("excluded_days", "first_school_days"): _excluded(Count),
    ("tardies", "school_year"): _tardies(Tardies),
    ("tardies", "last_days"): _tardies(RecentCount),
    ("tardies", "last_school_days"): _tardies(RecentSchoolCount),
    ("tardies", "first_school_days"): _tardies(Tardies),
    ("help_requested", None): lambda ground, clause: RecentCount(ground, clause, ground.district.help_requests),
}


def measure_of(ground: Ground, clause: Clause) -> Measure:
    """What the clause's signal says to these students."""
    return _OF[clause.signal, clause.texts.get("window")](ground, clause)


def require_runnable(district: District, clause: Clause) -> None:
    """Nothing, if a rehearsal can run this clause over this district.

    Raises:
        PolicyInvalid: it cannot, and which part of the clause is why.
    """
    at, texts = f"clauses.{clause.name}", clause.texts
    if (clause.signal, texts.get("window")) not in _OF:
        raise PolicyInvalid(field=f"{at}.signal", rule="cannot be rehearsed yet")
    if texts.get("window", "").endswith("_days") and "window_days" not in clause.numbers:
        raise PolicyInvalid(field=f"{at}.window_days", rule="is missing")
    if texts.get("counts", "all") not in district.missed:
        raise PolicyInvalid(field=f"{at}.counts", rule="is not among the days that were given")
    if clause.lists and clause.lists["actions"] not in district.exclusions:
        raise PolicyInvalid(field=f"{at}.actions", rule="is not among the actions that were given")
    if "subscale" in texts and texts["subscale"] not in district.scores:
        raise PolicyInvalid(field=f"{at}.subscale", rule="is not among the scores that were given")
