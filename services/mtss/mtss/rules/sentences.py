"""Evidence in words that a parent understands: what was seen, and what would change it. Nobody is blamed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from common.events.mtss import Tier
from mtss.rules.policy import AttendancePolicy, Policy

Evidence = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """Two sentences about one clause."""

    in_words: str
    what_would_change_it: str


def attendance(holds: bool | None, evidence: Evidence, policy: Policy) -> Said:
    """About days missed in the school year so far."""
    rule, enrolled = policy.attendance, evidence["days_enrolled"]
    absent = round(evidence["days_absent"] * 100)
    seen = (
        f"{_days(evidence['days_absent'])} of {_count(enrolled, 'school day')} of this school year were missed, "
        f"for whatever reason, counted through {_date(evidence['through'])}."
    )
    if evidence["days_implied"]:
        seen += (
            f" For {_count(evidence['days_implied'], 'day')} of these the school sent no list; they count as attended."
        )
    if holds:
        return Said(seen, _attendance_ends(absent, enrolled, evidence["days_in_a_row_below_exit"], rule))
    begins = f"Extra support begins once {rule.entry_percent} percent or more of the school days so far were missed"
    if holds is None:
        return Said(seen, f"Attendance is looked at once {rule.minimum_days} school days are known. {begins}.")
    further = days_missed_until(absent, enrolled, rule.entry_percent, rule.minimum_days)
    return Said(seen, f"{begins}: for instance, if the next {_count(further, 'school day')} were missed.")


def adult_support(holds: bool | None, evidence: Evidence, policy: Policy) -> Said:
    """About the answers on adults at school."""
    cut = f"{policy.adult_support.at_most:g}"
    if holds is None:
        partly = "The survey was answered in part, which is not enough to say." if evidence["mean"] is not None else ""
        return Said(
            partly or "No survey answers about adults at school are known yet.",
            f"A fully answered survey tells; extra support begins when its average is {cut} or less.",
        )
    seen = (
        f"In the survey of {_date(evidence['answered_on'])} the average of the answers about adults at school was "
        f"{evidence['mean']:g} ({_count(evidence['items_answered'], 'question')} answered)."
    )
    if holds:
        return Said(seen, f"This ends with a later, fully answered survey whose average is above {cut}.")
    return Said(seen, f"Extra support begins with a later, fully answered survey whose average is {cut} or less.")


def referrals(holds: bool | None, evidence: Evidence, policy: Policy) -> Said:
    """About referrals to the office in one school year."""
    count = evidence["referrals"]
    seen = (
        f"{_count(count, 'referral')} to the office in this school year, counted through {_date(evidence['through'])}."
    )
    if holds:
        return Said(seen, "This ends with the first school day of the next school year.")
    left = _count(policy.referrals.entry - count, "further referral")
    return Said(seen, f"Extra support begins with {left} in this school year.")


SAYS: dict[str, Callable[[bool | None, Evidence, Policy], Said]] = {
    "attendance": attendance,
    "adult_support": adult_support,
    "referrals": referrals,
}


def of_tier(tier: Tier | None, changes: Sequence[str]) -> str:
    """What would change a tier, given what would change each clause that it rests on."""
    if tier is None:
        return "A tier is decided again once an enrolment has a school day whose attendance is known."
    if tier is Tier.UNIVERSAL:
        return " ".join(changes)
    ground = "its ground is" if len(changes) == 1 else "all of its grounds are"
    return " ".join((f"Extra support stands until {ground} gone.", *changes))


def days_missed_until(hundredths_absent: int, days_enrolled: int, percent: int, minimum_days: int) -> int:
    """How many coming days, all missed, would bring the share to ``percent``: the least that is enough."""
    missing = percent * days_enrolled - hundredths_absent
    return max(-(-missing // (100 - percent)), minimum_days - days_enrolled, 1)


def days_attended_until_below(hundredths_absent: int, days_enrolled: int, percent: int) -> int:
    """How many coming days, all attended, would bring the share under ``percent``; 0 if it is already."""
    return max(hundredths_absent // percent - days_enrolled + 1, 0)


def _attendance_ends(absent: int, enrolled: int, done: int, rule: AttendancePolicy) -> str:
    ends = (
        f"This ends after {_count(rule.exit_days, 'school day')} in a row on which less than "
        f"{rule.exit_below_percent} percent of the school days so far were missed"
    )
    if enrolled < rule.minimum_days:
        return f"{ends}; in a new school year that is counted from the {rule.minimum_days}th school day on."
    wait = days_attended_until_below(absent, enrolled, rule.exit_below_percent)
    if wait:
        return f"{ends}; with every coming day attended, the first of them is {_count(wait, 'school day')} away."
    return f"{ends}; {done} of them {'is' if done == 1 else 'are'} behind us."


def _days(amount: float) -> str:
    return f"{amount:g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _date(text: str) -> str:
    on = date.fromisoformat(text)
    return f"{on:%B} {on.day}, {on.year}"
