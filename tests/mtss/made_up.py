"""Small made-up districts as events: by hand, and drawn by hypothesis."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from hypothesis import strategies as st

from common.events import (
    AttendanceKind,
    AttendanceRecorded,
    CourseMarked,
    Event,
    ExclusionRecorded,
    IncidentRecorded,
    SchoolCalendarSet,
    SchoolDayClosed,
    StudentEnrolled,
    SubscaleScore,
    SurveyScored,
)
from common.events.sis import plain
from mtss import rules
from tests.mtss.oracle import Day, standing

_NAMES = UUID("6d747373-0000-0000-0000-000000000000")
_revisions = count(1_000_000)

FIRST = date(2024, 8, 19)
"""A Monday."""


def named(*parts: object) -> UUID:
    """Always the same id for the same words."""
    return uuid5(_NAMES, "/".join(map(str, parts)))


STUDENT = named("student", 0)


def school_days(number: int, first: date = FIRST) -> list[date]:
    """So many weekdays in a row."""
    days = (first + timedelta(days=offset) for offset in range(number * 2 + 7))
    return [day for day in days if day.weekday() < 5][:number]


@dataclass
class School:
    """Events of one school, each with a revision higher than all before."""

    name: str = "100"
    days: Sequence[date] = field(default_factory=lambda: school_days(180))
    year: int = 2025

    def calendar(self, **other: Any) -> SchoolCalendarSet:
        return SchoolCalendarSet(
            school_id=self.name,
            school_year=self.year,
            instructional_days=tuple(self.days),
            revision=next(_revisions),
            **other,
        )

    def enrols(
        self, student: UUID = STUDENT, entry_on: date | None = None, exit_on: date | None = None, **other: Any
    ) -> StudentEnrolled:
        return StudentEnrolled(
            student_id=student,
            school_id=self.name,
            entry_on=entry_on or self.days[0],
            exit_on=exit_on,
            revision=next(_revisions),
            **other,
        )

    def absent(self, day: int, student: UUID = STUDENT, hundredths: int = 100, **other: Any) -> AttendanceRecorded:
        """``day`` is the place of a school day, from 0."""
        kind = AttendanceKind.UNEXCUSED if hundredths else AttendanceKind.PRESENT
        return AttendanceRecorded(
            student_id=student,
            school_id=self.name,
            on=self.days[day],
            hundredths_absent=hundredths,
            kind=kind,
            revision=next(_revisions),
            **other,
        )

    def closes(self, *days: int, implied: bool = False, **other: Any) -> list[SchoolDayClosed]:
        return [
            SchoolDayClosed(school_id=self.name, on=self.days[day], implied=implied, revision=next(_revisions), **other)
            for day in days
        ]

    def closes_through(self, number: int) -> list[SchoolDayClosed]:
        """The first ``number`` school days."""
        return self.closes(*range(number))

    def refers(
        self, day: int, incident: int, student: UUID = STUDENT, behaviour: int = 0, **other: Any
    ) -> IncidentRecorded:
        return IncidentRecorded(
            association_id=named("association", student, incident, behaviour),
            incident_id=named("incident", incident),
            student_id=student,
            school_id=self.name,
            on=self.days[day],
            revision=next(_revisions),
            **other,
        )

    def excludes(
        self,
        day: int,
        action: int,
        days: float = 1,
        student: UUID = STUDENT,
        codes: Sequence[str] = ("Out of School Suspension",),
        **other: Any,
    ) -> ExclusionRecorded:
        """An action of so many ``days`` proposed."""
        return ExclusionRecorded(
            action_id=named("action", action),
            student_id=student,
            school_id=self.name,
            incident_ids=(),
            actions=tuple(codes),
            on=self.days[day],
            hundredths_proposed=round(days * 100),
            revision=next(_revisions),
            **other,
        )

    def marks(
        self, on: date | int, *failing: bool, student: UUID = STUDENT, first: int = 0, **other: Any
    ) -> list[CourseMarked]:
        """One mark a course, numbered from ``first``; ``on`` is a date or the place of a school day."""
        ends_on = self.days[on] if isinstance(on, int) else on
        return [
            CourseMarked(
                mark_id=named("mark", student, course, ends_on),
                student_id=student,
                section_id=named("section", course),
                school_id=self.name,
                on=ends_on,
                failing=fails,
                revision=next(_revisions),
                **other,
            )
            for course, fails in enumerate(failing, first)
        ]

    def scores(
        self, day: int, mean: float, student: UUID = STUDENT, window: int = 0, prorated: bool = False, **other: Any
    ) -> SurveyScored:
        return SurveyScored(
            student_id=student,
            window_id=named("window", window),
            school_id=self.name,
            instrument="belonging-8",
            answered_on=self.days[day],
            scores=(
                SubscaleScore(subscale="peer_support", mean=1.0, answered=2, items=2, prorated=False),
                SubscaleScore(
                    subscale="adult_support", mean=mean, answered=1 if prorated else 2, items=2, prorated=prorated
                ),
            ),
            revision=next(_revisions),
            **other,
        )


def policy() -> rules.Policy:
    """The default policy."""
    from mtss.models import DEFAULT_POLICY

    return DEFAULT_POLICY


def facts_of(
    events: Iterable[Event], students: Sequence[UUID], subscales: tuple[str, ...] = ("adult_support",)
) -> rules.Facts:
    """What the database would give the rules, from the events themselves."""
    stands = standing(events)
    place = {student: at for at, student in enumerate(students)}

    def of(kind: type[Event]) -> list[Any]:
        return [each for each in stands if isinstance(each, kind) and getattr(each, "student_id", students[0]) in place]

    schools = tuple(sorted({each.school_id for each in of(StudentEnrolled)}))
    at = {school: number for number, school in enumerate(schools)}
    grades = tuple(sorted({each.grade or "" for each in of(StudentEnrolled)}))
    incidents: dict[tuple[UUID, UUID], date] = {}
    for each in of(IncidentRecorded):
        fact = each.student_id, each.incident_id
        incidents[fact] = min(each.on, incidents.get(fact, each.on))
    marked: dict[tuple[UUID, date], dict[UUID, bool]] = {}
    for each in of(CourseMarked):
        courses = marked.setdefault((each.student_id, each.on), {})
        courses[each.section_id] = courses.get(each.section_id, False) or each.failing
    actions = tuple(sorted({_plain(each.actions) for each in of(ExclusionRecorded)}))
    number = rules.day_number
    return rules.Facts(
        students=len(students),
        schools=schools,
        grades=grades,
        subscales=subscales,
        enrolments=rules.Enrolments.of(
            *_columns(
                6,
                [
                    (
                        place[e.student_id],
                        at[e.school_id],
                        number(e.entry_on),
                        rules.NEVER if e.exit_on is None else number(e.exit_on),
                        e.primary,
                        grades.index(e.grade or ""),
                    )
                    for e in of(StudentEnrolled)
                ],
            )
        ),
        calendar=rules.Calendar.of(
            *_columns(
                3,
                [
                    (at[e.school_id], e.school_year, number(day))
                    for e in of(SchoolCalendarSet)
                    if e.school_id in at
                    for day in e.instructional_days
                ],
            )
        ),
        closed=rules.Closed.of(
            *_columns(3, [(at[e.school_id], number(e.on), e.implied) for e in of(SchoolDayClosed) if e.school_id in at])
        ),
        absences=rules.Absences.of(
            *_columns(
                5,
                [
                    (place[e.student_id], at[e.school_id], number(e.on), e.hundredths_absent, rules.KINDS.index(e.kind))
                    for e in of(AttendanceRecorded)
                    if e.school_id in at
                ],
            )
        ),
        exclusions=rules.Exclusions.of(
            *_columns(
                4,
                [
                    (place[e.student_id], number(e.on), e.hundredths, actions.index(_plain(e.actions)))
                    for e in of(ExclusionRecorded)
                ],
            )
        ),
        actions=actions,
        marks=rules.Marks.of(
            *_columns(4, [(place[who], number(on), sum(of.values()), len(of)) for (who, on), of in marked.items()])
        ),
        referrals=rules.Referrals.of(*_columns(2, [(place[who], number(on)) for (who, _), on in incidents.items()])),
        scores=rules.Scores.of(
            *_columns(
                7,
                [
                    (
                        place[e.student_id],
                        number(e.answered_on),
                        subscales.index(s.subscale),
                        s.mean,
                        s.answered,
                        s.items,
                        s.prorated,
                    )
                    for e in of(SurveyScored)
                    for s in e.scores
                    if s.subscale in subscales
                ],
            )
        ),
    )


def _plain(codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(plain(code) for code in codes))


def _columns(width: int, rows: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


def course_by_rules(events: Iterable[Event], student: UUID = STUDENT) -> rules.Course:
    facts = facts_of(events, [student])
    return rules.course_of(facts, rules.follow(facts, rules.always(policy())), 0)


def days_of(course: rules.Course) -> list[Day]:
    """A course in the oracle's words."""
    return [_day_of(course, place, day) for place, day in enumerate(course.days())]


