"""Incidents with the exclusion that the old conduct code would have given, and the conferences held instead."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any

from trial.sample.attendance import Line
from trial.sample.chance import Draws
from trial.sample.families import Student
from trial.sample.schools import School
from trial.sample.year import INSTRUCTIONAL_DAYS, SchoolYear

INCIDENTS = "disciplineIncidents"
BEHAVIOURS = "studentDisciplineIncidentBehaviorAssociations"
ACTIONS = "disciplineActions"
STEPS = "conferenceSteps"

CONDUCT_CODE = (
    ("Disruption of class", 0),
    ("Defiance", 1),
    ("Bullying", 3),
    ("Vandalism", 2),
    ("Theft", 2),
    ("Fighting", 3),
    ("Threat", 5),
)
"""What happened, and the days of out-of-school suspension that the old conduct code gave for it."""

_BEHAVIOUR = "uri://ed-fi.org/BehaviorDescriptor#School Code of Conduct"
_YOUNGEST_GRADE = 3
_EVERY = 8
_FIRST_CONFERENCE, _LAST_CONFERENCE = 12, 172
_GROUPS_A_ZONE = 5


@dataclass(slots=True)
class Conduct:
    """What happened in one group of students: lines for the files, and the days of suspension by student index."""

    lines: list[Line] = field(default_factory=list)
    excluded: dict[int, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Office:
    """Writes down what was known of discipline on ``through``."""

    seed: int
    year: SchoolYear
    through: date

    def conduct(self, number: int, students: Sequence[Student], groups: int) -> Conduct:
        """The incidents and conferences of group ``number`` of ``groups``."""
        made = Conduct()
        taken = self._conferences(number, students, min(groups, _GROUPS_A_ZONE), made)
        for student in students:
            if student.plan is None and student.index not in taken and student.grade >= _YOUNGEST_GRADE:
                self._incidents(student, made)
        return made

    def _incidents(self, student: Student, made: Conduct) -> None:
        draws = Draws(self.seed, "conduct", student.index, count=16)
        share = draws.share() * (1 if student.grade >= 6 else 2)
        days = {draws.below(INSTRUCTIONAL_DAYS) for _ in range(sum(share < limit for limit in (0.11, 0.04, 0.01)))}
        for day in sorted(days):
            school = student.school_on(day)
            behaviour, length = draws.pick(CONDUCT_CODE)
            if school is None:
                continue
            incident = Incident(self.year, student, school, day, behaviour, length)
            self._write(made, day, incident.rows())
            if length:
                self._write(made, day, [incident.action()])
                self._exclude(made, incident, day)

    def _exclude(self, made: Conduct, incident: "Incident", after: int) -> None:
        """Let the exclusion be served on the school days after ``after``."""
        days = range(after + 1, min(after + 1 + incident.length, INSTRUCTIONAL_DAYS))
        served = [day for day in days if incident.student.school_on(day) == incident.school]
        made.excluded.setdefault(incident.student.index, set()).update(served)
        if served:
            self._write(made, served[-1], [incident.action(served=len(served), known=served[-1])])

    def _write(self, made: Conduct, day: int, lines: Sequence[Line]) -> None:
        if day < INSTRUCTIONAL_DAYS and self.year.days[day] <= self.through:
            made.lines += lines

    def _conferences(self, number: int, students: Sequence[Student], groups: int, made: Conduct) -> set[int]:
        """Write the group's conferences; return who took part, so that nothing else happens to them."""
        able = [student for student in students if student.plan is None and student.whole_year and student.grade > 3]
        taken: set[int] = set()
        for turn in range(number % groups, (_LAST_CONFERENCE - _FIRST_CONFERENCE) // _EVERY, groups):
            draws = Draws(self.seed, "conference", 1000 * number + turn, count=16)
            free = [student for student in able if student.index not in taken]
            pairs = (
                (one, other)
                for one in free[draws.below(len(free) or 1) :]
                for other in free
                if one is not other and one.spells[0].school == other.spells[0].school
            )
            for responsible, harmed in islice(pairs, 1):
                taken |= {responsible.index, harmed.index}
                day = _FIRST_CONFERENCE + _EVERY * turn
                behaviour, length = draws.pick(CONDUCT_CODE[2:])
                incident = Incident(self.year, responsible, responsible.spells[0].school, day, behaviour, length)
                self._write(made, day, [*incident.rows(), incident.action()])
                conference = Conference(incident, harmed, turn)
                for on, line in conference.steps():
                    self._write(made, on, [line])
                if conference.declined:
                    self._exclude(made, incident, conference.answered)
                elif not conference.broken:
                    ended = conference.completed
                    self._write(made, ended, [incident.action(served=0, known=min(ended, INSTRUCTIONAL_DAYS - 1))])
        return taken


@dataclass(frozen=True, slots=True)
class Incident:
    """One student's part in one incident on one day."""

    year: SchoolYear
    student: Student
    school: School
    day: int
    behaviour: str
    length: int

    @property
    def identifier(self) -> str:
        """The ``incidentIdentifier``."""
        return f"{self.student.number}-{self.day:03}"

    def rows(self) -> list[Line]:
        """The incident and the student's part in it."""
        on = self.year.days[self.day]
        known = f'"_lastModifiedDate":"{on}T17:00:00Z"'
        behaviour = f'"behaviorDescriptor":"{_BEHAVIOUR}","behaviorDetailedDescription":"{self.behaviour}"'
        incident = (
            f'{{"incidentIdentifier":"{self.identifier}","schoolReference":{{"schoolId":{self.school.id}}},'
            f'"incidentDate":"{on}","behaviors":[{{{behaviour}}}],{known}}}\n'
        )
        part = (
            f'{{"disciplineIncidentReference":{{"incidentIdentifier":"{self.identifier}","schoolId":{self.school.id}}},'
            f'"studentReference":{{"studentUniqueId":"{self.student.number}"}},{behaviour},{known}}}\n'
        )
        return [(INCIDENTS, incident), (BEHAVIOURS, part)]

    def action(self, *, served: int | None = None, known: int | None = None) -> Line:
        """The exclusion; with the days served once they are known."""
        actual = "" if served is None else f'"actualDisciplineActionLength":{served}.0,'
        school = f'{{"schoolId":{self.school.id}}}'
        on = self.year.days[self.day]
        heard = f"{on}T17:30:00Z" if known is None else f"{self.year.days[known]}T18:00:00Z"
        row = (
            f'{{"disciplineActionIdentifier":"{self.identifier}","disciplineDate":"{on}",'
            f'"studentReference":{{"studentUniqueId":"{self.student.number}"}},'
            '"disciplines":[{"disciplineDescriptor":"uri://ed-fi.org/DisciplineDescriptor#Out of School Suspension"}],'
            f'"disciplineActionLength":{self.length}.0,{actual}'
            f'"responsibilitySchoolReference":{school},"assignmentSchoolReference":{school},'
            f'"staffs":[{{"staffReference":{{"staffUniqueId":"{self.school.principal}"}}}}],'
            '"studentDisciplineIncidentBehaviorAssociations":[{"studentDisciplineIncidentBehaviorAssociationReference":'
            f'{{"behaviorDescriptor":"{_BEHAVIOUR}","incidentIdentifier":"{self.identifier}",'
            f'"schoolId":{self.school.id},"studentUniqueId":"{self.student.number}"}}}}],"_lastModifiedDate":"{heard}"}}\n'
        )
        return ACTIONS, row


@dataclass(frozen=True, slots=True)
class Conference:
    """A restorative conference about an incident. Its turn decides how it goes: most are completed, some declined, one broken."""

    incident: Incident
    harmed: Student
    turn: int

    @property
    def declined(self) -> bool:
        """Whether the responsible student said no."""
        return self.turn % 4 == 2

    @property
    def broken(self) -> bool:
        """Whether the agreement was not kept."""
        return self.turn % 10 == 9

    @property
    def answered(self) -> int:
        """The day on which the responsible student answered the offer."""
        return self.incident.day + 2

    @property
    def completed(self) -> int:
        """The day on which the agreement was kept, or given up."""
        return self.incident.day + 18

    def steps(self) -> Iterator[tuple[int, Line]]:
        """Each step with its day, as an index into the year's days."""
        for after, step, what in self._course():
            day = self.incident.day + after
            if day < INSTRUCTIONAL_DAYS:
                yield day, self._line(day, step, what)

    def _course(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        part = ("in_person", "surrogate", "in_person", "written")[self.turn % 4]
        yield 0, "open", {}
        yield 1, "screen", {"suitable": True, "reason": "The student accepts that it happened and nobody is afraid."}
        yield (
            1,
            "party",
            {"label": "responsible", "kind": "student", "role": "caused_harm", **_who(self.incident.student)},
        )
        yield 1, "party", {"label": "harmed", "kind": "student", "role": "harmed", **_who(self.harmed)}
        yield 1, "party", {"label": "supporter", "kind": "named", "role": "supporter", "name": "An aunt of the student"}
        yield 1, "offer", {}
        yield 2, "consent", {"party": "responsible", "given": not self.declined, "part": "in_person"}
        if self.declined:
            return
        yield 2, "consent", {"party": "harmed", "given": True, "part": part}
        yield 3, "consent", {"party": "supporter", "given": True, "part": "in_person"}
        for label in ("responsible", "harmed", "supporter"):
            yield 4, "prepare", {"party": label}
        yield 5, "schedule", {"at": self._at(7), "place": "Library"}
        yield 7, "hold", {}
        yield 7, "agreement", {"items": self._items()}
        if self.broken:
            yield 18, "breach", {"reason": "The agreed service did not happen."}
            return
        yield 9, "keep", {"item": 0, "evidence": "The facilitator was there."}
        yield 16, "keep", {"item": 1, "evidence": "Signed by the custodian."}
        yield 18, "complete", {}

    def _items(self) -> list[dict[str, Any]]:
        return [
            {
                "what": "Says sorry in person and listens to how it was",
                "by_party": "responsible",
                "for_party": "harmed",
                "kind": "apology",
                "due_on": self._on(9).isoformat(),
            },
            {
                "what": "Helps in the library for four lunch breaks",
                "by_party": "responsible",
                "for_party": "harmed",
                "kind": "service",
                "due_on": self._on(17).isoformat(),
            },
        ]

    def _on(self, after: int) -> date:
        day = self.incident.day + after
        days = self.incident.year.days
        return days[day] if day < len(days) else days[-1] + timedelta(weeks=1)

    def _at(self, after: int) -> str:
        return datetime.combine(self._on(after), time(20)).isoformat() + "Z"

    def _line(self, day: int, step: str, what: dict[str, Any]) -> Line:
        row = {
            "incident": {"schoolId": self.incident.school.id, "incidentIdentifier": self.incident.identifier},
            "studentUniqueId": self.incident.student.number,
            "facilitator": self.incident.school.facilitator,
            "step": step,
            "on": self.incident.year.days[day].isoformat(),
            "with": what,
        }
        return STEPS, json.dumps(row) + "\n"


def _who(student: Student) -> dict[str, str]:
    return {"studentUniqueId": student.number}
