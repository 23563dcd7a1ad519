import hashlib
import json
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.trial import plain
from trial.sample.command import sample
from trial.sample.crossings import plans
from trial.sample.district import FILES, FolderInUse, Sample
from trial.sample.year import SchoolYear, last_weekday_before, usual_start

ENROLMENT, TEACHING, SITTING = "studentSchoolAssociations", "staffSectionAssociations", "studentSectionAssociations"
HOMEROOM = "HOMEROOM"
STARTS = date(2025, 8, 25)
YEAR = SchoolYear(STARTS)
MIDWINTER = YEAR.days[119]

Write = Callable[..., Path]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    made: dict[object, Path] = {}

    def write(through: date = MIDWINTER, *, students: int = 1200, seed: int = 1, starts: date = STARTS) -> Path:
        key = (through, students, seed, starts)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("sample") / "district"
            Sample(students, seed, starts, through).write(made[key])
        return made[key]

    return write


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def known_on(row: dict[str, object]) -> str:
    """The day on which a row was first known."""
    for name in ("_lastModifiedDate", "answered_on", "on", "opens_on"):
        if name in row:
            return str(row[name])[:10]
    return ""


def test_the_same_arguments_give_the_same_bytes(write, tmp_path):
    Sample(1200, 1, STARTS, MIDWINTER).write(tmp_path / "again")

    assert digests(tmp_path / "again") == digests(write())
    assert set(digests(write())) == set(FILES)


def test_another_seed_gives_another_district(write):
    one, other = digests(write()), digests(write(seed=2))

    assert {name for name in one if one[name] == other[name]} <= {
        "schools.jsonl",
        "calendar.csv",
        "surveyWindows.jsonl",
        "sessions.jsonl",
        "gradingPeriods.jsonl",
        "sections.jsonl",
        "staffSectionAssociations.jsonl",
    }


@pytest.mark.parametrize("days", [0, 1, 24, 25, 60, 89, 118])
def test_facts_up_to_a_day_do_not_depend_on_the_last_day_told(write, days):
    through = YEAR.days[days]

    earlier, later = write(through), write(YEAR.days[-1])

    for name in FILES:
        then = (earlier / name).read_text().splitlines()
        since = (later / name).read_text().splitlines()
        if name.endswith(".jsonl"):
            since = [line for line in since if known_on(json.loads(line)) <= through.isoformat()]
        assert then == since, name


@pytest.mark.parametrize(
    ("days", "seed", "students"),
    [(days, 1, 1200) for days in (40, 41, 58, 77, 91, 120, 151, 180)] + [(90, 7, 1200), (134, 7, 1200), (103, 3, 400)],
)
def test_families_with_a_mailbox_have_just_become_concerned_on_any_day_of_the_year(write, days, seed, students):
    folder = write(YEAR.days[days - 1], seed=seed, students=students)
    school_days = plain.instructional_days(folder)
    reachable, missed = plain.told_by_mail(folder), plain.missed(folder)
    enrolled: dict[str, list[tuple[str, str, str | None]]] = {}
    for row in plain.rows(folder, "studentSchoolAssociations"):
        student, school = row["studentReference"]["studentUniqueId"], str(row["schoolReference"]["schoolId"])
        enrolled.setdefault(student, []).append((school, row["entryDate"], row.get("exitWithdrawDate")))

    ago: Counter[int] = Counter()
    for student in reachable:
        spells = enrolled.get(student, [])
        if len(spells) == 1 and spells[0][2] is None:
            school, entry, _ = spells[0]
            own = [day for day in school_days[school] if entry <= day.isoformat() and day <= YEAR.days[days - 1]]
            if entries := plain.entry_days(own, missed.get(student, {})):
                ago[len(own) - 1 - own.index(entries[-1])] += 1

    assert sum(ago[number] for number in range(2, 10)) >= 10
    assert ago[0] >= 3


