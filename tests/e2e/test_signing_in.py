"""Staff sign in at the district's identity provider and use Trellis as it is started with one command."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_spine import MONDAY, SCHOOL, Trellis, enrolled, eventually, running
from tests.identity_provider import AUDIENCE, Shape, running_provider
from tests.processes import trellis

EMAIL = "Ada.Counselor@district.example"
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


@pytest.fixture
def keycloak(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shape]:
    with running_provider() as shapes:
        for name, value in settings_of(shapes["keycloak"].issuer).items():
            monkeypatch.setenv(name, value)
        yield shapes["keycloak"]


def employed(at: Trellis) -> None:
    """A counselor of the school, as the SIS says it."""
    at.push("staffs", staffUniqueId="E-1", electronicMails=[{"electronicMailAddress": EMAIL}])
    at.push(
        "staffEducationOrganizationAssignmentAssociations",
        staffReference={"staffUniqueId": "E-1"},
        educationOrganizationReference={"educationOrganizationId": int(SCHOOL)},
        staffClassificationDescriptor="uri://ed-fi.org/StaffClassificationDescriptor#School Counselor",
        beginDate=str(MONDAY),
    )


def ask(at: Trellis, path: str, token: str) -> httpx.Response:
    return httpx.get(at.url + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)


def test_staff_sign_in_and_read_their_own_students_alone_also_after_the_provider_changed_its_key(
    keycloak: Shape, tmp_path: Path
) -> None:
    with running(tmp_path / "var") as at:
        student = enrolled(at, 60)
        employed(at)
        eventually("all is heard", at.quiet)
        person = {"email": EMAIL.lower(), "groups": ["counselors"]}

        token = keycloak.sign_in(**person)["access_token"]
        of_no_section = keycloak.sign_in(**person | {"groups": ["teachers"]})["access_token"]
        not_theirs = ask(at, f"/mtss/v1/students/{student}", of_no_section).status_code
        read = ask(at, f"/mtss/v1/students/{student}", token)
        assert read.status_code == 200, read.text
        keycloak.behave(rotate="ES256", keep=False)
        rotated = keycloak.sign_in(**person)["access_token"]
        after = eventually("the new key is known", lambda: read_with(at, student, rotated))

        stranger = keycloak.sign_in(email="a.stranger@district.example", groups=["counselors"])["access_token"]
        id_token = keycloak.sign_in(**person)["id_token"]
        refused = [ask(at, f"/mtss/v1/students/{student}", one).status_code for one in (stranger, id_token)]

    assert read.json()["student_id"] == student
    assert (after.json(), refused, not_theirs) == (read.json(), [403, 401], 404)


def read_with(at: Trellis, student: str, token: str) -> httpx.Response | None:
    answer = ask(at, f"/mtss/v1/students/{student}", token)
    return answer if answer.is_success else None


def test_sis_itself_knows_who_signs_in_and_asks_for_a_second_factor(keycloak: Shape, tmp_path: Path) -> None:
    with running(tmp_path / "var") as at:
        employed_at_a_school(at)
        person = {"email": EMAIL, "groups": ["district-office"]}
        once, twice = (keycloak.sign_in(**person, acr=acr)["access_token"] for acr in ("1", "gold"))
        answers = [ask(at, "/sis/data/v3/ed-fi/students", token) for token in (once, twice)]
        status = ask(at, "/sis/v1/status", once)

    assert [answer.status_code for answer in (*answers, status)] == [401, 200, 200]


def employed_at_a_school(at: Trellis) -> None:
    at.push("schools", schoolId=int(SCHOOL), nameOfInstitution="Alder School")
    employed(at)


def test_where_trellis_is_more_than_a_trial_a_provider_without_tls_is_refused(tmp_path: Path) -> None:
    assert trellis("keys", str(tmp_path / "keys")).returncode == 0
    plain = settings_of("http://127.0.0.1:9/realms/staff")

    served = trellis("serve", "mtss", **plain)
    all_up = trellis("up", "--data", str(tmp_path / "var"), **plain, TRELLIS_KEYS=str(tmp_path / "keys"))

    for refused in (served, all_up):
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "TRELLIS_OIDC__ISSUER must begin with https://" in refused.stderr


def test_an_issuer_that_cannot_be_one_is_one_sentence_without_its_value() -> None:
    refused = trellis("serve", "mtss", **settings_of("http://user:secret@login.district.example"))

    assert refused.returncode == 1
    assert "TRELLIS_OIDC__ISSUER" in refused.stderr
    assert "secret" not in refused.stderr
