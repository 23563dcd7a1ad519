"""Contacts: sealed at rest, fresh for notifications, restricted until a person has read why; and the summary."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.sis.conftest import EDFI, Sis, absence, association, contact, enrolment, school, student

CANARIES = ["Canaryfirst", "Canarylast", "canary@example.org", "555-0199", "9 Canary Lane", "court order canary"]
FULL = contact(
    firstName="Canaryfirst",
    lastSurname="Canarylast",
    electronicMails=[{"electronicMailAddress": "canary@example.org", "electronicMailTypeDescriptor": "x#Home"}],
    telephones=[{"telephoneNumber": "555-0199", "telephoneNumberTypeDescriptor": "x#Mobile"}],
    addresses=[
        {
            "addressTypeDescriptor": "x#Home",
            "streetNumberName": "9 Canary Lane",
            "city": "Bend",
            "stateAbbreviationDescriptor": "x#OR",
            "postalCode": "97701",
        }
    ],
    languages=[{"languageDescriptor": "x#spa", "uses": [{"languageUseDescriptor": "x#Home language"}]}],
)


async def family(sis: Sis, **more: str) -> tuple[str, str]:
    """A student with one contact, as ids."""
    identity = await sis.roster()
    (parent,) = await sis.put_in("contacts", FULL)
    await sis.put_in("studentContactAssociations", association(relationDescriptor="x#Mother", livesWith=True, **more))
    return identity, parent


def groups(**more: Any) -> dict[str, Any]:
    return {
        "studentReference": {"studentUniqueId": "s1"},
        "educationOrganizationReference": {"educationOrganizationId": 255901},
        **more,
    }


async def restriction(sis: Sis, identity: str) -> Any:
    return (await sis.contacts(identity)).json()["contacts"][0]["restriction"]


async def code(sis: Sis, identity: str, parent: str, **body: object):
    address = f"/sis/v1/students/{identity}/contacts/{parent}/restriction"
    seen = (await sis.call("GET", address, role="district")).headers.get("ETag", '"none"')
    return await sis.call("PUT", address, role="district", json=body, headers={"If-Match": seen})


async def test_a_contact_of_whom_no_language_is_known_is_written_to_in_the_language_of_the_home(sis: Sis):
    identity = await sis.roster()
    await sis.put_in("contacts", contact("c1"), contact("c2", languages=[{"languageDescriptor": "x#vie"}]))
    await sis.put_in("studentContactAssociations", association(of="c1"), association(of="c2"))

    async def languages() -> list[str | None]:
        return [one["language"] for one in (await sis.contacts(identity)).json()["contacts"]]

    assert await languages() == [None, "vi"]
    home = {"languageDescriptor": "x#Spanish", "uses": [{"languageUseDescriptor": "x#Home language"}]}
    await sis.put_in("studentEducationOrganizationAssociations", groups(languages=[home]))
    assert await languages() == ["es", "vi"]
    await sis.put_in("studentEducationOrganizationAssociations", groups(languages=[{"languageDescriptor": "x#Elvish"}]))
    assert await languages() == [None, "vi"]


async def test_groups_are_sealed_at_rest_and_never_answered_at_the_door(sis: Sis):
    await sis.roster()
    told = {
        "races": [{"raceDescriptor": "x#Canaryrace"}],
        "hispanicLatinoEthnicity": True,
        "sexDescriptor": "x#Canarysex",
        "disabilities": [{"disabilityDescriptor": "x#Canarydisability"}],
    }
    (one,) = await sis.put_in("studentEducationOrganizationAssociations", groups(**told))
    await sis.put_in("studentEducationOrganizationAssociations", groups(**told, languages=[]))
    read = await sis.call("GET", f"{EDFI}/studentEducationOrganizationAssociations/{one}")
    assert {name for name in read.json() if name[0] != "_"} == {
        "id",
        "studentReference",
        "educationOrganizationReference",
    }
    stored = await sis.rows(
        "SELECT to_jsonb(d) || to_jsonb(r) FROM sis_document AS d JOIN sis_revision AS r USING (id)"
    )
    assert stored
    assert "Canary" not in str(stored)


async def test_notifications_reads_everything_it_needs_to_tell_a_family(sis: Sis):
    identity, parent = await family(sis)
    await sis.put_in("studentSchoolAssociations", enrolment())
    assert (await sis.contacts(identity)).json() == {
        "student_id": identity,
        "first_name": "Ada",
        "last_name": "Quill",
        "school_name": "School 1",
        "contacts": [
            {
                "contact_id": parent,
                "first_name": "Canaryfirst",
                "last_name": "Canarylast",
                "relation": "Mother",
                "language": "es",
                "emails": ["canary@example.org"],
                "phones": ["555-0199"],
                "address": {"lines": ["9 Canary Lane"], "city": "Bend", "state": "OR", "postal_code": "97701"},
                "lives_with": True,
                "restriction": {"state": "none", "codes": [], "expires_on": None},
            }
        ],
    }


async def test_what_the_sis_does_not_say_is_unknown_not_guessed(sis: Sis):
    identity = await sis.roster()
    await sis.put_in("contacts", {"contactUniqueId": "c1"})
    await sis.put_in("studentContactAssociations", association())
    shown = (await sis.contacts(identity)).json()
    assert shown["school_name"] is None
    (only,) = shown["contacts"]
    assert [only[name] for name in ("first_name", "relation", "language", "address")] == [None] * 4
    assert (only["emails"], only["phones"], only["lives_with"]) == ([], [], False)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("English", "en"),
        ("Spanish", "es"),
        ("Arabic", "ar"),
        ("Somali", "so"),
        ("Vietnamese", "vi"),
        ("Chinese", "zh"),
        ("eng", "en"),
        ("spa", "es"),
        ("ara", "ar"),
        ("som", "so"),
        ("vie", "vi"),
        ("zho", "zh"),
        ("chi", "zh"),
        ("zh", "zh"),
        ("Tagalog", "tl"),
        ("Hmong", "hmn"),
        ("Unknown", None),
    ],
)
async def test_home_languages_are_told_by_their_code(sis: Sis, said: str, code: str | None):
    identity = await sis.roster()
    await sis.put_in("contacts", contact(languages=[{"languageDescriptor": f"uri://x#{said}"}]))
    await sis.put_in("studentContactAssociations", association())
    assert (await sis.contacts(identity)).json()["contacts"][0]["language"] == code


async def test_primary_contacts_come_first_and_the_school_is_the_one_that_counts(sis: Sis):
    identity = await sis.roster()
    await sis.put_in("schools", school(2))
    await sis.put_in("contacts", contact("c1"), contact("c2"))
    await sis.put_in("studentContactAssociations", association(), association(of="c2", primaryContactStatus=True))
    await sis.put_in(
        "studentSchoolAssociations", enrolment(primarySchool=False), enrolment(number=2, entry="2026-01-05")
    )
    shown = (await sis.contacts(identity)).json()
    assert shown["school_name"] == "School 2"
    (second,) = await sis.put_in("contacts", contact("c2"))
    assert next(one["contact_id"] for one in shown["contacts"]) == second


async def test_the_school_that_signs_may_be_another_than_the_one_that_counts(sis: Sis):
    identity, _ = await family(sis)
    await sis.put_in("schools", school(2))
    await sis.put_in("studentSchoolAssociations", enrolment(number=2))
    path, caller = f"/sis/v1/students/{identity}/contacts", sis.running.service_headers("notifications")
    asked = [await sis.running.http.get(f"{path}?school={school_id}", headers=caller) for school_id in (1, 2, 3)]
    assert [answer.json()["school_name"] for answer in asked] == ["School 1", "School 2", None]


async def test_only_notifications_reads_contacts(sis: Sis):
    identity, _ = await family(sis)
    path = f"/sis/v1/students/{identity}/contacts"
    for headers in (
        *(
            sis.running.headers(role, schools=["1"])
            for role in ("district", "sis", "principal", "counselor", "facilitator")
        ),
        *(sis.running.service_headers(caller) for caller in ("mtss", "surveys", "restorative")),
    ):
        assert (await sis.running.http.get(path, headers=headers)).status_code == 403
    assert (await sis.contacts(uuid4())).status_code == 404


async def test_contact_details_lie_sealed_in_every_table_and_are_never_answered_by_the_door(sis: Sis):
    identity, parent = await family(sis, contactRestrictions="court order canary")
    await code(sis, identity, parent, codes=["no_contact"])
    await sis.put_in("contacts", {**FULL, "firstName": "Other"})
    await sis.put_in("studentContactAssociations", association(contactRestrictions="new court order canary"))
    sealed = await sis.rows("SELECT sealed FROM sis_document WHERE sealed IS NOT NULL")
    history = await sis.rows("SELECT sealed FROM sis_revision WHERE sealed IS NOT NULL")
    assert (len(sealed), len(history)) == (2, 2)
    for table in ("sis_document", "sis_revision", "sis_restriction", "sis_fact", "outbox"):
        for row in await sis.rows(f"SELECT convert_from(convert_to(t::text, 'UTF8'), 'UTF8') FROM {table} AS t"):
            assert not any(canary in row[0] for canary in CANARIES), table
    for resource in ("contacts", "studentContactAssociations"):
        shown = await sis.call("GET", f"{EDFI}/{resource}", role="district")
        assert shown.status_code == 200
        assert not any(canary in shown.text for canary in CANARIES)


async def test_sealed_details_in_the_history_open_only_in_their_place(sis: Sis):
    await family(sis)
    await sis.put_in("contacts", {**FULL, "firstName": "Other"})
    ((identity, revision, sealed),) = await sis.rows("SELECT id, revision, sealed FROM sis_revision")
    opened = sis.running.runtime.vault.open(sealed, table="sis_revision", column="sealed", row=f"{identity}:{revision}")
    assert "Canaryfirst" in opened


async def test_the_same_contact_again_is_no_change_although_it_is_sealed_anew(sis: Sis):
    await family(sis)
    assert (await sis.post("contacts", FULL)).status_code == 200
    assert await sis.rows("SELECT 1 FROM sis_revision") == []


async def test_a_restriction_stays_uncoded_until_a_person_codes_this_very_text(sis: Sis):
    identity, parent = await family(sis, contactRestrictions="court order canary")
    uncoded: dict[str, Any] = {"state": "uncoded", "codes": [], "expires_on": None}
    assert await restriction(sis, identity) == uncoded
    coded = await code(sis, identity, parent, codes=["no_records", "no_records"], expires_on="2027-06-30")
    assert coded.json() == {"state": "coded", "codes": ["no_records"], "expires_on": "2027-06-30"}
    assert await restriction(sis, identity) == coded.json()
    await sis.put_in("studentContactAssociations", association(contactRestrictions="a new court order"))
    assert await restriction(sis, identity) == uncoded
    assert (await code(sis, identity, parent, codes=["no_contact"])).status_code == 200
    await sis.put_in("studentContactAssociations", association())
    assert (await restriction(sis, identity))["codes"] == ["no_contact"]
    assert len(await sis.rows("SELECT 1 FROM sis_restriction")) == 2


async def test_a_coding_is_refused_where_it_is_not_a_code_or_not_a_contact(sis: Sis):
    identity, parent = await family(sis)
    for body in ({"codes": ["maybe"]}, {"codes": ["no_contact"] * 5}, {}, {"codes": [], "colour": 1}):
        assert (await code(sis, identity, parent, **body)).status_code == 422
    assert (await code(sis, identity, str(uuid4()), codes=[])).status_code == 404
    as_sis = await sis.call("PUT", f"/sis/v1/students/{identity}/contacts/{parent}/restriction", json={"codes": []})
    assert as_sis.status_code == 403


async def test_a_student_taken_back_has_no_contacts_any_more(sis: Sis):
    identity = await sis.roster()
    assert (await sis.contacts(identity)).json()["contacts"] == []
    await sis.delete("students", identity)
    assert (await sis.contacts(UUID(identity))).status_code == 404


async def test_the_summary_counts_without_naming_anybody(sis: Sis):
    await sis.put_in("schools", school(1), school(2))
    await sis.put_in("students", *(student(f"s{number}") for number in range(4)))
    await sis.put_in(
        "studentSchoolAssociations",
        enrolment("s0"),
        enrolment("s0", 2),
        enrolment("s1", exitWithdrawDate="2026-08-24"),
        enrolment("s2", exitWithdrawDate="2026-08-25"),
    )
    tardy = absence(name="s0", category="Tardy")
    await sis.put_in("studentSchoolAttendanceEvents", tardy, absence(name="s0"), absence("2026-09-02", "Tardy", "s0"))
    await sis.calendar("school_id,date,instructional\n1,2026-09-01,true\n")
    sis.running.clock.set(datetime(2026, 9, 7, 12, tzinfo=UTC))
    await sis.close("2026-09-01")
    summary = await sis.call("GET", "/sis/v1/summary", role="district")
    assert summary.json() == {
        "students": 4,
        "enrolled": 1,
        "attendance_rows": 3,
        "absences": 1,
        "schools": [
            {"school_id": "1", "name": "School 1", "closed_through": "2026-09-01"},
            {"school_id": "2", "name": "School 2", "closed_through": None},
        ],
    }
    assert (await sis.call("GET", "/sis/v1/summary")).status_code == 403


async def test_nobody_codes_a_text_that_changed_since_they_read_it(sis: Sis):
    identity, parent = await family(sis, contactRestrictions="court order canary")
    address = f"/sis/v1/students/{identity}/contacts/{parent}/restriction"
    seen = (await sis.call("GET", address, role="district")).headers["ETag"]
    await sis.put_in("studentContactAssociations", association(contactRestrictions="a new court order"))

    blind = await sis.call("PUT", address, role="district", json={"codes": []})
    late = await sis.call("PUT", address, role="district", json={"codes": []}, headers={"If-Match": seen})

    assert (blind.status_code, late.status_code) == (428, 412)
    assert await sis.rows("SELECT 1 FROM sis_restriction") == []


async def test_of_fifty_who_code_the_same_text_one_does(sis: Sis):
    identity, parent = await family(sis, contactRestrictions="court order canary")
    address = f"/sis/v1/students/{identity}/contacts/{parent}/restriction"
    headers = {"If-Match": (await sis.call("GET", address, role="district")).headers["ETag"]}
    days = [f"2027-{month:02}-{day:02}" for month in range(1, 6) for day in range(1, 11)]

    answers = await asyncio.gather(
        *(
            sis.call(
                "PUT", address, role="district", json={"codes": ["no_contact"], "expires_on": day}, headers=headers
            )
            for day in days
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    (won,) = (answer for answer in answers if answer.is_success)
    assert await restriction(sis, identity) == won.json()


async def test_the_etag_of_a_coding_is_the_one_that_is_read_next(sis: Sis):
    identity, parent = await family(sis, contactRestrictions="court order canary")
    coded = await code(sis, identity, parent, codes=["no_records"], expires_on="2027-06-30")

    address = f"/sis/v1/students/{identity}/contacts/{parent}/restriction"
    assert (await sis.call("GET", address, role="district")).headers["ETag"] == coded.headers["ETag"]
