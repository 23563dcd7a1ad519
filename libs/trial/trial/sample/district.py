"""Writes the whole district into a folder, a few hundred students at a time."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

from trial.sample.attendance import DELETES, EVENTS, Register
from trial.sample.crossings import plans
from trial.sample.discipline import ACTIONS, BEHAVIOURS, INCIDENTS, STEPS, Office
from trial.sample.families import Household, Student, households
from trial.sample.groups import GROUPS, group_rows
from trial.sample.marks import GRADES_GIVEN, PERIODS, grade_rows, period_rows
from trial.sample.roster import enrolment_rows, student_row
from trial.sample.schools import District
from trial.sample.sections import SECTIONS, SESSIONS, SITTING, TEACHING, section_rows, sitting_rows
from trial.sample.surveys import RESPONSES, WINDOWS, Survey
from trial.sample.year import INSTRUCTIONAL_DAYS, SchoolYear

_GROUP = 256
_STAFF, _ASSIGNMENTS = "staffs", "staffEducationOrganizationAssignmentAssociations"
_LINES = (
    "schools",
    _STAFF,
    _ASSIGNMENTS,
    SESSIONS,
    SECTIONS,
    TEACHING,
    PERIODS,
    "students",
    GROUPS,
    "studentSchoolAssociations",
    SITTING,
    GRADES_GIVEN,
    "contacts",
    "studentContactAssociations",
    EVENTS,
    DELETES,
    INCIDENTS,
    BEHAVIOURS,
    ACTIONS,
    WINDOWS,
    RESPONSES,
    STEPS,
)
FILES = (*(f"{name}.jsonl" for name in _LINES), "calendar.csv")


class FolderInUse(Exception):
    """The folder holds other files; choose an empty or a new one."""


@dataclass(frozen=True)
class Sample:
    """A district of ``students`` students in the year that begins on ``starts``, as it was known on ``through``."""

    students: int
    seed: int
    starts: date
    through: date

    def write(self, folder: Path, progress: Callable[[int], None] = lambda students: None) -> None:
        """Put the district's files into ``folder``, all or none; ``progress`` hears how many students are done.

        Raises:
            FolderInUse: the folder holds files that are not a sample's.
        """
        folder = folder.absolute()
        if folder.exists() and {entry.name for entry in folder.iterdir()} - set(FILES):
            raise FolderInUse
        # Beside its place, so that an interrupted run leaves no half a district.
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        try:
            self._write(unfinished, progress)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _write(self, folder: Path, progress: Callable[[int], None]) -> None:
        district, year = District(self.seed, self.students), SchoolYear(self.starts)
        register = Register(self.seed, year, self.through)
        office = Office(self.seed, year, self.through)
        survey = Survey(self.seed, year, self.through)
        with ExitStack() as opened:
            files = {
                name: opened.enter_context((folder / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n"))
                for name in _LINES
            }
            with (folder / "calendar.csv").open("w", encoding="utf-8", newline="\n") as calendar:
                calendar.writelines(district.calendar_rows(year))
            files["schools"].writelines(district.school_rows())
            for person, assignment in district.staff_rows():
                files[_STAFF].write(person)
                files[_ASSIGNMENTS].write(assignment)
            for name, line in section_rows(district, year):
                files[name].write(line)
            files[PERIODS].writelines(period_rows(district, year))
            files[WINDOWS].writelines(survey.windows(district.schools))

            def rostered(household: Household) -> list[Student]:
                files["contacts"].writelines(household.contacts)
                files["studentContactAssociations"].writelines(household.associations)
                for student in household.students:
                    files["students"].write(student_row(student))
                    files[GROUPS].writelines(group_rows(district, student))
                    files["studentSchoolAssociations"].writelines(enrolment_rows(student, year, self.through))
                    files[SITTING].writelines(sitting_rows(district, student, year, self.through))
                    files[GRADES_GIVEN].writelines(grade_rows(district, student, year, self.through))
                return household.students

            everyone = (
                student
                for household in households(district, year, plans(INSTRUCTIONAL_DAYS))
                for student in rostered(household)
            )
            groups = -(-self.students // _GROUP)
            for number, students in enumerate(_groups(everyone)):
                conduct = office.conduct(number, students, groups)
                for name, line in conduct.lines:
                    files[name].write(line)
                for name, line in register.lines(number, students, conduct.excluded):
                    files[name].write(line)
                for student in students:
                    for name, line in survey.responses(student):
                        files[name].write(line)
                progress(len(students))


def _groups(students: Iterator[Student]) -> Iterator[list[Student]]:
    while group := list(islice(students, _GROUP)):
        yield group