def _day_of(course: rules.Course, place: int, day: rules.CourseDay) -> Day:
    attendance, _, referrals, *_ = course.clauses(place)
    return Day(
        on=day.on,
        school=day.school_id,
        year=day.school_year,
        tier=day.tier.value,
        candidate=day.intensive_candidate,
        attendance=day.clauses["attendance"],
        adult_support=day.clauses["adult_support"],
        referrals=day.clauses["referrals"],
        hundredths_absent=round(attendance.evidence["days_absent"] * 100),
        days_enrolled=attendance.evidence["days_enrolled"],
        days_implied=attendance.evidence["days_implied"],
        referral_count=referrals.evidence["referrals"],
    )


# A district small enough to shrink, and odd enough to matter: two or three schools whose years need not agree, students
# who move, overlap, come late or never, absences in runs, days left open, facts revised and taken back.

_SCHOOLS = ("A", "B", "C")


@st.composite
def districts(draw: st.DrawFn, students: int = 3) -> list[Event]:
    """The events of a district of one to three schools over one or two school years, in no order that matters."""
    events: list[Event] = []
    schools = _SCHOOLS[: draw(st.integers(1, 3))]
    horizon = draw(st.sampled_from([30, 60, 110]))
    for school in schools:
        events += draw(_school(school, horizon))
    for number in range(draw(st.integers(1, students))):
        events += draw(_student(named("student", number), schools, horizon))
    spoken = [event for event in events if isinstance(event, AttendanceRecorded)]
    revised = draw(st.lists(st.sampled_from(events), max_size=6))
    revised += draw(st.lists(st.sampled_from(spoken), max_size=6)) if spoken else []
    for event in revised:
        change: dict[str, Any] = {"revision": next(_revisions), "deleted": draw(st.booleans())}
        if isinstance(event, AttendanceRecorded):
            change["hundredths_absent"] = draw(st.sampled_from([0, 50, 100]))
        events.append(event.model_copy(update=change))
    return events


