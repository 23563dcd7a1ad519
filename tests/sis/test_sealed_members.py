"""Sealed members are never answered: whoever sends back what was read here takes none of them away."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from sis.resources import RESOURCES
from sis.unsaid import unsaid_of
from tests.sis.conftest import EDFI, Sis, association, contact, student

ASSOCIATIONS = "studentContactAssociations"
WORD = "Not to be called: order of the court"
MAILS = [{"electronicMailAddress": "grace@example.org"}]


async def read(sis: Sis, resource: str, identity: str) -> dict[str, Any]:
    answer = await sis.call("GET", f"{EDFI}/{resource}/{identity}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def put_back(sis: Sis, resource: str, document: Mapping[str, Any]) -> int:
    path = f"{EDFI}/{resource}/{document['id']}"
    return (await sis.call("PUT", path, content=json.dumps(document).encode())).status_code


async def restrictions(sis: Sis) -> list[str | None]:
    """What is kept with each association that stands."""
    vault = sis.running.runtime.vault
    rows = await sis.rows(
        "SELECT id, sealed FROM sis_document WHERE resource = :name AND NOT deleted", name=ASSOCIATIONS
    )
    opened = [vault.open(row.sealed, table="sis_document", column="sealed", row=row.id) for row in rows if row.sealed]
    return [json.loads(text)["contactRestrictions"] for text in opened] + [None] * (len(rows) - len(opened))


async def emails(sis: Sis, student_id: str) -> list[str]:
    (one,) = (await sis.contacts(student_id)).json()["contacts"]
    found: list[str] = one["emails"]
    return found


async def waiting_association(sis: Sis) -> dict[str, Any]:
    """An association with a restriction that waits for its contact, as it is answered."""
    await sis.put_in("students", student())
    (identity,) = await sis.put_in(ASSOCIATIONS, association(contactRestrictions=WORD))
    shown = await read(sis, ASSOCIATIONS, identity)
    assert "_waiting" in shown
    assert "contactRestrictions" not in shown
    return shown


async def test_a_restriction_that_waits_stands_after_the_row_was_put_back(sis: Sis) -> None:
    shown = await waiting_association(sis)
    assert await put_back(sis, ASSOCIATIONS, shown) == 204
    assert await put_back(sis, ASSOCIATIONS, {**shown, "livesWith": True}) == 204
    await sis.put_in("contacts", contact())
    assert await restrictions(sis) == [WORD]


async def test_a_restriction_that_waits_stands_after_the_row_was_pushed_back(sis: Sis) -> None:
    shown = await waiting_association(sis)
    assert (await sis.post(ASSOCIATIONS, {**shown, "livesWith": True})).status_code == 200
    (line,) = await sis.bulk(ASSOCIATIONS, [{**shown, "livesWith": False}])
    assert line["status"] == 200
    await sis.put_in("contacts", contact())
    assert await restrictions(sis) == [WORD]


async def test_a_restriction_that_waits_stands_where_what_was_pushed_back_is_applied_at_once(
    sis: Sis, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = await waiting_association(sis)

    async def nobody(*_: Any) -> list[Any]:
        """The contact comes, and calls nobody in."""
        return []

    monkeypatch.setattr("sis.documents._call_in", nobody)
    await sis.put_in("contacts", contact())
    assert await restrictions(sis) == []
    assert (await sis.post(ASSOCIATIONS, shown)).status_code in (200, 201)
    assert await restrictions(sis) == [WORD]


async def test_a_restriction_that_waits_is_taken_away_by_null_and_by_a_row_that_was_not_read_here(sis: Sis) -> None:
    shown = await waiting_association(sis)
    assert await put_back(sis, ASSOCIATIONS, {**shown, "contactRestrictions": None}) == 204
    await sis.put_in(ASSOCIATIONS, association(of="c2", contactRestrictions=WORD), association(of="c2"))
    await sis.put_in("contacts", contact(), contact("c2"))
    assert await restrictions(sis) == [None, None]


async def test_what_was_read_and_is_pushed_back_wipes_nothing_that_was_sealed(sis: Sis) -> None:
    student_id = await sis.roster()
    (identity,) = await sis.put_in("contacts", contact(electronicMails=MAILS))
    await sis.put_in(ASSOCIATIONS, association())
    shown = await read(sis, "contacts", identity)
    only_id = {name: value for name, value in shown.items() if name[0] != "_"}
    only_etag = {name: value for name, value in shown.items() if name != "id"}
    for back in (shown, only_id, only_etag):
        assert (await sis.post("contacts", back)).status_code == 200
        (line,) = await sis.bulk("contacts", [back])
        assert line["status"] == 200
        assert await emails(sis, student_id) == ["grace@example.org"]
    assert (await sis.post("contacts", {**shown, "electronicMails": None})).status_code == 200
    assert await emails(sis, student_id) == []


async def test_what_another_system_answered_or_nobody_read_is_taken_as_the_whole(sis: Sis) -> None:
    student_id = await sis.roster()
    await sis.put_in("contacts", contact(electronicMails=MAILS))
    await sis.put_in(ASSOCIATIONS, association())
    theirs = {"id": UUID(int=7).hex, "_etag": "5250168731208835753"}
    for whole in (contact(), contact(**theirs), contact(_etag=theirs["_etag"]), contact(id="x", _etag='W/"a"')):
        await sis.put_in("contacts", contact(electronicMails=MAILS))
        assert (await sis.post("contacts", whole)).status_code == 200
        assert await emails(sis, student_id) == []


async def test_of_rows_in_one_push_each_leaves_what_the_one_before_it_said(sis: Sis) -> None:
    student_id = await sis.roster()
    (identity,) = await sis.put_in("contacts", contact(electronicMails=MAILS))
    await sis.put_in(ASSOCIATIONS, association())
    shown = await read(sis, "contacts", identity)
    later = [{"electronicMailAddress": "hollow@example.org"}]
    lines = await sis.bulk("contacts", [contact(electronicMails=later), {**shown, "firstName": "Ida"}])
    assert [line["status"] for line in lines] == [200, 200]
    assert await emails(sis, student_id) == ["hollow@example.org"]


async def test_what_was_taken_away_does_not_come_back_with_what_was_read_before(sis: Sis) -> None:
    student_id = await sis.roster()
    (identity,) = await sis.put_in("contacts", contact(electronicMails=MAILS))
    shown = await read(sis, "contacts", identity)
    assert (await sis.delete("contacts", identity)).status_code == 204
    await sis.put_in("contacts", {"id": shown["id"], "_etag": shown["_etag"], **contact()})
    await sis.put_in(ASSOCIATIONS, association())
    assert await emails(sis, student_id) == []


@pytest.mark.parametrize("marks", [{}, {"id": 7}, {"id": None}, {"_etag": 5}, {"_etag": "x"}, {"_etag": "9" * 20}])
def test_without_the_marks_of_a_reading_here_a_row_is_silent_about_nothing(marks: dict[str, Any]) -> None:
    assert unsaid_of(RESOURCES["contacts"], contact(**marks)) is None
