"""Sections: a homeroom for each teacher and, from the sixth grade, its courses; students sit in them while they are enrolled."""

from collections.abc import Iterator
from datetime import date

from trial.sample.families import Spell, Student
from trial.sample.roster import REGISTERED
from trial.sample.schools import District, School
from trial.sample.year import INSTRUCTIONAL_DAYS, SchoolYear

SESSIONS, SECTIONS = "sessions", "sections"
TEACHING, SITTING = "staffSectionAssociations", "studentSectionAssociations"

HOMEROOM = "HOMEROOM"
COURSES = ("ENGLISH", "MATHEMATICS", "SCIENCE", "HISTORY")
"""Courses that the students of a homeroom take together, by their local code."""
FIRST_GRADE_OF_COURSES = 6

Line = tuple[str, str]
"""The name of a file and a line for it."""


def section_rows(district: District, year: SchoolYear) -> Iterator[Line]:
    """The session of each school, its sections and who leads them; only the session says until when."""
    for school in district.schools:
        yield SESSIONS, _year_long(school, year)
        for teacher in district.teachers_of(school):
            for course in _courses_of(school):
                yield SECTIONS, _taken(teacher, school, year, course)
                yield TEACHING, _teaching(teacher, school, year, course)


def sitting_rows(district: District, student: Student, year: SchoolYear, through: date) -> Iterator[str]:
    """What was known of the student's sections on ``through``: a line when one begins, another when it ends early."""
    for spell in student.spells:
        entry = year.days[spell.first]
        for course in _courses_of(spell.school):
            if spell.first == 0 or entry <= through:
                known = entry - REGISTERED if spell.first == 0 else entry
                yield _sitting(district, student, spell, year, course, known=known)
            if spell.last is not None and year.days[spell.last] <= through:
                left = year.days[spell.last]
                yield _sitting(district, student, spell, year, course, known=left, left=left)


def section_of(district: District, student: Student, spell: Spell, year: SchoolYear, course: str) -> str:
    """The members that name the section of a course in which the student sits, as JSON without its braces."""
    teacher = district.homeroom_teacher(spell.school, student.grade, student.index)
    return _section(teacher, spell.school, year, course)[1:-1]


def _courses_of(school: School) -> tuple[str, ...]:
    return (HOMEROOM, *COURSES) if school.grades[0] >= FIRST_GRADE_OF_COURSES else (HOMEROOM,)


def _year_long(school: School, year: SchoolYear) -> str:
    return (
        f'{{"sessionName":"{_session(year)}","schoolReference":{{"schoolId":{school.id}}},'
        f'"schoolYearTypeReference":{{"schoolYear":{year.number}}},"beginDate":"{year.days[0]}",'
        f'"endDate":"{year.days[-1]}","termDescriptor":"uri://ed-fi.org/TermDescriptor#Year Round",'
        f'"totalInstructionalDays":{INSTRUCTIONAL_DAYS}}}\n'
    )


def _taken(teacher: str, school: School, year: SchoolYear, course: str) -> str:
    return (
        f'{{"sectionIdentifier":"{teacher}","courseOfferingReference":{_offering(school, year, course)},'
        f'"sectionName":"{course.capitalize()}"}}\n'
    )


def _teaching(teacher: str, school: School, year: SchoolYear, course: str) -> str:
    section = _section(teacher, school, year, course)
    return (
        f'{{"staffReference":{{"staffUniqueId":"{teacher}"}},"sectionReference":{section},'
        f'"beginDate":"{year.days[0]}",'
        '"classroomPositionDescriptor":"uri://ed-fi.org/ClassroomPositionDescriptor#Teacher of Record"}\n'
    )


def _sitting(
    district: District,
    student: Student,
    spell: Spell,
    year: SchoolYear,
    course: str,
    *,
    known: date,
    left: date | None = None,
) -> str:
    end = f'"endDate":"{left}",' if left else ""
    return (
        f'{{"studentReference":{{"studentUniqueId":"{student.number}"}},'
        f'"sectionReference":{{{section_of(district, student, spell, year, course)}}},'
        f'"beginDate":"{year.days[spell.first]}",{end}"homeroomIndicator":{"true" if course == HOMEROOM else "false"},'
        f'"_lastModifiedDate":"{known}T{"20" if left else "13"}:00:00Z"}}\n'
    )


def _section(teacher: str, school: School, year: SchoolYear, course: str) -> str:
    return f'{{"sectionIdentifier":"{teacher}",{_offering(school, year, course)[1:]}'


def _offering(school: School, year: SchoolYear, course: str) -> str:
    return (
        f'{{"localCourseCode":"{course}","schoolId":{school.id},"schoolYear":{year.number},'
        f'"sessionName":"{_session(year)}"}}'
    )


def _session(year: SchoolYear) -> str:
    return f"{year.days[0].year}-{year.number} School Year"
