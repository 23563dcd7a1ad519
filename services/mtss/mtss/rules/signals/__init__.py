"""The signals that a policy's clauses may listen to. A new one is one file, named here."""

from collections.abc import Mapping

from mtss.rules.signals import (
    absence_streak,
    attendance_share,
    excluded_days,
    help_requested,
    longest_streak,
    no_trusted_adult,
    referrals,
    survey_drop,
    survey_level,
    tardies,
)
from mtss.rules.signals.kinds import Evidence, Measure, Moment, Range, Signal

_ALL = (
    absence_streak,
    attendance_share,
    excluded_days,
    help_requested,
    longest_streak,
    no_trusted_adult,
    referrals,
    survey_drop,
    survey_level,
    tardies,
)
SIGNALS: Mapping[str, Signal] = {each.SIGNAL.name: each.SIGNAL for each in _ALL}

__all__ = ["SIGNALS", "Evidence", "Measure", "Moment", "Range", "Signal"]
