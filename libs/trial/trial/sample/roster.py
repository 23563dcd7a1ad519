"""The JSON lines of students and of their enrolments."""

from collections.abc import Iterator
from datetime import date, timedelta

from trial.sample.families import Spell, Student
from trial.sample.schools import GRADES
from trial.sample.year import SchoolYear

REGISTERED = timedelta(days=7)


def student_row(student: Student) -> str:
    """The JSON line of the student."""
    return (
        f'{{"studentUniqueId":"{student.number}","firstName":"{student.first_name}","lastSurname":"{student.last_name}",'
        f'"birthDate":"{student.birth}"}}\n'
    )


def enrolment_rows(student: Student, year: SchoolYear, through: date) -> Iterator[str]:
    """What was known of the student's enrolments on ``through``: a line when it begins, another when it ends."""
    for spell in student.spells:
        entry = year.days[spell.first]
        if spell.first == 0:
            yield _row(student, spell, year, known=entry - REGISTERED)
        elif entry <= through:
            yield _row(student, spell, year, known=entry)
        if spell.last is not None and year.days[spell.last] <= through:
            yield _row(student, spell, year, known=year.days[spell.last], left=year.days[spell.last])


def _row(student: Student, spell: Spell, year: SchoolYear, *, known: date, left: date | None = None) -> str:
    exit_ = (
        f'"exitWithdrawDate":"{left}",'
        '"exitWithdrawTypeDescriptor":"uri://ed-fi.org/ExitWithdrawTypeDescriptor#Transferred",'
        if left
        else ""
    )
    return (
        f'{{"studentReference":{{"studentUniqueId":"{student.number}"}},"schoolReference":{{"schoolId":{spell.school.id}}},'
        f'"entryDate":"{year.days[spell.first]}",{exit_}"primarySchool":{"true" if spell.primary else "false"},'
        f'"schoolYearTypeReference":{{"schoolYear":{year.number}}},'
        f'"entryGradeLevelDescriptor":"uri://ed-fi.org/GradeLevelDescriptor#{GRADES[student.grade]}",'
        f'"_lastModifiedDate":"{known}T{"20" if left else "13"}:00:00Z"}}\n'
    )