def _date(day: int) -> date:
    return FIRST + timedelta(days=day)


@st.composite
def _school(draw: st.DrawFn, school: str, horizon: int) -> list[Event]:
    holidays = draw(st.sets(st.integers(0, horizon), max_size=8))
    days = [day for day in range(draw(st.integers(0, 5)), horizon) if day not in holidays]
    cut = draw(st.one_of(st.just(len(days)), st.integers(0, len(days))))
    gap = draw(st.integers(0, 6))
    years = {2025: days[:cut], 2026: days[cut + gap :]}
    through = draw(st.one_of(st.just(horizon), st.integers(0, horizon)))
    left_open = draw(st.sets(st.integers(0, horizon), max_size=4))
    implied = draw(st.sets(st.sampled_from(days or [0]), max_size=5))
    calendars = [
        SchoolCalendarSet(
            school_id=school,
            school_year=year,
            instructional_days=tuple(map(_date, its)),
            revision=next(_revisions),
        )
        for year, its in years.items()
        if its
    ]
    closings = [
        SchoolDayClosed(school_id=school, on=_date(day), implied=day in implied, revision=next(_revisions))
        for day in range(through)
        if day not in left_open
    ]
    return [*calendars, *closings]


@st.composite
def _student(draw: st.DrawFn, student: UUID, schools: Sequence[str], horizon: int) -> list[Event]:
    day = st.integers(0, horizon)
    events: list[Event] = []
    for _ in range(draw(st.sampled_from([1, 1, 2, 3, 0]))):
        entry = draw(st.one_of(st.just(0), day))
        length = draw(st.one_of(st.none(), st.none(), st.integers(-1, horizon)))
        events.append(
            StudentEnrolled(
                student_id=student,
                school_id=draw(st.sampled_from(schools)),
                entry_on=_date(entry),
                exit_on=None if length is None else _date(entry + max(length, 0)),
                primary=draw(st.booleans()),
                revision=next(_revisions),
            )
        )
    absent: dict[tuple[str, int], int] = {}
    for _ in range(draw(st.integers(0, 4))):
        first, school = draw(st.one_of(st.integers(0, 25), day)), draw(st.sampled_from(schools))
        hundredths = draw(st.sampled_from([100, 100, 50, 25, 0]))
        for missed in range(first, min(first + draw(st.integers(1, 5)), horizon)):
            absent[school, missed] = hundredths
    for (school, missed), hundredths in absent.items():
        events.append(
            AttendanceRecorded(
                student_id=student,
                school_id=school,
                on=_date(missed),
                hundredths_absent=hundredths,
                kind=AttendanceKind.EXCUSED,
                revision=next(_revisions),
            )
        )
    events.extend(
        IncidentRecorded(
            association_id=named(student, incident),
            incident_id=named(student, incident % 2 if draw(st.booleans()) else incident),
            student_id=student,
            school_id=draw(st.sampled_from(schools)),
            on=_date(draw(day)),
            revision=next(_revisions),
        )
        for incident in range(draw(st.integers(0, 3)))
    )
    for action in range(draw(st.sampled_from([0, 0, 1, 2]))):
        proposed, served = draw(st.sampled_from([50, 100, 300])), draw(st.sampled_from([None, None, 0, 150]))
        events.append(
            ExclusionRecorded(
                action_id=named(student, "action", action),
                student_id=student,
                school_id=draw(st.sampled_from(schools)),
                incident_ids=(),
                actions=draw(st.sampled_from([("Suspended",), ("Talk", "SUSPENDED"), ("Talk",)])),
                on=_date(draw(day)),
                hundredths_proposed=proposed,
                hundredths_served=served,
                revision=next(_revisions),
            )
        )
    events.extend(
        CourseMarked(
            mark_id=named(student, "mark", number),
            student_id=student,
            section_id=named("section", draw(st.integers(0, 2))),
            school_id=draw(st.sampled_from(schools)),
            on=_date(draw(st.sampled_from([10, 20]))),
            failing=draw(st.booleans()),
            revision=next(_revisions),
        )
        for number in range(draw(st.sampled_from([0, 0, 2, 5])))
    )
    for window in range(draw(st.integers(0, 3))):
        mean = draw(st.sampled_from([1.0, 2.5, 3.0, 5.0]))
        score = SubscaleScore(subscale="adult_support", mean=mean, answered=2, items=2, prorated=draw(st.booleans()))
        events.append(
            SurveyScored(
                student_id=student,
                window_id=named("window", window),
                school_id=draw(st.sampled_from(schools)),
                instrument="belonging-8",
                answered_on=_date(draw(day)),
                scores=(score,) if draw(st.booleans()) else (),
                revision=next(_revisions),
            )
        )
    return events
