"""The schools of the district and the people who work there."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from trial.sample.chance import Draws
from trial.sample.names import CULTURES, PLACES
from trial.sample.year import SchoolYear

GRADES = (
    "Kindergarten",
    "First grade",
    "Second grade",
    "Third grade",
    "Fourth grade",
    "Fifth grade",
    "Sixth grade",
    "Seventh grade",
    "Eighth grade",
    "Ninth grade",
    "Tenth grade",
    "Eleventh grade",
    "Twelfth grade",
)
AGENCY = 7_000_000
STUDENTS_A_ZONE = 1_200
"""A zone is two elementary schools, a middle school and a high school."""

_KINDS = (
    ("North Elementary", 0, 5),
    ("South Elementary", 0, 5),
    ("Middle School", 6, 8),
    ("High School", 9, 12),
)
_STUDENTS_A_TEACHER = 24
_OFFICE = (
    ("Principal", "Principal"),
    ("Counselor", "School counselor"),
    ("Support Services Staff", "Restorative facilitator"),
)


@dataclass(frozen=True, slots=True)
class School:
    """One school; ``grades`` are indexes into ``GRADES``."""

    id: int
    name: str
    grades: range

    @property
    def principal(self) -> str:
        """The ``staffUniqueId`` of the person who decides on discipline."""
        return _staff(self, 1)

    @property
    def facilitator(self) -> str:
        """The ``staffUniqueId`` of the person who leads conferences."""
        return _staff(self, 3)


@dataclass(frozen=True)
class District:
    """The schools that ``students`` students need."""

    seed: int
    students: int

    @cached_property
    def zones(self) -> int:
        """How many groups of schools there are."""
        return max(1, round(self.students / STUDENTS_A_ZONE))

    @cached_property
    def schools(self) -> list[School]:
        """Every school, zone by zone."""
        return [
            School(AGENCY + 10 * zone + number, f"{_place(zone)} {kind}", range(first, last + 1))
            for zone in range(1, self.zones + 1)
            for number, (kind, first, last) in enumerate(_KINDS, start=1)
        ]

    def school_for(self, household: int, grade: int) -> School:
        """The school that a child of this household and grade goes to."""
        zone = household % self.zones
        half = household // self.zones % 2
        kind = half if grade <= 5 else 2 if grade <= 8 else 3
        return self.schools[4 * zone + kind]

    def sister_of(self, school: School) -> School | None:
        """Another school with the same grades, if there is one."""
        alike = [other for other in self.schools if other.grades == school.grades]
        return alike[(alike.index(school) + 1) % len(alike)] if len(alike) > 1 else None

    def school_rows(self) -> Iterator[str]:
        """One JSON line for each school."""
        for school in self.schools:
            levels = ",".join(
                f'{{"gradeLevelDescriptor":"uri://ed-fi.org/GradeLevelDescriptor#{GRADES[grade]}"}}'
                for grade in school.grades
            )
            yield (
                f'{{"schoolId":{school.id},"nameOfInstitution":"{school.name}",'
                f'"localEducationAgencyReference":{{"localEducationAgencyId":{AGENCY}}},"gradeLevels":[{levels}]}}\n'
            )

    def staff_rows(self) -> Iterator[tuple[str, str]]:
        """One JSON line for each person, and one for the assignment."""
        for school in self.schools:
            for number, (classification, title) in enumerate(self._positions(school), start=1):
                draws = Draws(self.seed, "staff", 100 * school.id + number, count=8)
                culture = CULTURES[draws.below(len(CULTURES))] if draws.chance(0.3) else CULTURES[0]
                given, family = draws.pick(culture.women + culture.men), draws.pick(culture.families)
                staff = _staff(school, number)
                person = (
                    f'{{"staffUniqueId":"{staff}","firstName":"{given}","lastSurname":"{family}",'
                    f'"electronicMails":[{{"electronicMailAddress":"staff.{staff}@example.org",'
                    '"electronicMailTypeDescriptor":"uri://ed-fi.org/ElectronicMailTypeDescriptor#Work"}]}\n'
                )
                assignment = (
                    f'{{"staffReference":{{"staffUniqueId":"{staff}"}},'
                    f'"educationOrganizationReference":{{"educationOrganizationId":{school.id}}},'
                    f'"staffClassificationDescriptor":"uri://ed-fi.org/StaffClassificationDescriptor#{classification}",'
                    f'"positionTitle":"{title}","beginDate":"{2010 + draws.below(12)}-08-15"}}\n'
                )
                yield person, assignment

    def _positions(self, school: School) -> Iterator[tuple[str, str]]:
        yield from _OFFICE
        for number in range(self._teachers[school.grades]):
            yield "Teacher", f"{GRADES[school.grades[number % len(school.grades)]]} teacher"

    @cached_property
    def _teachers(self) -> dict[range, int]:
        """How many teachers a school with these grades has."""
        schools = Counter(school.grades for school in self.schools)
        return {
            grades: max(2, round(self.students * len(grades) / len(GRADES) / count / _STUDENTS_A_TEACHER))
            for grades, count in schools.items()
        }

    def teachers_of(self, school: School) -> list[str]:
        """The ``staffUniqueId`` of each teacher."""
        first = len(_OFFICE) + 1
        return [_staff(school, number) for number in range(first, first + self._teachers[school.grades])]

    def homeroom_teacher(self, school: School, grade: int, student: int) -> str:
        """The ``staffUniqueId`` of the teacher whose homeroom the student of this number and grade is in."""
        count, grades = self._teachers[school.grades], len(school.grades)
        place = (grade - school.grades[0]) % min(grades, count)
        alike = len(range(place, count, grades))
        return _staff(school, len(_OFFICE) + 1 + place + grades * (student % alike))

    def calendar_rows(self, year: SchoolYear) -> Iterator[str]:
        """The lines of calendar.csv: every instructional day of the year and the weekdays without school."""
        yield "school_id,date,instructional,school_year\n"
        for school in self.schools:
            for day in year.days:
                yield f"{school.id},{day},true,{year.number}\n"
            for day in year.days_off:
                yield f"{school.id},{day},false,{year.number}\n"


def _staff(school: School, number: int) -> str:
    return f"{school.id}{number:02}"


def _place(zone: int) -> str:
    round_, number = divmod(zone - 1, len(PLACES))
    return PLACES[number] + (f" {round_ + 1}" if round_ else "")