@pytest.mark.parametrize("today", [date(2026, 1, 1) + timedelta(days=11 * number) for number in range(34)])
def test_by_default_the_last_weekday_is_about_the_120th_school_day_with_60_to_come(today):
    year, through = SchoolYear(usual_start(today)), last_weekday_before(today)

    assert through in year.days
    assert through < today
    assert 116 <= year.days_through(through) <= 124
    assert 56 <= len(year.days) - year.days_through(through) <= 64


def test_a_year_that_starts_on_a_weekend_starts_on_monday():
    assert SchoolYear(date(2025, 8, 23)).days[0] == date(2025, 8, 25)
    assert SchoolYear(date(2025, 8, 27)).days[0] == date(2025, 8, 27)
    assert len(set(SchoolYear(date(2025, 8, 27)).days)) == 180


def test_every_plan_reaches_ten_percent_on_its_entry_days_and_no_other():
    days = [STARTS + timedelta(days=number) for number in range(180)]
    for plan in plans(180):
        absent = {days[day - 1]: Fraction(amount, 100) for day, amount in plan.absent.items()}

        assert plain.entry_days(days, absent) == [days[day - 1] for day in plan.entries]


def test_there_are_schools_staff_holidays_and_homes_of_six_languages(write):
    folder = write()
    schools = list(plain.rows(folder, "schools"))
    assignments = list(plain.rows(folder, "staffEducationOrganizationAssignmentAssociations"))
    languages = Counter(plain.code(row["languages"][0]["languageDescriptor"]) for row in plain.rows(folder, "contacts"))

    assert len(schools) >= 3
    assert all(school["gradeLevels"] for school in schools)
    for school in schools:
        titles = {
            row["positionTitle"]
            for row in assignments
            if row["educationOrganizationReference"]["educationOrganizationId"] == school["schoolId"]
        }
        assert {"Principal", "School counselor", "Restorative facilitator"} <= titles
        assert any(title.endswith("teacher") for title in titles)
    assert "false" in (folder / "calendar.csv").read_text()
    assert set(languages) == {"eng", "spa", "ara", "som", "vie", "zho"}
    assert min(languages.values()) >= 15


def test_every_teacher_leads_a_homeroom_and_every_student_sits_in_one_while_enrolled(write):
    folder = write()
    staff = {row["staffUniqueId"]: row for row in plain.rows(folder, "staffs")}
    offered = [(row["sectionIdentifier"], row["courseOfferingReference"]) for row in plain.rows(folder, "sections")]
    homerooms = {name: of for name, of in offered if of["localCourseCode"] == HOMEROOM}
    led = {_homeroom(row): row["staffReference"]["staffUniqueId"] for row in _at_home(folder, TEACHING)}
    enrolled = [_stay(row, "schoolReference", "entryDate", "exitWithdrawDate") for row in plain.rows(folder, ENROLMENT)]
    sitting = [_stay(row, "sectionReference", "beginDate", "endDate") for row in _at_home(folder, SITTING)]
    teachers = [
        row["staffReference"]["staffUniqueId"]
        for row in plain.rows(folder, "staffEducationOrganizationAssignmentAssociations")
        if plain.code(row["staffClassificationDescriptor"]) == "Teacher"
    ]
    sizes = Counter(map(_homeroom, _at_home(folder, SITTING)))

    assert sorted(led.values()) == sorted(teachers)
    assert set(led) == {(name, of["schoolId"], of["sessionName"]) for name, of in homerooms.items()}
    assert all(staff[teacher]["electronicMails"] for teacher in teachers)
    assert sitting == enrolled
    assert set(sizes) <= set(led)
    assert 10 <= min(sizes.values()) <= max(sizes.values()) <= 60
    sessions = {(row["schoolReference"]["schoolId"], row["sessionName"]) for row in plain.rows(folder, "sessions")}
    assert {section[1:] for section in led} == sessions


