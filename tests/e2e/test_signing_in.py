"""Staff sign in at the district's identity provider and use Trellis as it is started with one command."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.e2e.test_spine import MONDAY, SCHOOL, UNIQUE_ID, Trellis, enrolled, eventually, running
from tests.identity_provider import AUDIENCE, Shape, running_provider
from tests.processes import free_port, trellis

ZONE = "America/Denver"
EMAIL = "Ada.Counselor@district.example"
TEACHER, YESTERDAYS_TEACHER = "tea@district.example", "yes@district.example"
SECTION: dict[str, Any] = {
    "sectionIdentifier": "A",
    "courseOfferingReference": {
        "localCourseCode": "ALG-1",
        "schoolId": int(SCHOOL),
        "schoolYear": 2026,
        "sessionName": "Fall",
    },
}
ROLES = {"counselors": "counselor", "teachers": "teacher", "district-office": "district"}

pytestmark = pytest.mark.slow


def settings_of(issuer: str) -> dict[str, str]:
    """What a district sets so that its staff may sign in."""
    return {
        "TRELLIS_OIDC__ISSUER": issuer,
        "TRELLIS_OIDC__AUDIENCE": AUDIENCE,
        "TRELLIS_OIDC__ROLES": json.dumps(ROLES),
        "TRELLIS_OIDC__SECOND_FACTOR": '["gold"]',
    }


@dataclass
class District(Trellis):
    """A running Trellis, the provider at which its staff sign in, and a student whom it has enrolled."""

    keycloak: Shape
    student: str

    def ask_as(self, path: str, token: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)

    def sign_in(self, email: str, group: str, **more: Any) -> str:
        return self.keycloak.sign_in(email=email, groups=[group], **more)["access_token"]

    def read(self, token: str) -> httpx.Response:
        return self.ask_as(f"/mtss/v1/students/{self.student}", token)


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Iterator[District]:
    data = tmp_path_factory.mktemp("district") / "var"
    with running_provider() as shapes, pytest.MonkeyPatch.context() as patched:
        for name, value in settings_of(shapes["keycloak"].issuer).items():
            patched.setenv(name, value)
        patched.setenv("TRELLIS_TIME_ZONE", ZONE)
        with running(data) as at:
            student = enrolled(at, 60)
            employed(at, EMAIL, "School Counselor")
            at.push("sections", **SECTION)
            at.push(
                "studentSectionAssociations",
                **in_section("studentReference", {"studentUniqueId": UNIQUE_ID}, beginDate=str(MONDAY)),
            )
            yesterday = datetime.now(ZoneInfo(ZONE)).date() - timedelta(days=1)
            for email, days in ((TEACHER, {}), (YESTERDAYS_TEACHER, {"endDate": str(yesterday)})):
                teacher = employed(at, email, "Teacher")
                at.push(
                    "staffSectionAssociations", **in_section("staffReference", teacher, beginDate=str(MONDAY), **days)
                )
            eventually("all is heard", at.quiet)
            yield District(at.url, at.data, shapes["keycloak"], student)


def employed(at: Trellis, email: str, classification: str) -> dict[str, str]:
    """Somebody who works at the school, as the SIS says it."""
    staff = {"staffUniqueId": email.partition("@")[0]}
    at.push("staffs", **staff, electronicMails=[{"electronicMailAddress": email}])
    at.push(
        "staffEducationOrganizationAssignmentAssociations",
        staffReference=staff,
        educationOrganizationReference={"educationOrganizationId": int(SCHOOL)},
        staffClassificationDescriptor=f"uri://ed-fi.org/StaffClassificationDescriptor#{classification}",
        beginDate=str(MONDAY),
    )
    return staff


def in_section(member: str, of: dict[str, str], **days: str) -> dict[str, Any]:
    reference = {"sectionIdentifier": SECTION["sectionIdentifier"], **SECTION["courseOfferingReference"]}
    return {member: of, "sectionReference": reference, **days}


def test_sis_itself_knows_who_signs_in_and_asks_for_a_second_factor(district: District) -> None:
    once, twice = (district.sign_in(EMAIL, "district-office", acr=acr) for acr in ("1", "gold"))
    answers = [district.ask_as("/sis/data/v3/ed-fi/students", token) for token in (once, twice)]
    status = district.ask_as("/sis/v1/status", once)

    assert [answer.status_code for answer in (*answers, status)] == [401, 200, 200]


def test_a_teacher_sees_the_students_of_her_section_and_yesterdays_teacher_nobody(district: District) -> None:
    teacher, yesterdays = (district.sign_in(email, "teachers") for email in (TEACHER, YESTERDAYS_TEACHER))

    listed = [district.ask_as(f"/mtss/v1/students?school={SCHOOL}", token).json() for token in (teacher, yesterdays)]
    read = [district.read(token).status_code for token in (teacher, yesterdays)]

    assert [[line["student_id"] for line in answer["items"]] for answer in listed] == [[district.student], []]
    assert read == [200, 404]


def test_staff_read_their_own_students_alone_also_after_the_provider_changed_its_key(district: District) -> None:
    token = district.sign_in(EMAIL.lower(), "counselors")
    read = district.read(token)
    assert read.status_code == 200, read.text
    of_no_section = district.read(district.sign_in(EMAIL.lower(), "teachers"))
    district.keycloak.behave(rotate="ES256", keep=False)
    rotated = district.sign_in(EMAIL.lower(), "counselors")

    def read_again() -> httpx.Response | None:
        answer = district.read(rotated)
        return answer if answer.is_success else None

    after = eventually("the new key is known", read_again)
    stranger = district.sign_in("a.stranger@district.example", "counselors")
    id_token = district.keycloak.sign_in(email=EMAIL, groups=["counselors"])["id_token"]
    refused = [district.read(one).status_code for one in (stranger, id_token)]

    assert read.json()["student_id"] == district.student
    assert (after.json(), refused, of_no_section.status_code) == (read.json(), [403, 401], 404)


def test_where_trellis_is_more_than_a_trial_a_provider_without_tls_is_refused(tmp_path: Path) -> None:
    assert trellis("keys", str(tmp_path / "keys")).returncode == 0
    plain = settings_of("http://127.0.0.1:9/realms/staff")

    served = trellis("serve", "mtss", **plain)
    own = {"TRELLIS_KEYS": str(tmp_path / "keys")}
    all_up = trellis("up", "--port", str(free_port()), "--data", str(tmp_path / "var"), **plain, **own)

    for refused in (served, all_up):
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "TRELLIS_OIDC__ISSUER must begin with https://" in refused.stderr


def test_an_issuer_that_cannot_be_one_is_one_sentence_without_its_value() -> None:
    refused = trellis("serve", "mtss", **settings_of("http://user:secret@login.district.example"))

    assert refused.returncode == 1
    assert "TRELLIS_OIDC__ISSUER" in refused.stderr
    assert "secret" not in refused.stderr
