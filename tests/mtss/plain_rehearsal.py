"""Any policy over one student's days, with a pencil: a row at a time, from events and the policy as it was written.

It shares nothing with the rules: no code, no shape of data, no number.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from common.events import AttendanceKind, AttendanceRecorded, Event, StudentEnrolled
from tests.mtss.oracle import District, standing


def states_of(
    events: Sequence[Event], document: dict[str, Any], student: UUID, asked: Sequence[date] = ()
) -> dict[date, int]:
    """For each day of the student's course 1 if targeted, and 2 if a candidate, and 4 if it hangs on what is unknown.

    ``asked``: the days on which somebody asked for help for the student; no event says that.
    """
    return _Pencil(events, document, student, asked).states()


class _Pencil:
    def __init__(self, events: Sequence[Event], document: dict[str, Any], student: UUID, asked: Sequence[date]) -> None:
        self.district, self.document, self.student, self.asked = District(events), document, student, asked
        self.kind = {
            (each.school_id, each.on): each.kind
            for each in standing(events)
            if isinstance(each, AttendanceRecorded) and each.student_id == student
        }
        self.enrolled = [
            each for each in standing(events) if isinstance(each, StudentEnrolled) and each.student_id == student
        ]
        self.past: list[dict[str, Any]] = []
        self.memory = {name: {"stands": False, "run": 0, "held": 0} for name in document["clauses"]}

    def states(self) -> dict[date, int]:
        course = {on for on, _ in self.district.school_days(self.student)}
        dates = {on for _, on in self.district.year_of}
        dates |= {on for on, _ in self.district.scores.get(self.student, [])}
        dates |= set(self.district.incidents.get(self.student, {}).values())
        dates |= {each.on for each in self.district.exclusions.get(self.student, [])}
        dates |= {each.on for each in self.district.marks.get(self.student, [])}
        dates |= set(self.asked)
        last = max((on for _, on in self.district.closed), default=date.min)
        found = {}
        for on in sorted(dates):
            if on <= last:
                state = self.state(on)
                if on in course:
                    found[on] = state
        return found

    def state(self, on: date) -> int:
        school = self.district.school_on(self.student, on)
        year = self.district.year_of.get((school or "", on), 0)
        known = bool(year) and (school, on) in self.district.closed
        missed = self.district.absent.get((self.student, school or "", on), 0) if known else 0
        today = {"on": on, "year": year, "known": known, "missed": missed, "kind": self.kind.get((school or "", on))}
        self.past.append(today)
        truth = {name: self.clause(name, today, school) for name in self.document["clauses"]}
        tiers = self.document["tiers"]
        targeted = _holds(tiers["targeted"]["when"], truth)
        asked = any(
            truth[name] is None and self.document["clauses"][name]["when_unknown"] == "ask"
            for name in _named(tiers["targeted"]["when"])
        )
        candidate = _holds(tiers["intensive"]["when"], truth) is True
        return (targeted is True) + 2 * candidate + 4 * (targeted is None and asked)

    def grade(self, on: date, school: str | None) -> str | None:
        covering = [
            each
            for each in self.enrolled
            if each.school_id == school
            and each.entry_on <= on
            and (each.exit_on is None or (on <= each.exit_on and each.exit_on > each.entry_on))
        ]
        covering.sort(key=lambda each: (each.primary, each.entry_on))
        return (covering[-1].grade or "") if covering else None

    def number(self, path: str, on: date, school: str | None) -> Fraction | None:
        grade = self.grade(on, school)
        said: Any = self.document["clauses"]
        for step in path.split("."):
            if not isinstance(said, dict) or step not in said:
                return None
            said = said[step]
        for variant in self.document.get("variants", []):
            if grade in variant["grades"]:
                said = variant["changes"].get(f"clauses.{path}", said)
                break
        said = self.document.get("schools", {}).get(school, {}).get(f"clauses.{path}", said)
        return Fraction(str(said["value"]))

    def clause(self, name: str, today: dict[str, Any], school: str | None) -> bool | None:
        clause, memory, on = self.document["clauses"][name], self.memory[name], today["on"]
        value = self.measured(clause, today)
        if self.grade(on, school) in self.document.get("exempt_grades", []):
            value = None
        lowest = clause["signal"] == "survey_level"
        entry = self.number(f"{name}.entry.{'at_most' if lowest else 'at_least'}", on, school)
        leave = self.number(f"{name}.exit.{'above' if lowest else 'below'}", on, school)
        enough = self.number(f"{name}.exit.days_in_a_row", on, school) or 1
        least = self.number(f"{name}.minimum_dwell.days", on, school)
        assert entry is not None
        if clause["signal"] == "survey_drop":
            # A drop is reliable if it is larger, not as large.
            enters = value is not None and value > entry * entry
        else:
            enters = value is not None and (value <= entry if lowest else value >= entry)
        if leave is None:
            leaves, enough = value is not None and not enters, Fraction(1)
            memory["run"] = int(leaves)
        else:
            leaves = value is not None and (value > leave if lowest else value < leave)
            if value is not None:
                memory["run"] = memory["run"] + 1 if leaves else 0
        if least is None:
            memory["stands"] = (memory["stands"] or enters) and not (leaves and memory["run"] == enough)
        else:
            self.dwell(memory, enters, memory["run"] >= enough and memory["held"] >= least, bool(today["year"]))
        return True if memory["stands"] else None if value is None else False

    def dwell(self, memory: dict[str, Any], enters: bool, may_leave: bool, school_day: bool) -> None:
        was = memory["stands"]
        memory["stands"] = enters or (was and not (may_leave and school_day))
        if not memory["stands"]:
            memory["held"] = 0
        elif school_day or not was:
            memory["held"] += 1

    def measured(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        by: dict[str, Any] = {
            "survey_level": lambda clause, today: self.heard(today["on"]),
            "survey_drop": self.fell,
            "no_trusted_adult": self.nobody,
            "attendance_share": self.share,
            "absence_streak": self.streak,
            "longest_streak": self.longest,
            "tardies": self.late,
            "excluded_days": self.excluded,
            "referrals": self.referrals,
            "help_requested": self.helped,
            "course_marks": self.marked,
        }
        found: Fraction | None = by[clause["signal"]](clause, today)
        return found

    def referrals(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        if not today["year"]:
            return None
        if clause["window"] == "school_year":
            return Fraction(self.district.referral_count(self.student, today["on"], today["year"]))
        since = today["on"] - timedelta(days=int(clause["window_days"]["value"]))
        incidents = self.district.incidents.get(self.student, {}).values()
        return Fraction(sum(since < when <= today["on"] for when in incidents))

    def helped(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        since = today["on"] - timedelta(days=_length(clause))
        return Fraction(sum(since < when <= today["on"] for when in self.asked)) if today["year"] else None

    def marked(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        found, marks = None, self.district.marks.get(self.student, [])
        for on in sorted({each.on for each in marks if each.on <= today["on"]}):
            courses = {each.section_id for each in marks if each.on == on}
            if len(courses) >= clause["minimum_data"]["courses"]["value"]:
                found = Fraction(len({each.section_id for each in marks if each.on == on and each.failing}))
        return found

    def nobody(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        days = sorted({each[0] for each in self.district.scores.get(self.student, []) if each[0] <= today["on"]})
        said = [self.heard(each) == 1 for each in days]
        return Fraction([*reversed(said), False].index(False)) if said else None

    def longest(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        days = [each for each in self.past if each["known"] and each["year"] == today["year"]]
        runs = [self.streak(clause, each) or Fraction(0) for each in days]
        return max(runs, default=None) if today["known"] else None

    def excluded(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        if not today["year"]:
            return None
        length, last, mine = (
            _length(clause),
            today["on"],
            self.district.exclusions.get(self.student),
        )
        known = [each["on"] for each in self.past if each["known"]]
        if clause["window"] == "last_school_days":
            first = known[-length - 1] + timedelta(days=1) if len(known) > length else date.min
        elif clause["window"] == "last_days":
            first = last - timedelta(days=length - 1)
        else:
            first = self.district.year_begins(self.student, today["year"]) if mine else last
        if clause["window"] == "first_school_days":
            of_year = [each["on"] for each in self.past if each["known"] and each["year"] == today["year"]]
            last = min(last, of_year[length - 1]) if len(of_year) >= length else last
        named = {code.lower() for code in clause["actions"]["codes"]}
        days = Fraction(0)
        for each in self.district.exclusions.get(self.student, []):
            if first <= each.on <= last and named & {code.lower() for code in each.actions}:
                served = each.hundredths_served
                days += Fraction(each.hundredths_proposed if served is None else served, 100)
        return days

    def heard(self, on: date) -> Fraction | None:
        said = [each for each in self.district.scores.get(self.student, []) if each[0] <= on]
        latest = max((when for when, _ in said), default=None)
        means = [Fraction(mean).limit_denominator(100) for when, mean in said if when == latest]
        return min(means, default=None)

    def late(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        if not today["known"]:
            return None
        days, length = [each for each in self.past if each["known"]], _length(clause)
        if clause["window"] == "last_days":
            days = [each for each in days if each["on"] > today["on"] - timedelta(days=length)]
        elif clause["window"] == "last_school_days":
            days = days[-length:]
        else:
            days = [each for each in days if each["year"] == today["year"]]
        if clause["window"] == "first_school_days":
            days = days[:length]
        return Fraction(sum(each["kind"] == AttendanceKind.TARDY for each in days))

    def fell(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        """Squared with its sign, so that no root has to be drawn; so is what it is compared with."""
        days = sorted({each[0] for each in self.district.scores.get(self.student, []) if each[0] <= today["on"]})
        if len(days) < 2:
            return None
        before, now = (self.heard(each) for each in days[-2:])
        sd, reliability = (Fraction(str(clause["scale"][name]["value"])) for name in ("sd", "reliability"))
        assert before is not None
        assert now is not None
        fell = before - now
        return fell * abs(fell) / (2 * sd * sd * (1 - reliability))

    def streak(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        if not today["known"]:
            return None
        days = [
            each for each in self.past if each["known"] and each["year"] == today["year"] and each["on"] <= today["on"]
        ]
        counted = _COUNTED.get(clause["counts"])
        came = [each["missed"] < 100 or (counted is not None and each["kind"] != counted) for each in days]
        return Fraction(next((place for place, there in enumerate(reversed(came)) if there), len(came)))

    def share(self, clause: dict[str, Any], today: dict[str, Any]) -> Fraction | None:
        if not today["known"]:
            return None
        days = [each for each in self.past if each["known"]]
        if clause["window"] == "last_days":
            days = days[-int(clause["window_days"]["value"]) :]
        else:
            days = [each for each in days if each["year"] == today["year"]]
        if clause["window"] == "first_days":
            days = days[: int(clause["window_days"]["value"])]
        if len(days) < clause["minimum_data"]["enrolled_days"]["value"]:
            return None
        kinds = {"unexcused": [AttendanceKind.UNEXCUSED], "excused": [AttendanceKind.EXCUSED]}.get(clause["counts"])
        missed = sum(each["missed"] for each in days if kinds is None or each["kind"] in kinds)
        return Fraction(missed, len(days))


_COUNTED = {"unexcused": AttendanceKind.UNEXCUSED, "excused": AttendanceKind.EXCUSED}


def _length(clause: dict[str, Any]) -> int:
    return int(clause["window_days"]["value"]) if "window_days" in clause else 0


def _named(condition: Any) -> list[str]:
    if isinstance(condition, str):
        return [condition]
    parts = condition.get("all") or condition.get("any") or condition["of"]
    return [name for part in parts for name in _named(part)]


def _holds(condition: Any, truth: dict[str, bool | None]) -> bool | None:
    """True or false if it comes out so however the unknown may turn out; else nothing."""
    if isinstance(condition, str):
        return truth[condition]
    parts = [_holds(part, truth) for part in condition.get("all") or condition.get("any") or condition["of"]]
    need = len(parts) if "all" in condition else 1 if "any" in condition else condition["at_least"]["value"]
    if parts.count(True) >= need:
        return True
    return None if parts.count(True) + parts.count(None) >= need else False
