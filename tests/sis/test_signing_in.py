"""Which member of staff signs in: by e-mail or by the SIS's number, for sister services, and unreadable in the database."""

import logging
from typing import Any

import pytest

from common.sealed import Vault
from sis.rules.documents import Content
from sis.signing import Claim, remember, staff_named
from sis.standing import Standing
from tests.sis.conftest import Sis, school

MAILS = [{"electronicMailAddress": "T.Field@Example.org"}, {"electronicMailAddress": "field@example.org"}]


def member(name: str = "t1", **more: Any) -> dict[str, Any]:
    return {"staffUniqueId": name, "firstName": "Thea", "lastSurname": "Field", **more}


async def ask(sis: Sis, claim: str, value: str, caller: str = "mtss") -> Any:
    headers = sis.running.service_headers(caller)
    return await sis.running.http.post("/sis/v1/staff/sign-in", headers=headers, json={"claim": claim, "value": value})


async def found(sis: Sis, claim: str, value: str) -> str | None:
    answer = await ask(sis, claim, value)
    assert answer.status_code in (200, 404)
    return answer.json()["staff_id"] if answer.status_code == 200 else None


async def test_a_member_of_staff_is_found_by_each_address_and_by_number_in_any_case(sis: Sis):
    (identity,) = await sis.put_in("staffs", member("T-1", electronicMails=MAILS))
    for value in ("t.field@example.org", "T.FIELD@EXAMPLE.ORG", "field@example.org"):
        assert await found(sis, "email", value) == identity
    assert await found(sis, "staff_unique_id", "t-1") == identity
    assert await found(sis, "email", "T-1") is None
    assert await found(sis, "staff_unique_id", "field@example.org") is None


async def test_what_is_corrected_or_gone_no_longer_signs_in(sis: Sis):
    (identity,) = await sis.put_in("staffs", member(electronicMails=MAILS))
    await sis.put_in("staffs", member(electronicMails=[{"electronicMailAddress": "new@example.org"}]))
    assert await found(sis, "email", "t.field@example.org") is None
    assert await found(sis, "email", "new@example.org") == identity
    await sis.delete("staffs", identity)
    assert await found(sis, "email", "new@example.org") is None
    assert await found(sis, "staff_unique_id", "t1") is None


async def test_an_address_that_two_share_is_nobodys(sis: Sis):
    await sis.put_in("staffs", member("t1", electronicMails=MAILS), member("t2", electronicMails=MAILS[:1]))
    assert await found(sis, "email", "t.field@example.org") is None
    assert await found(sis, "email", "field@example.org") is not None


@pytest.mark.parametrize("role", ["district", "principal", "sis"])
async def test_only_sister_services_may_ask(sis: Sis, role: str):
    body = {"claim": "staff_unique_id", "value": "t1"}
    assert (await sis.call("POST", "/sis/v1/staff/sign-in", role=role, json=body)).status_code == 403
    assert (await sis.running.http.post("/sis/v1/staff/sign-in", json=body)).status_code == 401


async def test_what_was_asked_stands_in_no_answer_log_or_row(sis: Sis, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    (identity,) = await sis.put_in("staffs", member(electronicMails=MAILS))
    refused = [await ask(sis, "email", "canary\n@example.org"), await ask(sis, "shoe size", "canary@example.org")]
    assert [one.status_code for one in refused] == [422, 422]
    missing = await ask(sis, "email", "canary@example.org")
    assert missing.status_code == 404
    assert not any("canary" in text.lower() for text in (*(one.text for one in (*refused, missing)), caplog.text))
    rows = await sis.rows(
        "SELECT body::text AS b, sealed AS s FROM sis_document UNION ALL SELECT '', digest FROM sis_sign_in"
    )
    assert not any(b"example.org" in row.s.lower() or "example.org" in row.b.lower() for row in rows)
    shown = await sis.call("GET", f"/sis/data/v3/ed-fi/staffs/{identity}")
    assert "electronicMails" not in shown.json()


async def test_who_signed_in_before_the_sealing_key_changed_still_does(sis: Sis):
    old, new = bytes(range(32)), bytes(reversed(range(32)))
    (identity,) = await sis.put_in("staffs", member())
    document = await one(sis)
    async with sis.running.session() as session:
        await remember(session, Vault({"old": old}), [document])
        turned = Vault({"new": new, "old": old})
        assert str(await staff_named(session, turned, Claim.EMAIL, "FIELD@example.org")) == identity
        assert await staff_named(session, Vault({"new": new}), Claim.EMAIL, "field@example.org") is None


def works(name: str, place: int = 1, as_a: str = "Principal", begin: str = "2020-08-01", **more: Any) -> dict[str, Any]:
    return {
        "staffReference": {"staffUniqueId": name},
        "educationOrganizationReference": {"educationOrganizationId": place},
        "staffClassificationDescriptor": f"uri://ed-fi.org/StaffClassificationDescriptor#{as_a}",
        "beginDate": begin,
        **more,
    }


async def test_who_leads_or_counsels_at_a_school_and_in_its_district_is_told_of_urgent_help(sis: Sis):
    names = ("head", "counselor", "teacher", "left", "elsewhere", "superintendent")
    mails = {name: [{"electronicMailAddress": f"{name}@example.org"}] for name in names}
    await sis.put_in("staffs", *(member(name, electronicMails=mail) for name, mail in mails.items()))
    await sis.put_in("staffs", member("silent"), member("broken", electronicMails=[{"electronicMailAddress": "none"}]))
    await sis.put_in("schools", school(localEducationAgencyReference={"localEducationAgencyId": 9}), school(2))
    await sis.put_in(
        "staffEducationOrganizationAssignmentAssociations",
        works("head"),
        works("counselor", as_a="SCHOOL counselor"),
        works("teacher", as_a="Teacher"),
        works("left", endDate="2021-06-01"),
        works("elsewhere", 2),
        works("silent"),
        works("broken"),
        works("superintendent", 9, "Superintendent"),
    )

    async def told(number: int, caller: str = "notifications") -> Any:
        headers = sis.running.service_headers(caller)
        return await sis.running.http.get(f"/sis/v1/schools/{number}/urgent-staff", headers=headers)

    assert (await told(1)).json() == {
        "school_name": "School 1",
        "emails": ["counselor@example.org", "head@example.org"],
        "district_emails": ["superintendent@example.org"],
    }
    assert (await told(2)).json()["district_emails"] == []
    assert ((await told(3)).status_code, (await told(1, "mtss")).status_code) == (404, 403)


async def one(sis: Sis) -> Standing:
    """The one member of staff as it is written."""
    ((identity, key, at),) = await sis.rows("SELECT id, key, known_at FROM sis_document")
    return Standing(identity, key, Content({"staffUniqueId": "t1"}, {"electronicMails": MAILS}, None), 1, at)