def _at_home(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    return (row for row in plain.rows(folder, name) if row["sectionReference"]["localCourseCode"] == HOMEROOM)


def _homeroom(row: dict[str, Any]) -> tuple[str, int, str]:
    of = row["sectionReference"]
    return of["sectionIdentifier"], of["schoolId"], of["sessionName"]


def _stay(row: dict[str, Any], at: str, since: str, until: str) -> tuple[Any, ...]:
    return row["studentReference"]["studentUniqueId"], row[at]["schoolId"], row[since], row.get(until)


def test_marks_are_given_in_four_courses_at_the_end_of_each_grading_period_from_the_sixth_grade_on(write):
    folder = write()
    ends = {
        (row["gradingPeriodName"], row["schoolReference"]["schoolId"]): row
        for row in plain.rows(folder, "gradingPeriods")
    }
    sitting = {
        (row["studentReference"]["studentUniqueId"], *row["sectionReference"].values(), row["beginDate"])
        for row in plain.rows(folder, SITTING)
    }
    given = list(plain.rows(folder, "grades"))
    courses: dict[tuple[str, str], Counter[str]] = {}
    for row in given:
        period, of = row["gradingPeriodReference"], row["studentSectionAssociationReference"]
        end = ends[period["gradingPeriodName"], period["schoolId"]]["endDate"]
        assert row["_lastModifiedDate"][:10] == end <= MIDWINTER.isoformat()
        assert tuple(of.values()) in sitting
        courses.setdefault((of["studentUniqueId"], end), Counter())[row["letterGradeEarned"]] += 1
    failed = Counter(letters["F"] for letters in courses.values())

    assert {end for _, end in courses} == {YEAR.days[44].isoformat(), YEAR.days[89].isoformat()}
    assert all(letters.total() == 4 for letters in courses.values())
    assert 550 <= len({student for student, _ in courses}) <= 750
    assert min(failed[0], failed[1], failed[2], failed[3]) >= 5


def test_each_student_is_of_groups_of_which_the_larger_can_be_told(write):
    told = list(plain.rows(write(), "studentEducationOrganizationAssociations"))
    sexes, disabled = (
        Counter(plain.code(row["sexDescriptor"]) for row in told),
        Counter(plain.code(row["disabilities"][0]["disabilityDescriptor"]) for row in told),
    )
    races = Counter(
        "Hispanic"
        if row["hispanicLatinoEthnicity"]
        else "+".join(plain.code(each["raceDescriptor"]) for each in row["races"])
        for row in told
    )

    assert len({row["studentReference"]["studentUniqueId"] for row in told}) == len(told) == 1200
    assert min(sexes["Female"], sexes["Male"]) > 500
    assert 100 <= disabled.total() - disabled["None"] <= 250
    assert len(races) == 7
    assert sum(count >= 60 for count in races.values()) >= 4


def test_some_contacts_are_restricted_some_have_no_address_and_some_share_one(write):
    folder = write()
    contacts = {row["contactUniqueId"]: row for row in plain.rows(folder, "contacts")}
    associations = list(plain.rows(folder, "studentContactAssociations"))
    of_student: dict[str, list[str]] = {}
    of_contact: dict[str, list[str]] = {}
    for row in associations:
        student, contact = row["studentReference"]["studentUniqueId"], row["contactReference"]["contactUniqueId"]
        of_student.setdefault(student, []).append(contact)
        of_contact.setdefault(contact, []).append(student)
    mails = Counter(
        mail["electronicMailAddress"] for row in contacts.values() for mail in row.get("electronicMails", [])
    )

    def address(contact: str) -> str:
        return json.dumps(contacts[contact].get("addresses"))

    pairs = [pair for pair in of_student.values() if len(pair) == 2]
    assert 20 <= sum("contactRestrictions" in row for row in associations) <= 120
    assert sum(not {"addresses", "electronicMails", "telephones"} & set(row) for row in contacts.values()) >= 10
    assert sum(count > 1 for count in mails.values()) >= 20
    assert sum(address(one) == address(other) != "null" for one, other in pairs) >= 100
    assert sum(address(one) != address(other) for one, other in pairs) >= 100
    assert sum(len(students) > 1 for students in of_contact.values()) >= 100


def test_no_address_can_be_anybodys(write):
    for row in plain.rows(write(), "contacts"):
        for mail in row.get("electronicMails", []):
            assert mail["electronicMailAddress"].endswith("@example.org")
            assert mail["electronicMailAddress"].isascii()
        for phone in row.get("telephones", []):
            assert "555-01" in phone["telephoneNumber"]
        for address in row.get("addresses", []):
            assert int(address["postalCode"]) < 501


def test_attendance_has_the_usual_shapes(write):
    folder = write()
    events = list(plain.rows(folder, "studentSchoolAttendanceEvents"))
    deletes = list(plain.rows(folder, "studentSchoolAttendanceEvents.deletes"))
    keys = Counter(plain.attendance_key(row) for row in events)
    on_a_day = Counter(plain.attendance_key(row)[::3] for row in events)
    enrolments = list(plain.rows(folder, "studentSchoolAssociations"))
    missed = plain.missed(folder)
    totals = {
        row["studentUniqueId"]: float(sum(missed.get(row["studentUniqueId"], {}).values()))
        for row in plain.rows(folder, "students")
    }

    assert len(totals) == 1200
    assert sum(total < 6 for total in totals.values()) > 700
    assert 20 <= sum(total >= 12 for total in totals.values()) <= 240
    assert sum(count > 1 for count in keys.values()) >= 10  # corrected under the same key
    assert sum(count > 1 for count in on_a_day.values()) >= 50  # two rows on a day
    assert len(deletes) >= 10
    assert {plain.attendance_key(row) for row in deletes} <= set(keys)
    assert {row.get("eventDuration") for row in events} == {None, 0.25, 0.5, 1.0}
    assert sum(row["entryDate"] > STARTS.isoformat() for row in enrolments) >= 8
    assert sum("exitWithdrawDate" in row for row in enrolments) >= 8
    mondays = [
        total
        for total in missed.values()
        if sum(total.values()) > 5 and sum(day.weekday() == 0 for day in total) > len(total) / 2
    ]
    assert len(mondays) >= 10


def test_a_correction_follows_what_it_corrects_and_is_newer(write):
    last: dict[object, str] = {}
    for row in plain.rows(write(), "studentSchoolAttendanceEvents"):
        key = plain.attendance_key(row)
        assert row["_lastModifiedDate"] > last.get(key, "")
        last[key] = row["_lastModifiedDate"]
    for row in plain.rows(write(), "studentSchoolAttendanceEvents.deletes"):
        assert row["_lastModifiedDate"] > last[plain.attendance_key(row)]


def test_no_row_lies_outside_an_enrolment_or_on_a_day_off(write):
    folder = write()
    days = plain.instructional_days(folder)
    spells: dict[tuple[str, str], dict[str, str]] = {}
    for row in plain.rows(folder, "studentSchoolAssociations"):
        key = row["studentReference"]["studentUniqueId"], str(row["schoolReference"]["schoolId"])
        spells.setdefault(key, {})[row["entryDate"]] = row.get("exitWithdrawDate", "9999")
    for row in plain.rows(folder, "studentSchoolAttendanceEvents"):
        student, school, _, on, _ = plain.attendance_key(row)
        assert date.fromisoformat(on) in days[school]
        assert any(first <= on <= last for first, last in spells[student, school].items())


def test_incidents_carry_the_old_codes_exclusion_and_the_days_served_are_absences(write):
    folder = write()
    incidents = list(plain.rows(folder, "disciplineIncidents"))
    actions = {row["disciplineActionIdentifier"]: row for row in plain.rows(folder, "disciplineActions")}
    absent = Counter(
        row["studentReference"]["studentUniqueId"]
        for row in plain.rows(folder, "studentSchoolAttendanceEvents")
        if row.get("attendanceEventReason") == "Out-of-school suspension"
    )
    staff = {row["staffUniqueId"] for row in plain.rows(folder, "staffs")}
    referred = Counter(
        row["studentReference"]["studentUniqueId"]
        for row in plain.rows(folder, "studentDisciplineIncidentBehaviorAssociations")
    )

    assert 40 <= len(incidents) <= 200
    assert sum(row["incidentDate"] >= (MIDWINTER - timedelta(days=14)).isoformat() for row in incidents) >= 3
    assert sum(count >= 2 for count in referred.values()) >= 3
    assert all(row["staffs"][0]["staffReference"]["staffUniqueId"] in staff for row in actions.values())
    served = [row for row in actions.values() if row.get("actualDisciplineActionLength")]
    assert len(served) >= 20
    for row in served:
        assert absent[row["studentReference"]["studentUniqueId"]] >= row["actualDisciplineActionLength"]


def test_a_few_conferences_were_completed_one_declined_and_one_is_running(write):
    ways: dict[str, list[dict[str, Any]]] = {}
    for row in plain.rows(write(), "conferenceSteps"):
        ways.setdefault(row["incident"]["incidentIdentifier"], []).append(row)
    facilitators = {row["facilitator"] for steps in ways.values() for row in steps}
    named = {row["staffs"][0]["staffReference"]["staffUniqueId"] for row in plain.rows(write(), "disciplineActions")}

    assert not facilitators & named
    assert all([row["on"] for row in steps] == sorted(row["on"] for row in steps) for steps in ways.values())
    ends = Counter(
        "declined" if steps[-1]["step"] == "consent" and not steps[-1]["with"]["given"] else steps[-1]["step"]
        for steps in ways.values()
    )
    assert ends["complete"] >= 3
    assert ends["declined"] >= 1
    assert sum(ends.values()) - ends["complete"] - ends["declined"] - ends["breach"] >= 1


def test_surveys_hold_answers_in_two_languages_some_with_nobody_to_turn_to(write):
    folder = write()
    windows = {row["key"]: row for row in plain.rows(folder, "surveyWindows")}
    responses = list(plain.rows(folder, "surveyResponses"))
    adult = [[row["answers"][f"adult_support_{number}"] for number in (1, 2)] for row in responses]

    assert len(windows) == 2
    assert len({(row["window"], row["studentUniqueId"]) for row in responses}) == len(responses) > 1000
    assert {row["language"] for row in responses} == {"en", "es"}
    assert all(
        windows[row["window"]]["opens_on"] <= row["answered_on"] <= windows[row["window"]]["closes_on"]
        for row in responses
    )
    assert 20 <= sum(None not in pair and sum(pair) <= 5 for pair in adult) <= 120


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")

    with pytest.raises(FolderInUse):
        Sample(10, 1, STARTS, MIDWINTER).write(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("students", [1, 2, 3, 30, 257])
def test_a_small_district_is_whole_too(write, students):
    folder = write(students=students)

    assert len(list(plain.rows(folder, "students"))) == students
    assert len(list(plain.rows(folder, "studentSchoolAssociations"))) >= students


def test_the_command_says_what_it_wrote_and_what_is_wrong(tmp_path):
    app = typer.Typer()
    app.command()(sample)
    run = CliRunner().invoke

    good = run(app, [str(tmp_path / "a"), "--students", "20", "--starts", "2025-08-25", "--through", "2025-10-01"])
    early = run(app, [str(tmp_path / "b"), "--starts", "2025-08-25", "--through", "2025-08-01"])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine").touch()
    taken = run(app, [str(tmp_path / "c"), "--students", "20"])
    (tmp_path / "file").touch()
    blocked = run(app, [str(tmp_path / "file" / "d"), "--students", "20"])

    assert good.exit_code == 0
    assert "20 students, school year from 2025-08-25, as known on 2025-10-01" in good.output
    assert early.exit_code == 2
    assert taken.exit_code == 1
    assert "holds other files" in taken.output
    assert blocked.exit_code == 1
    assert "cannot be written" in blocked.output
    assert "Traceback" not in early.output + taken.output + blocked.output


def test_five_thousand_students_take_little_time_and_memory(tmp_path):
    began = time.monotonic()

    Sample(5000, 1, STARTS, MIDWINTER).write(tmp_path / "district")

    assert time.monotonic() - began < 20


@pytest.mark.slow
def test_fifty_thousand_students_take_under_a_minute_and_flat_memory(tmp_path):
    Sample(1200, 1, STARTS, MIDWINTER).write(tmp_path / "small")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()

    Sample(50_000, 1, STARTS, MIDWINTER).write(tmp_path / "large")

    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
