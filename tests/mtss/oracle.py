"""The course of one student as domain.md tells it, day by day and slowly: what the rules are compared with.

It shares nothing with the rules: no code, no shape of data, no number. It reads events as they were said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from uuid import UUID

from common.events import (
    AttendanceRecorded,
    CourseMarked,
    Event,
    ExclusionRecorded,
    IncidentRecorded,
    SchoolCalendarSet,
    SchoolDayClosed,
    StudentEnrolled,
    SurveyScored,
)


@dataclass(frozen=True)
class Day:
    on: date
    school: str
    year: int
    tier: str
    candidate: bool
    attendance: bool | None
    adult_support: bool | None
    referrals: bool | None
    hundredths_absent: int
    days_enrolled: int
    days_implied: int
    referral_count: int


def standing(events: Iterable[Event]) -> list[Event]:
    """Of each fact the highest revision, unless that says that it is gone."""
    facts: dict[tuple[object, ...], Event] = {}
    for event in events:
        key = (type(event).__name__, *event.fact_key)
        if key not in facts or facts[key].revision < event.revision:
            facts[key] = event
    return [event for event in facts.values() if not event.deleted]


class District:
    """Everything that was said, sorted into plain dictionaries."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.enrolments: dict[UUID, list[StudentEnrolled]] = {}
        self.year_of: dict[tuple[str, date], int] = {}
        self.closed: dict[tuple[str, date], bool] = {}
        self.absent: dict[tuple[UUID, str, date], int] = {}
        self.incidents: dict[UUID, dict[UUID, date]] = {}
        self.scores: dict[UUID, list[tuple[date, float]]] = {}
        self.exclusions: dict[UUID, list[ExclusionRecorded]] = {}
        self.marks: dict[UUID, list[CourseMarked]] = {}
        for event in standing(events):
            self._hear(event)

    def _hear(self, event: Event) -> None:
        match event:
            case StudentEnrolled():
                self.enrolments.setdefault(event.student_id, []).append(event)
            case SchoolCalendarSet():
                for on in event.instructional_days:
                    known = self.year_of.get((event.school_id, on), 0)
                    self.year_of[event.school_id, on] = max(known, event.school_year)
            case SchoolDayClosed():
                self.closed[event.school_id, event.on] = event.implied
            case AttendanceRecorded():
                self.absent[event.student_id, event.school_id, event.on] = event.hundredths_absent
            case IncidentRecorded():
                mine = self.incidents.setdefault(event.student_id, {})
                mine[event.incident_id] = min(mine.get(event.incident_id, event.on), event.on)
            case ExclusionRecorded():
                self.exclusions.setdefault(event.student_id, []).append(event)
            case CourseMarked():
                self.marks.setdefault(event.student_id, []).append(event)
            case SurveyScored():
                means = [
                    score.mean for score in event.scores if score.subscale == "adult_support" and not score.prorated
                ]
                self.scores.setdefault(event.student_id, []).extend((event.answered_on, mean) for mean in means)

    def students(self) -> set[UUID]:
        return set(self.enrolments)

    def school_on(self, student: UUID, on: date) -> str | None:
        covering = [
            each
            for each in self.enrolments.get(student, [])
            if each.exit_on != each.entry_on and each.entry_on <= on and (each.exit_on is None or on <= each.exit_on)
        ]
        if not covering:
            return None
        primary = [each for each in covering if each.primary] or covering
        latest = max(each.entry_on for each in primary)
        return max(each.school_id for each in primary if each.entry_on == latest)

    def school_days(self, student: UUID) -> list[tuple[date, str]]:
        """Every instructional day of the school that counts, from the first closed one to the last."""
        schools = {each.school_id for each in self.enrolments.get(student, [])}
        dates = sorted({on for school, on in self.year_of if school in schools})
        days = [
            (on, school) for on in dates if (school := self.school_on(student, on)) and (school, on) in self.year_of
        ]
        shut = [place for place, (on, school) in enumerate(days) if (school, on) in self.closed]
        return days[shut[0] : shut[-1] + 1] if shut else []

    def year_begins(self, student: UUID, year: int) -> date:
        schools = {
            each.school_id for each in self.enrolments[student] if each.exit_on is None or each.exit_on > each.entry_on
        }
        return min(on for (school, on), named in self.year_of.items() if named == year and school in schools)

    def referral_count(self, student: UUID, on: date, year: int) -> int:
        incidents = self.incidents.get(student, {})
        if not incidents:
            return 0
        begins = self.year_begins(student, year)
        return sum(begins <= when <= on for when in incidents.values())

    def low_score(self, student: UUID, on: date) -> bool | None:
        said = [(when, mean) for when, mean in self.scores.get(student, []) if when <= on]
        if not said:
            return None
        latest = max(when for when, _ in said)
        return min(mean for when, mean in said if when == latest) <= 2.5

    def course(self, student: UUID) -> list[Day]:
        """Day by day, as a person would do it with a pencil."""
        course: list[Day] = []
        missed: dict[int, int] = {}
        enrolled: dict[int, int] = {}
        implied: dict[int, int] = {}
        in_a_row = 0
        chronic = severe = False
        for on, school in self.school_days(student):
            year = self.year_of[school, on]
            known = (school, on) in self.closed
            if known:
                enrolled[year] = enrolled.get(year, 0) + 1
                implied[year] = implied.get(year, 0) + self.closed[school, on]
                missed[year] = missed.get(year, 0) + self.absent.get((student, school, on), 0)
            attendance: bool | None = None
            if known and enrolled[year] >= 20:
                share = Fraction(missed[year], 100 * enrolled[year])
                in_a_row = in_a_row + 1 if share < Fraction(8, 100) else 0
                if share >= Fraction(10, 100):
                    chronic = True
                if share >= Fraction(20, 100):
                    severe = True
                if in_a_row == 20:
                    chronic = severe = False
                attendance = chronic
            if chronic:
                attendance = True
            low = self.low_score(student, on)
            count = self.referral_count(student, on, year)
            signals = [chronic, low is True, count >= 2]
            course.append(
                Day(
                    on=on,
                    school=school,
                    year=year,
                    tier="targeted" if any(signals) else "universal",
                    candidate=severe or count >= 6 or sum(signals) >= 2,
                    attendance=attendance,
                    adult_support=low,
                    referrals=count >= 2,
                    hundredths_absent=missed.get(year, 0),
                    days_enrolled=enrolled.get(year, 0),
                    days_implied=implied.get(year, 0),
                    referral_count=count,
                )
            )
        return course

    def tier_and_since(self, student: UUID) -> tuple[str, date] | tuple[None, None]:
        """The tier on the last closed day, and the day it began; nothing without a closed day."""
        course = self.course(student)
        if not course:
            return None, None
        tier, since = course[-1].tier, course[-1].on
        for day in reversed(course):
            if day.tier != tier:
                break
            since = day.on
        return tier, since


def differences(expected: Sequence[Day], found: Sequence[Day]) -> list[str]:
    """What differs, day by day, in words; nothing if nothing does."""
    if len(expected) != len(found):
        return [f"{len(expected)} days expected, {len(found)} found"]
    return [f"{was}\n{found[place]}" for place, was in enumerate(expected) if was != found[place]]
