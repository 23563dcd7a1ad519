"""The pure rules: households, recipients, language, timing, caps."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.restrictions import Restriction, bar
from notifications.policy import POLICY, read_policy
from notifications.rules.caps import broken_until, most_a_day, retry_at
from notifications.rules.contacts import (
    Address,
    Contact,
    confidential,
    households,
    told_about,
    usable_email,
)
from notifications.rules.language import wording
from notifications.rules.recipients import Plan, plan
from notifications.rules.timing import earliest, opens, quiet_until, too_old

ZONE = ZoneInfo("America/Denver")
TODAY = date(2026, 11, 20)
ASH, ELM = Address(("12 Ash Street",), "Denver", "CO", "80201"), Address(("9 Elm Rd",), "Denver", "CO", "80202")
NONE: frozenset[str] = frozenset()


def person(number: int, **given: Any) -> Contact:
    return Contact(UUID(int=number), **{"relation": "Mother", "lives_with": True, **given})


def coded(*codes: str, expires_on: date | None = None) -> Restriction:
    return Restriction("coded", frozenset(codes), expires_on)


def planned(*contacts: Contact, opted_out: frozenset[str] = NONE, refused: frozenset[str] = NONE) -> list[Plan]:
    return plan(contacts, opted_out=opted_out, refused=refused, today=TODAY, policy=POLICY)


def outcome(*contacts: Contact, **closed: frozenset[str]) -> list[tuple[str | None, str]]:
    return [(each.channel, each.reason) for each in planned(*contacts, **closed)]


# Restrictions


@pytest.mark.parametrize(
    ("restriction", "reason"),
    [
        (Restriction(), None),
        (Restriction("uncoded"), "restriction_not_coded"),
        (Restriction("anything else"), "restriction_not_coded"),
        (coded("no_such_code"), "restriction_not_coded"),
        (coded("no_contact"), "restricted"),
        (coded("no_records"), "restricted"),
        (coded("no_records", expires_on=TODAY), "restricted"),
        (coded("no_contact", expires_on=TODAY - timedelta(days=1)), None),
        (coded("no_pick_up"), None),
        (coded("address_confidential"), None),
        (coded(), None),
    ],
)
def test_a_restriction_silences_unless_a_person_coded_it_otherwise(
    restriction: Restriction, reason: str | None
) -> None:
    assert bar(restriction, TODAY) == reason


def test_a_confidential_address_stays_so_until_the_code_expires() -> None:
    assert confidential(coded("address_confidential"), TODAY)
    assert not confidential(coded("address_confidential", expires_on=TODAY - timedelta(days=1)), TODAY)
    assert not confidential(coded("no_pick_up"), TODAY)


# Who


def test_guardians_are_told_and_others_are_not() -> None:
    mother, neighbour = person(2), person(1, relation="Neighbor", lives_with=False)
    assert told_about([neighbour, mother], POLICY) == [mother]


def test_whoever_acts_as_a_parent_is_told_where_there_is_no_guardian() -> None:
    grandmother, aunt = person(1, relation="Grandmother"), person(2, relation=None, lives_with=False)
    assert told_about([aunt, grandmother], POLICY) == [grandmother]
    assert told_about([aunt], POLICY) == []


def test_a_relation_may_be_a_descriptor() -> None:
    assert told_about([person(1, relation="uri://ed-fi.org/RelationDescriptor#Father", lives_with=False)], POLICY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"address": ASH}, {"address": replace(ASH, lines=("12  ASH ST.",), postal_code="80201-7")}),
        ({"emails": ("Home@Example.org",)}, {"emails": ("home@example.org ",)}),
        ({"phones": ("(303) 555-0100",)}, {"phones": ("+1 303 555 0100",)}),
    ],
)
def test_a_shared_address_mailbox_or_number_makes_one_household(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert len(households([person(1, **one), person(2, **other)], TODAY, POLICY)) == 1


def test_a_chain_of_shared_ways_makes_one_household() -> None:
    chain = [person(1, address=ASH), person(3, phones=("1",)), person(2, address=ASH, phones=("1",))]
    assert len(households(chain, TODAY, POLICY)) == 1


def test_empty_ways_join_nobody() -> None:
    empty = {"emails": ("",), "phones": ("-",), "address": Address(("",), "", "", "")}
    assert len(households([person(1, **empty), person(2, **empty)], TODAY, POLICY)) == 2


def test_a_confidential_address_joins_nobody_but_a_shared_mailbox_does() -> None:
    hidden = {"address": ASH, "phones": ("303 555 0100",), "restriction": coded("address_confidential")}
    other = {"address": ASH, "phones": ("303 555 0100",)}
    assert len(households([person(1, **hidden), person(2, **other)], TODAY, POLICY)) == 2
    mailbox = {"emails": ("a@example.org",)}
    assert len(households([person(1, **hidden, **mailbox), person(2, **other, **mailbox)], TODAY, POLICY)) == 1


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12), st.randoms()
)
def test_households_are_a_partition_that_no_order_changes(ways: list[tuple[int, int, int]], random: Random) -> None:
    contacts = [
        person(
            n,
            emails=(f"m{mail}@example.org",) if mail else (),
            phones=(f"55501{phone}",) if phone else (),
            address=replace(ASH, lines=(f"{place} Ash",)) if place else None,
        )
        for n, (mail, phone, place) in enumerate(ways)
    ]
    shuffled = list(contacts)
    random.shuffle(shuffled)
    groups = {frozenset(home) for home in households(contacts, TODAY, POLICY)}
    assert groups == {frozenset(home) for home in households(shuffled, TODAY, POLICY)}
    assert sorted(c.contact_id for home in groups for c in home) == [c.contact_id for c in contacts]
    for home in groups:
        others = [c for c in contacts if c not in home]
        mine = {way for c in home for way in (*c.emails, *c.phones, c.address) if way}
        assert not mine & {way for c in others for way in (*c.emails, *c.phones, c.address) if way}


# By which way


def test_e_mail_goes_before_a_letter() -> None:
    assert outcome(person(1, emails=("a@example.org",), address=ASH)) == [("email", "an e-mail address may be used")]
    assert outcome(person(1, emails=("not an address",), address=ASH)) == [("letter", "no e-mail address may be used")]


def test_anybody_in_the_household_may_be_the_addressee() -> None:
    (home,) = planned(person(1, address=ASH), person(2, address=ASH, emails=("b@example.org",), language="es"))
    assert (home.recipient, home.addressee.contact_id, home.email) == (UUID(int=1), UUID(int=2), "b@example.org")
    assert home.language == "es"


def test_the_language_is_that_of_the_addressee_else_of_anybody_at_home() -> None:
    (home,) = planned(person(1, address=ASH, language="so"), person(2, address=ASH, emails=("b@example.org",)))
    assert home.language == "so"
    assert planned(person(1, address=ASH))[0].language is None


def test_opt_outs_and_refusals_close_a_mailbox_only() -> None:
    both = person(1, emails=("a@example.org",), address=ASH)
    mailbox = frozenset({"a@example.org"})
    assert outcome(both, opted_out=mailbox)[0][0] == "letter"
    assert outcome(both, refused=mailbox)[0][0] == "letter"
    alone = replace(both, address=None)
    assert outcome(alone, opted_out=mailbox) == [(None, "opted_out")]
    assert outcome(alone, refused=mailbox) == [(None, "mailbox_refused")]
    assert outcome(replace(alone, emails=())) == [(None, "no_address")]


def test_nothing_goes_where_a_barred_contact_would_read_it() -> None:
    barred = person(2, emails=("home@example.org",), address=ASH, restriction=coded("no_contact"))
    mother = person(1, emails=("Home@example.org",), address=ASH)
    assert outcome(mother, barred) == [(None, "shared_with_restricted"), (None, "restricted")]
    assert outcome(replace(mother, emails=("own@example.org",)), barred)[0][0] == "email"
    assert outcome(replace(mother, address=ELM), barred)[0][0] == "letter"


def test_a_barred_contact_who_is_no_guardian_closes_ways_too() -> None:
    uncle = person(2, relation="Uncle", address=ASH, restriction=Restriction("uncoded"))
    assert outcome(person(1, address=ASH), uncle) == [(None, "shared_with_restricted")]


def test_a_confidential_address_is_never_printed() -> None:
    hidden = person(1, address=ASH, restriction=coded("address_confidential"))
    assert outcome(hidden) == [(None, "address_confidential")]
    assert outcome(replace(hidden, emails=("a@example.org",)))[0][0] == "email"


def test_an_incomplete_address_gets_no_letter() -> None:
    assert outcome(person(1, address=replace(ASH, postal_code=" "))) == [(None, "no_address")]


def test_nobody_is_told_where_there_is_no_guardian() -> None:
    assert planned(person(1, relation="Uncle", lives_with=False)) == []


_restrictions = st.sampled_from(
    [Restriction(), Restriction("uncoded"), coded("no_contact"), coded("address_confidential")]
)
_contacts = st.builds(
    lambda number, mails, place, restriction, lives: person(
        number,
        emails=tuple(f"m{m}@example.org" for m in mails),
        address=replace(ASH, lines=(f"{place} Ash",)) if place else None,
        restriction=restriction,
        lives_with=lives,
    ),
    st.integers(1, 10**6),
    st.lists(st.integers(1, 4), max_size=2),
    st.integers(0, 3),
    _restrictions,
    st.booleans(),
)


@given(st.lists(_contacts, max_size=8, unique_by=lambda contact: contact.contact_id), st.sets(st.integers(1, 4)))
def test_no_plan_reaches_a_barred_contact_and_no_mailbox_twice(contacts: list[Contact], stopped: set[int]) -> None:
    opted_out = frozenset(f"m{n}@example.org" for n in stopped)
    plans = planned(*contacts, opted_out=opted_out)
    barred = [contact for contact in contacts if bar(contact.restriction, TODAY)]
    mailboxes = [each.email for each in plans if each.email]
    places = [each.address for each in plans if each.address]
    assert len(mailboxes) == len(set(mailboxes))
    assert len(places) == len(set(places))
    assert not set(mailboxes) & (opted_out | {email for contact in barred for email in contact.emails})
    assert not set(places) & {contact.address for contact in barred}
    assert sorted(c for each in plans for c in each.members) == sorted(c.contact_id for c in contacts)


@pytest.mark.parametrize(
    ("email", "usable"),
    [
        ("a@example.org", True),
        (" a+b@example.org ", True),
        ("a@b", True),
        ("", False),
        ("a b@example.org", False),
        ("a@example.org\r\nBcc: x@example.org", False),
        ("ä@example.org", False),
        ("<a@example.org>", False),
        ("a@example.org, b@example.org", False),
        ("a" * 250 + "@example.org", False),
    ],
)
def test_only_plain_mail_addresses_are_used(email: str, usable: bool) -> None:
    assert usable_email(email) is usable


# Language


@pytest.mark.parametrize(
    ("home", "text", "line", "fallback"),
    [
        ("es", "es", None, False),
        ("ES-mx", "es", None, False),
        ("en", "en", None, False),
        (None, "en", None, False),
        (" ", "en", None, False),
        ("so", "en", "so", True),
        ("hmn", "en", "other", True),
    ],
)
def test_english_with_an_interpreter_line_stands_in_for_what_is_not_approved(
    home: str | None, text: str, line: str | None, fallback: bool
) -> None:
    words = wording(home, approved={"en", "es"}, lines={"so", "ar", "other"})
    assert (words.text, words.line, words.fallback) == (text, line, fallback)


# When

MONDAY, FRIDAY = date(2026, 11, 23), date(2026, 11, 20)
HEARD = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def test_a_tier_waits_for_the_first_instructional_day_after_it_took_effect() -> None:
    days = [date(2026, 11, 19), FRIDAY, date(2026, 11, 30), MONDAY]
    at = earliest("tier", FRIDAY, HEARD, days, ZONE, POLICY)
    assert at == datetime(2026, 11, 23, 8, 0, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("effective_on", "morning"),
    [
        (FRIDAY, MONDAY),
        (date(2026, 11, 21), MONDAY),
        (date(2026, 11, 22), MONDAY),
        (date(2026, 11, 18), date(2026, 11, 19)),
    ],
)
def test_with_no_instructional_day_left_it_is_the_next_weekday(effective_on: date, morning: date) -> None:
    at = earliest("tier", effective_on, HEARD, [date(2026, 6, 1)], ZONE, POLICY)
    assert at == datetime.combine(morning, time(8), ZONE)


def test_everything_else_may_be_told_at_once() -> None:
    assert earliest("conference_offered", FRIDAY, HEARD, [], ZONE, POLICY) == HEARD


def test_eight_o_clock_stays_eight_o_clock_when_the_clocks_change() -> None:
    at = earliest("tier", date(2026, 10, 30), HEARD, [date(2026, 11, 2)], ZONE, POLICY)
    assert at.astimezone(UTC).hour == 15


def test_it_is_too_old_after_fourteen_days() -> None:
    assert not too_old(FRIDAY - timedelta(days=14), FRIDAY, POLICY)
    assert too_old(FRIDAY - timedelta(days=15), FRIDAY, POLICY)


@pytest.mark.parametrize(
    ("channel", "hour", "until"),
    [
        ("email", 23, None),
        ("letter", 3, None),
        ("sms", 12, None),
        ("sms", 8, None),
        ("sms", 20, datetime(2026, 11, 21, 8, 0, tzinfo=ZONE)),
        ("call", 7, datetime(2026, 11, 20, 8, 0, tzinfo=ZONE)),
    ],
)
def test_quiet_hours_hold_only_what_rings(channel: str, hour: int, until: datetime | None) -> None:
    at = datetime(2026, 11, 20, hour, 0, tzinfo=ZONE).astimezone(UTC)
    assert quiet_until(channel, at, ZONE, POLICY) == until


@pytest.mark.parametrize(
    ("stands", "changed", "known", "new"),
    [
        (True, True, None, True),
        (True, True, False, True),
        (True, False, False, True),
        (True, False, None, False),
        (True, False, True, False),
        (True, True, True, True),
        (False, True, None, False),
    ],
)
def test_only_what_became_so_is_told(stands: bool, changed: bool, known: bool | None, new: bool) -> None:
    assert opens(stands=stands, changed=changed, known_to_stand=known) is new


# How many


def test_three_times_the_usual_number_is_the_most_a_day() -> None:
    assert most_a_day([], POLICY) == 200
    assert most_a_day([5] * 19, POLICY) == 200
    assert most_a_day([5] * 20, POLICY) == 15
    assert most_a_day([5] * 10 + [6] * 10, POLICY) == 16
    assert most_a_day([5] * 20 + [1000] * 50, POLICY) == 15


def test_pauses_grow_and_end() -> None:
    assert retry_at(1, HEARD, POLICY) == HEARD + timedelta(minutes=1)
    assert retry_at(5, HEARD, POLICY) == HEARD + timedelta(hours=4)
    assert retry_at(6, HEARD, POLICY) is None


def test_a_server_is_left_alone_after_failures_in_a_row_only() -> None:
    until = HEARD + timedelta(seconds=POLICY.breaker_seconds)
    assert broken_until([True, True, True], HEARD, POLICY) == until
    assert broken_until([True, True, True, False], HEARD, POLICY) == until
    assert broken_until([True, False, True], HEARD, POLICY) is None
    assert broken_until([True, True], HEARD, POLICY) is None
    assert broken_until([], None, POLICY) is None


# The policy


def test_a_number_without_a_source_is_refused() -> None:
    with pytest.raises(ValueError, match="too_old_days"):
        read_policy({"version": "1", "too_old_days": {"value": 14}})


def test_a_call_ends_well_within_its_lease() -> None:
    assert POLICY.call_seconds * 2 < POLICY.lease_seconds
