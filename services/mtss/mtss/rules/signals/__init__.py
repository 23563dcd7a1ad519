"""The signals that a policy's clauses may listen to. A new one is one file, named here."""

from collections.abc import Mapping

from mtss.rules.signals import absence_streak, attendance_share, referrals, survey_level
from mtss.rules.signals.kinds import Evidence, Measure, Moment, Range, Signal

SIGNALS: Mapping[str, Signal] = {
    each.SIGNAL.name: each.SIGNAL for each in (absence_streak, attendance_share, referrals, survey_level)
}

__all__ = ["SIGNALS", "Evidence", "Measure", "Moment", "Range", "Signal"]
