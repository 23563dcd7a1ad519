"""Loading survey answers into the real services, in process: only a token with the permission for it brings them."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from common.embedded import Cluster
from common.events import StudentEnrolled, SurveyScored
from common.keys import read_signing_key
from sis import load
from sis.loading.checking import check_folder
from sis.loading.door import MintedTokens, TokenFromFile, Tokens
from sis.loading.folder import CALENDAR_FILE, RESPONSES, STEPS, WINDOWS, Folder
from sis.loading.report import Report
from tests.harness import Running, run_service
from tests.sis_load.conftest import Fill, Silent

ROSTER = {
    "schools": [{"schoolId": 1, "nameOfInstitution": "One"}],
    "students": [{"studentUniqueId": "a"}],
    "studentSchoolAssociations": [
        {
            "schoolReference": {"schoolId": 1},
            "studentReference": {"studentUniqueId": "a"},
            "entryDate": "2025-08-25",
            "entryGradeLevelDescriptor": "uri://ed-fi.org/GradeLevelDescriptor#Ninth grade",
        }
    ],
}
WINDOW = {
    "key": "fall",
    "instrument": "belonging-8",
    "schools": ["1"],
    "opens_on": "2025-10-01",
    "closes_on": "2025-10-10",
    "audience": "student",
    "notice": {"sent_on": "2025-09-10", "kind": "opt_out", "text_reference": "letter 1"},
}
ANSWERS = {"adult_support_1": 2, "adult_support_2": 3}
RESPONSE = {"window": "fall", "studentUniqueId": "a", "answered_on": "2025-10-02", "language": "en", "answers": ANSWERS}


class Doors(httpx.AsyncBaseTransport):
    """Each request reaches the service that its path begins with."""

    def __init__(self, *running: Running) -> None:
        self._to = {each.name: httpx.ASGITransport(each.app) for each in running}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._to[request.url.path.split("/")[1]].handle_async_request(request)


@pytest_asyncio.fixture(loop_scope="session")
async def surveys(cluster: Cluster, sis: Running) -> AsyncIterator[Running]:
    """The service beside ``sis``, with the same issuers' keys."""
    async with run_service("surveys", cluster) as running:
        await running.empty()
        running.runtime.keys = sis.runtime.keys
        running.clock.set(datetime(2025, 11, 3, 18, tzinfo=UTC))
        yield running


@pytest.fixture(autouse=True)
def _nobody_waits_for_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loop sends them here: a test hands them on itself."""
    monkeypatch.setattr(load, "_SCORES_SAID_SECONDS", 0.0)


async def loaded(folder: Path, tokens: Tokens, *running: Running) -> Report:
    report = Report(Silent())
    await load.push(Folder(folder), report, "http://testserver", tokens, transport=Doors(*running))
    return report


async def test_answers_come_in_with_a_token_that_the_loader_signs_itself(sis: Running, surveys: Running, fill: Fill):
    minted = MintedTokens(read_signing_key(sis.keys / "staff"))
    await loaded(fill(**ROSTER), minted, sis, surveys)
    await surveys.deliver(*await sis.said(StudentEnrolled))

    report = await loaded(fill(surveyWindows=[WINDOW], surveyResponses=[RESPONSE]), minted, sis, surveys)

    assert (report.rejected, report.left_out) == ([], [])
    assert report.taken[RESPONSES] == 1
    (scored,) = await surveys.said(SurveyScored)
    assert scored.answered_on == date(2025, 10, 2)


@pytest.mark.parametrize("permissions", [[], ["surveys.import-paper"]], ids=["without", "with"])
async def test_answers_are_left_out_where_the_token_of_a_file_lacks_the_permission(
    sis: Running, surveys: Running, fill: Fill, tmp_path: Path, permissions: list[str]
):
    await loaded(fill(**ROSTER), MintedTokens(read_signing_key(sis.keys / "staff")), sis, surveys)
    await surveys.deliver(*await sis.said(StudentEnrolled))
    header = sis.headers("district", permissions=permissions)["Authorization"]
    (tmp_path / "token").write_text(header.removeprefix("Bearer "))
    folder = fill(surveyWindows=[WINDOW], surveyResponses=[RESPONSE])

    report = await loaded(folder, TokenFromFile(tmp_path / "token"), sis, surveys)

    assert report.rejected == []
    assert report.taken[WINDOWS] == 1
    assert (RESPONSES in report.left_out) is not bool(permissions)
    assert len(await surveys.said(SurveyScored)) == len(permissions)


@pytest.mark.parametrize(
    ("role", "permissions", "left_out"),
    [
        ("sis", [], {WINDOWS, RESPONSES}),
        ("district", [], {*ROSTER, CALENDAR_FILE, RESPONSES}),
        ("district", ["surveys.import-paper"], {*ROSTER, CALENDAR_FILE}),
        ("facilitator", [], {*ROSTER, CALENDAR_FILE, WINDOWS, RESPONSES}),
    ],
)
async def test_a_dry_run_leaves_out_what_the_doors_do_not_let_the_token_push(
    sis: Running,
    surveys: Running,
    fill: Fill,
    tmp_path: Path,
    role: str,
    permissions: list[str],
    left_out: set[str],
):
    await loaded(fill(**ROSTER), MintedTokens(read_signing_key(sis.keys / "staff")), sis)
    await surveys.deliver(*await sis.said(StudentEnrolled))
    header = sis.headers(role, permissions=permissions)["Authorization"]
    (tmp_path / "token").write_text(header.removeprefix("Bearer "))
    token, dry = TokenFromFile(tmp_path / "token"), Report(Silent())
    calendar = "school_id,date,instructional\n1,2025-10-02,true\n"

    real = await loaded(fill(calendar, surveyWindows=[WINDOW], surveyResponses=[RESPONSE]), token, sis, surveys)
    check_folder(Folder(fill(conferenceSteps=[{}])), dry, token.says())

    assert set(real.left_out) == left_out
    assert set(dry.left_out) == {*left_out, STEPS}
    assert dry.taken == real.taken
    assert dry.rejected == real.rejected == []
