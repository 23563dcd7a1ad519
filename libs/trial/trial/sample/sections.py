"""Homerooms: a section for each teacher and the whole year, and the students who sit in it while they are enrolled."""

from collections.abc import Iterator
from datetime import date

from trial.sample.families import Spell, Student
from trial.sample.roster import REGISTERED
from trial.sample.schools import District, School
from trial.sample.year import INSTRUCTIONAL_DAYS, SchoolYear

SESSIONS, SECTIONS = "sessions", "sections"
TEACHING, SITTING = "staffSectionAssociations", "studentSectionAssociations"

Line = tuple[str, str]
"""The name of a file and a line for it."""


def section_rows(district: District, year: SchoolYear) -> Iterator[Line]:
    """The session of each school, its homerooms and who leads them; only the session says until when."""
    for school in district.schools:
        yield SESSIONS, _year_long(school, year)
        for teacher in district.teachers_of(school):
            yield SECTIONS, _homeroom(teacher, school, year)
            yield TEACHING, _teaching(teacher, school, year)


def sitting_rows(district: District, student: Student, year: SchoolYear, through: date) -> Iterator[str]:
    """What was known of the student's homerooms on ``through``: a line when one begins, another when it ends early."""
    for spell in student.spells:
        entry = year.days[spell.first]
        if spell.first == 0 or entry <= through:
            known = entry - REGISTERED if spell.first == 0 else entry
            yield _sitting(district, student, spell, year, known=known)
        if spell.last is not None and year.days[spell.last] <= through:
            left = year.days[spell.last]
            yield _sitting(district, student, spell, year, known=left, left=left)


def _year_long(school: School, year: SchoolYear) -> str:
    return (
        f'{{"sessionName":"{_session(year)}","schoolReference":{{"schoolId":{school.id}}},'
        f'"schoolYearTypeReference":{{"schoolYear":{year.number}}},"beginDate":"{year.days[0]}",'
        f'"endDate":"{year.days[-1]}","termDescriptor":"uri://ed-fi.org/TermDescriptor#Year Round",'
        f'"totalInstructionalDays":{INSTRUCTIONAL_DAYS}}}\n'
    )


def _homeroom(teacher: str, school: School, year: SchoolYear) -> str:
    return (
        f'{{"sectionIdentifier":"{teacher}","courseOfferingReference":{_offering(school, year)},'
        '"sectionName":"Homeroom"}\n'
    )


def _teaching(teacher: str, school: School, year: SchoolYear) -> str:
    return (
        f'{{"staffReference":{{"staffUniqueId":"{teacher}"}},"sectionReference":{_section(teacher, school, year)},'
        f'"beginDate":"{year.days[0]}",'
        '"classroomPositionDescriptor":"uri://ed-fi.org/ClassroomPositionDescriptor#Teacher of Record"}\n'
    )


def _sitting(
    district: District, student: Student, spell: Spell, year: SchoolYear, *, known: date, left: date | None = None
) -> str:
    teacher = district.homeroom_teacher(spell.school, student.grade, student.index)
    end = f'"endDate":"{left}",' if left else ""
    return (
        f'{{"studentReference":{{"studentUniqueId":"{student.number}"}},'
        f'"sectionReference":{_section(teacher, spell.school, year)},'
        f'"beginDate":"{year.days[spell.first]}",{end}"homeroomIndicator":true,'
        f'"_lastModifiedDate":"{known}T{"20" if left else "13"}:00:00Z"}}\n'
    )


def _section(teacher: str, school: School, year: SchoolYear) -> str:
    return f'{{"sectionIdentifier":"{teacher}",{_offering(school, year)[1:]}'


def _offering(school: School, year: SchoolYear) -> str:
    return (
        f'{{"localCourseCode":"HOMEROOM","schoolId":{school.id},"schoolYear":{year.number},'
        f'"sessionName":"{_session(year)}"}}'
    )


def _session(year: SchoolYear) -> str:
    return f"{year.days[0].year}-{year.number} School Year"
