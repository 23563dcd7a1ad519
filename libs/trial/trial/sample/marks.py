"""Four grading periods, and the marks that students from the sixth grade were given at the end of each."""

from collections.abc import Iterator
from datetime import date

from trial.sample.attendance import chances
from trial.sample.chance import Draws
from trial.sample.families import Spell, Student
from trial.sample.schools import District
from trial.sample.sections import COURSES, FIRST_GRADE_OF_COURSES, section_of
from trial.sample.year import INSTRUCTIONAL_DAYS, SchoolYear

PERIODS, GRADES_GIVEN = "gradingPeriods", "grades"

_NAMES = ("First", "Second", "Third", "Fourth")
_LENGTH = INSTRUCTIONAL_DAYS // len(_NAMES)
_PASSED = "AABBBCCD"
# Whoever is often away passes less often; even then more courses are passed than not.
_SELDOM, _BY_ABSENCE, _MOST = 0.02, 3, 0.45


def period_rows(district: District, year: SchoolYear) -> Iterator[str]:
    """A JSON line for each grading period of each school; they are set before the year begins."""
    for school in district.schools:
        for number, name in enumerate(_NAMES):
            first, last = year.days[number * _LENGTH], year.days[(number + 1) * _LENGTH - 1]
            yield (
                f'{{{_period(name)},"schoolReference":{{"schoolId":{school.id}}},'
                f'"schoolYearTypeReference":{{"schoolYear":{year.number}}},"beginDate":"{first}","endDate":"{last}",'
                f'"totalInstructionalDays":{_LENGTH}}}\n'
            )


def grade_rows(district: District, student: Student, year: SchoolYear, through: date) -> Iterator[str]:
    """What marks the student had been given by ``through``, each on the last day of its grading period."""
    if student.grade < FIRST_GRADE_OF_COURSES:
        return
    draws = Draws(district.seed, "marks", student.index, count=2 * len(_NAMES) * len(COURSES))
    fails = min(_MOST, _SELDOM + _BY_ABSENCE * float(chances(district.seed, student, year).mean()))
    for number, name in enumerate(_NAMES):
        last = (number + 1) * _LENGTH - 1
        spell = _spell_on(student, last)
        for course in COURSES:
            passed, letter = not draws.chance(fails), draws.pick(_PASSED)
            if spell and year.days[last] <= through:
                yield (
                    '{"gradeTypeDescriptor":"uri://ed-fi.org/GradeTypeDescriptor#Grading Period",'
                    f'"gradingPeriodReference":{{{_period(name)},"schoolId":{spell.school.id},'
                    f'"schoolYear":{year.number}}},'
                    f'"studentSectionAssociationReference":{{"studentUniqueId":"{student.number}",'
                    f'{section_of(district, student, spell, year, course)},"beginDate":"{year.days[spell.first]}"}},'
                    f'"letterGradeEarned":"{letter if passed else "F"}",'
                    f'"_lastModifiedDate":"{year.days[last]}T18:00:00Z"}}\n'
                )


def _spell_on(student: Student, day: int) -> Spell | None:
    school = student.school_on(day)
    return next((spell for spell in reversed(student.spells) if spell.school is school and spell.first <= day), None)


def _period(name: str) -> str:
    return (
        f'"gradingPeriodDescriptor":"uri://ed-fi.org/GradingPeriodDescriptor#{name} Nine Weeks",'
        f'"gradingPeriodName":"{name} Quarter"'
    )
