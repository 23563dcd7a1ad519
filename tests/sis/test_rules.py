"""The rules of ``sis``: reading, resolving, closing, calendars, contacts, enrolments and what a row does."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.events import AttendanceKind
from sis.policy import ATTENDANCE, CALENDAR, CONTACTS
from sis.resources import DESCRIPTORS, RESOURCES
from sis.rows import read_deletion, read_row
from sis.rules.attendance import AttendanceDay, AttendanceRow
from sis.rules.calendar import Rejected, read_calendar
from sis.rules.closing import ClosedDay, ClosingPolicy, days_to_close
from sis.rules.contacts import Address, Coding, RestrictionState, restriction_state
from sis.rules.documents import Content, Outcome, follow, outcome_of
from sis.rules.enrolment import Enrolment, counting
from sis.rules.languages import Languages
from sis.rules.members import BrokenRule, InvalidMember, Member, objects_at, read_shape, value_at
from sis.rules.values import (
    day,
    days,
    descriptor,
    flag,
    hundredths,
    identifier,
    known_code,
    moment,
    order,
    school_id,
    text,
    year,
)

EXCUSED, UNEXCUSED, TARDY = AttendanceKind.EXCUSED, AttendanceKind.UNEXCUSED, AttendanceKind.TARDY
PARTIAL, ACTIVITY, PRESENT = AttendanceKind.PARTIAL, AttendanceKind.ACTIVITY, AttendanceKind.PRESENT

rows_of_a_day = st.lists(
    st.builds(AttendanceRow, st.sampled_from(AttendanceKind), st.none() | st.integers(0, 100)), max_size=6
)


# attendance


@pytest.mark.parametrize(
    ("rows", "resolved"),
    [
        ([], None),
        ([(EXCUSED, None)], (EXCUSED, 100)),
        ([(UNEXCUSED, None)], (UNEXCUSED, 100)),
        ([(EXCUSED, 50)], (EXCUSED, 50)),
        ([(TARDY, None)], (TARDY, 0)),
        ([(TARDY, 15)], (TARDY, 15)),
        ([(PARTIAL, None)], (PARTIAL, 0)),
        ([(AttendanceKind.EARLY_DEPARTURE, None)], (AttendanceKind.EARLY_DEPARTURE, 0)),
        ([(EXCUSED, None), (PARTIAL, 50)], (EXCUSED, 100)),
        ([(EXCUSED, 40), (PARTIAL, 50)], (PARTIAL, 50)),
        ([(EXCUSED, 50), (UNEXCUSED, 50)], (UNEXCUSED, 50)),
        ([(ACTIVITY, 100)], (ACTIVITY, 0)),
        ([(ACTIVITY, 100), (TARDY, 10)], (TARDY, 10)),
        ([(PRESENT, 100)], (PRESENT, 0)),
        ([(PRESENT, None), (TARDY, None)], (TARDY, 0)),
    ],
)
def test_the_largest_fraction_counts_and_at_equal_fractions_the_stronger_kind(rows, resolved):
    found = ATTENDANCE.resolve(AttendanceRow(*row) for row in rows)
    assert found == (resolved and AttendanceDay(*resolved))


@given(rows_of_a_day, st.randoms())
def test_neither_order_nor_repetition_of_rows_changes_the_day(rows, chance):
    again = [*rows, *chance.choices(rows, k=3)] if rows else []
    chance.shuffle(again)
    assert ATTENDANCE.resolve(again) == ATTENDANCE.resolve(rows)


@given(rows_of_a_day, rows_of_a_day)
def test_another_row_never_lessens_what_was_missed(rows, more):
    before, after = ATTENDANCE.resolve(rows), ATTENDANCE.resolve([*rows, *more])
    assert before is None or (after is not None and after.hundredths_absent >= before.hundredths_absent)


def test_every_kind_of_day_has_a_rank_and_every_category_a_kind():
    assert set(ATTENDANCE.strongest_first) == set(AttendanceKind)
    assert {ATTENDANCE.kind(code.upper()) for code in ATTENDANCE.categories} == set(AttendanceKind)
    assert {*ATTENDANCE.without_duration, *ATTENDANCE.never_missed} == set(AttendanceKind)


@given(st.decimals(0, 1, places=6))
def test_fractions_round_half_up_on_the_digits_as_written(fraction):
    assert hundredths(float(fraction)) == int(Decimal(str(float(fraction))) * 100 + Decimal("0.5"))


def test_no_binary_fraction_decides_a_rounding():
    assert (hundredths(0.285), hundredths(0.145), hundredths(0.005), hundredths(1)) == (29, 15, 1, 100)


# reading members


@pytest.mark.parametrize(
    ("read", "value", "kept"),
    [
        (identifier, "604822", "604822"),
        (identifier, 604822, "604822"),
        (identifier, 604822.0, "604822"),
        *((flag, sent, False) for sent in (False, "false", "False")),
        *((year, sent, 2027) for sent in (2027, "2027", 2027.0)),
        *((order, sent, 3) for sent in (3, "3", "03")),
        (day, "2028-02-29", "2028-02-29"),
        (moment, "2027-01-29T16:04:00Z", datetime(2027, 1, 29, 16, 4, tzinfo=UTC)),
        (moment, "2027-01-29T16:04:00", datetime(2027, 1, 29, 16, 4, tzinfo=UTC)),
        (moment, "2027-01-29T09:04:00-07:00", datetime(2027, 1, 29, 16, 4, tzinfo=UTC)),
        (descriptor, "uri://x#Tardy", "uri://x#Tardy"),
        (descriptor, "Tardy", "Tardy"),
        (known_code(frozenset(("tardy",))), "uri://x#TARDY", "uri://x#TARDY"),
        *((school_id, sent, "7000011") for sent in (7000011, "7000011", "007000011", 7000011.0)),
        *((school_id, sent, str(2**63 - 1)) for sent in (2**63 - 1, str(2**63 - 1))),
        (school_id, 0, "0"),
        *((days(1), sent, 0.29) for sent in (0.285, "0.285")),
        (days(1), 1, 1.0),
        (text(20, lines=True), "two\nlines", "two\nlines"),
    ],
)
def test_what_is_well_formed_is_kept(read, value, kept):
    assert read(value) == kept


@pytest.mark.parametrize(
    ("read", "value", "rule"),
    [
        (identifier, True, "must be text"),
        (identifier, 1.5, "must be text"),
        (identifier, 1e300, "must be text"),
        (identifier, " ", "must not be empty"),
        *((identifier, padded, "must not begin or end with a space") for padded in (" 1", "1 ", "1\u00a0")),
        (identifier, "x" * 61, "must have at most 60 characters"),
        (identifier, "a\x00b", "must not hold control characters"),
        (identifier, "a\nb", "must not hold control characters"),
        (identifier, "\ud800", "must not hold control characters"),
        *(
            (school_id, name, "must be a whole number from 0 to 2^63-1")
            for name in (
                -1,
                "-1",
                10**30,
                2**63,
                str(2**63),
                "9" * 40,
                1.5,
                True,
                "+1",
                "1.0",
                "١",
                " 1",
                "",
                "HS-1",
                [1],
            )
        ),
        (flag, "yes", "must be true or false"),
        (flag, 1, "must be true or false"),
        (year, "MMXXVII", "must be a year from 1900 to 2199"),
        (year, True, "must be a year from 1900 to 2199"),
        (year, 27, "must be a year from 1900 to 2199"),
        (order, True, "must be a whole number from 0 to 10000"),
        (order, -1, "must be a whole number from 0 to 10000"),
        (order, 1.5, "must be a whole number from 0 to 10000"),
        (day, "2027-02-30", "must be a date that exists"),
        (day, "20270201", "must be a date such as 2027-01-31"),
        (day, 20270201, "must be a date such as 2027-01-31"),
        *(
            (day, sent, "must be a date such as 2027-01-31")
            for sent in ("8-1/2014", "2014-8-1", "08/01/14", "Aug 1, 2014")
        ),
        (day, "31/12/2026", "must be a date that exists"),
        (day, "0001-01-01", "must be a date in the years 1900 to 2199"),
        (moment, 5, "must be a date and time such as 2027-01-31T08:00:00Z"),
        (moment, "yesterday", "must be a date and time such as 2027-01-31T08:00:00Z"),
        (moment, "0001-01-01T00:00:00+01:00", "must be a time in the years 1900 to 2199"),
        (descriptor, "uri://x#", "must be a descriptor with a code value after #"),
        (descriptor, 5, "must be text"),
        (known_code(frozenset(("tardy",))), "uri://x#Late", "must be a descriptor known here"),
        *((days(1), sent, "must be a number") for sent in ("half", ".5", "-0.5", "1e-1", "")),
        (days(1), True, "must be a number"),
        (days(1), float("inf"), "must be a number"),
        (days(1), 1.01, "must be from 0 to 1"),
        (days(1), -0.1, "must be from 0 to 1"),
    ],
)
def test_what_breaks_a_rule_is_refused_without_quoting_it(read, value, rule):
    with pytest.raises(BrokenRule) as broken:
        read(value)
    assert str(broken.value) == rule


SHAPE = {
    "who": Member({"name": Member(text(5), required=True)}, required=True),
    "many": Member({"on": Member(day)}, many=True),
    "tags": Member(text(3), many=True),
}


@pytest.mark.parametrize(
    ("document", "field", "rule"),
    [
        ([], "$", "must be an object"),
        ({}, "$.who", "is required"),
        ({"who": None}, "$.who", "is required"),
        ({"who": {}}, "$.who.name", "is required"),
        ({"who": "x"}, "$.who", "must be an object"),
        ({"who": {"name": 5}}, "$.who.name", "must be text"),
        ({"who": {"name": "x"}, "many": {}}, "$.many", "must be a list"),
        ({"who": {"name": "x"}, "many": [{}, {"on": "x"}]}, "$.many[1].on", "must be a date such as 2027-01-31"),
        ({"who": {"name": "x"}, "tags": ["abc", "abcd"]}, "$.tags[1]", "must have at most 3 characters"),
    ],
)
def test_a_broken_member_is_named_by_its_path(document, field, rule):
    with pytest.raises(InvalidMember) as refused:
        read_shape(SHAPE, document)
    assert refused.value.facts == {"field": field, "rule": rule}


def test_only_members_that_are_used_are_kept():
    document = {"who": {"name": "Ada", "birthDate": "x"}, "many": [{"on": "2027-01-01", "note": 1}], "secret": "x"}
    assert read_shape(SHAPE, document) == {"who": {"name": "Ada"}, "many": [{"on": "2027-01-01"}]}


def test_paths_lead_through_objects_and_lists():
    document = {"a": {"b": 1}, "many": [{"one": {"x": 1}}, {"other": {}}, {"one": {"x": 2}}]}
    assert list(objects_at(document, "many[].one")) == [{"x": 1}, {"x": 2}]
    assert list(objects_at(document, "none.one")) == []
    assert value_at(document, "a.b") == 1
    assert value_at(document, "a.b.c") is None
    assert value_at(document, "x.y") is None


# documents

LATER = datetime(2027, 1, 2, tzinfo=UTC)
EARLIER = datetime(2027, 1, 1, tzinfo=UTC)
TOLD = datetime(2027, 1, 3, tzinfo=UTC)


def said(what: str = "x", at: datetime | None = None, *, deleted: bool = False, secret: str = "") -> Content:
    return Content({"said": what}, {"secret": secret} if secret else {}, at, deleted)


@pytest.mark.parametrize(
    ("standing", "row", "outcome"),
    [
        (None, said(), Outcome.CREATED),
        (said(), said(), Outcome.UNCHANGED),
        (said(), said("y"), Outcome.UPDATED),
        (said(), said(secret="s"), Outcome.UPDATED),
        (said(deleted=True), said(), Outcome.CREATED),
        (said(), said(deleted=True), Outcome.DELETED),
        (None, said(deleted=True), Outcome.MISSING),
        (said(deleted=True), said(deleted=True), Outcome.MISSING),
        (said(at=LATER), said("y", EARLIER), Outcome.STALE),
        (said(at=LATER, deleted=True), said("y", EARLIER), Outcome.STALE),
        (said(at=LATER), said(at=EARLIER, deleted=True), Outcome.STALE),
        (said(at=LATER), said("y", LATER), Outcome.UPDATED),
        (said(at=LATER), said("y"), Outcome.UPDATED),
        (said(), said("y", EARLIER), Outcome.UPDATED),
    ],
)
def test_what_a_row_does_follows_from_what_stands(standing, row, outcome):
    assert outcome_of(standing, row) is outcome
    assert outcome.changes == (outcome in (Outcome.CREATED, Outcome.UPDATED, Outcome.DELETED))


def test_a_document_keeps_the_latest_date_it_was_given():
    assert follow(None, said(at=EARLIER), TOLD).modified_at == EARLIER
    assert follow(said(at=LATER), said("y"), TOLD) == said("y", LATER)
    assert follow(said(), said("y"), TOLD).modified_at is None
    assert follow(said(at=EARLIER), said("y", LATER), TOLD).modified_at == LATER


def test_a_date_ahead_of_our_clock_counts_as_now():
    assert follow(None, said(at=TOLD + timedelta(days=900)), TOLD).modified_at == TOLD


def test_a_deletion_keeps_what_was_said_and_counts_from_when_it_was_told():
    assert follow(said("x", EARLIER), said("", deleted=True), TOLD) == said("x", TOLD, deleted=True)
    assert follow(None, said("", deleted=True), TOLD) == said("", TOLD, deleted=True)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), max_size=8, unique_by=lambda row: row[1]),
    st.randoms(),
)
def test_dated_rows_end_the_same_in_any_order_and_repeated(rows, chance):
    def ended(rows: list[tuple[str, int]]) -> Content | None:
        standing: Content | None = None
        for what, minute in rows:
            row = said(what, EARLIER + timedelta(minutes=minute))
            if outcome_of(standing, row) is not Outcome.STALE:
                standing = follow(standing, row, TOLD)
        return standing

    shuffled = chance.sample(rows * 2, k=2 * len(rows))
    assert ended(shuffled) == ended(sorted(rows, key=lambda row: row[1]))


# closing

MON, TUE, WED, THU, FRI, SAT = (date(2026, 9, day) for day in range(7, 13))
WEEK = [MON, TUE, WED, THU, FRI]


def test_a_day_that_is_said_closes_and_those_before_it_are_implied_without_rows():
    due = days_to_close(WEEK, through=THU, closed={MON}, with_rows={TUE}, said=True)
    assert due == [ClosedDay(TUE, False), ClosedDay(WED, True), ClosedDay(THU, False)]


def test_the_clock_implies_every_day_without_rows():
    assert days_to_close(WEEK, through=TUE, closed=(), with_rows={MON}, said=False) == [
        ClosedDay(MON, False),
        ClosedDay(TUE, True),
    ]


def test_a_day_off_stands_for_the_last_instructional_day_before_it():
    assert days_to_close(WEEK, through=SAT, closed=set(WEEK[:4]), with_rows=(), said=True) == [ClosedDay(FRI, False)]
    assert days_to_close(WEEK, through=date(2026, 9, 6), closed=(), with_rows=(), said=True) == []


@given(st.sets(st.sampled_from(WEEK)), st.sets(st.sampled_from(WEEK)), st.sampled_from([*WEEK, SAT]), st.booleans())
def test_closing_twice_closes_nothing_more(closed, with_rows, through, said_so):
    due = {day.on for day in days_to_close(WEEK, through=through, closed=closed, with_rows=with_rows, said=said_so)}
    assert days_to_close(WEEK, through=through, closed=closed | due, with_rows=with_rows, said=said_so) == []
    assert due | closed >= {on for on in WEEK if on <= through}


def test_rows_of_today_may_close_from_the_closing_time_on():
    policy = ClosingPolicy(clock=True, at=time(18), lease_seconds=120)
    assert policy.latest_due(datetime(2026, 9, 8, 17, 59, tzinfo=UTC)) == MON
    assert policy.latest_due(datetime(2026, 9, 8, 18, 0, tzinfo=UTC)) == TUE


# calendar


def test_a_calendar_file_is_read_with_byte_order_mark_quotes_and_blank_lines():
    body = '\ufeffSchool_id, date ,instructional\r\n"1","2026-09-07",TRUE\r\n\r\n1,2026-09-08,no\r\n2,2027-05-28,1\r\n'
    file = read_calendar(body.encode())
    assert file.years == {("1", 2026): (MON,), ("2", 2027): (date(2027, 5, 28),)}
    assert (file.rejected, file.first_lines) == ([], {"1": 2, "2": 5})


def test_a_school_year_is_that_of_the_last_day_or_the_one_the_line_says():
    assert read_calendar(b"school_id,date,instructional\n1,2026-09-07,true\n1,2027-05-28,false\n").years == {
        ("1", 2027): (MON,)
    }
    body = b"date,school_year,school_id,instructional\n2026-09-07,2027,1,true\n2026-09-08,,1,true\n"
    assert read_calendar(body).years == {("1", 2027): (MON,), ("1", 2026): (TUE,)}


def test_of_two_lines_for_one_day_the_later_one_counts():
    assert read_calendar(b"school_id,date,instructional\n1,2026-09-07,true\n1,2026-09-07,false\n").years == {
        ("1", 2026): ()
    }


def test_bad_lines_are_named_by_line_and_column_and_the_others_kept():
    lines = [
        "school_id,date,instructional,school_year",
        "1,2026-02-30,true,",
        "1,2026-09-07,perhaps,",
        ",2026-09-07,true,",
        "1,2026-09-07,true,next",
        "1,2026-09-07",
        '1,"2026-09-07"x,true,',
        "1,2026-09-08,true,",
        '1,"2026',
    ]
    file = read_calendar("\n".join(lines).encode())
    assert (file.years, file.incomplete) == ({}, {("1", 2026): 1})
    assert file.rejected == [
        Rejected(2, "date", "must be a date that exists", "1"),
        Rejected(3, "instructional", "must be true or false", "1"),
        Rejected(4, "school_id", "must be a whole number from 0 to 2^63-1"),
        Rejected(5, "school_year", "must be a year from 1900 to 2199", "1"),
        Rejected(6, "", "must have 4 columns"),
        Rejected(7, "", "must be well-formed CSV"),
        Rejected(9, "", "must be well-formed CSV"),
    ]


@pytest.mark.parametrize(
    ("bad", "incomplete"),
    [
        ("1,2026-09-31,true,2027", {("1", 2027): 1}),
        ("1,2026-09-31,true,", {("1", 2026): 1, ("1", 2027): 1}),
        ("3,2026-09-31,true,", {}),
        ("a/b,2026-09-08,true,2027", {("1", 2027): 1, ("2", 2027): 2}),
        ("2026-09-08,true,2027", {("1", 2026): 1, ("1", 2027): 1, ("2", 2027): 2}),
        ('1,"2026-09-08"x,true,2027', {("1", 2026): 1, ("1", 2027): 1, ("2", 2027): 2}),
    ],
)
def test_a_school_year_that_may_have_lost_a_line_is_set_apart(bad, incomplete):
    good = ["1,2026-05-28,true,2026", "1,2026-09-07,true,2027", "2,2026-09-07,true,2027", "2,2026-09-08,true,2027"]
    file = read_calendar("\n".join(["school_id,date,instructional,school_year", bad, *good]).encode())
    assert len(file.rejected) == 1
    assert file.incomplete == incomplete
    assert file.years.keys() == {("1", 2026), ("1", 2027), ("2", 2027)} - incomplete.keys()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "line 1"),
        (b"school,date,instructional\n", "line 1"),
        (b"school_id,date\n", "line 1"),
        (b"school_id,date,instructional,colour\n", "line 1"),
        (b"school_id,date,instructional,date\n", "line 1"),
        (b"school_id,date,instructional\n1,2026-09-07,true\n\xff", "line 3"),
    ],
)
def test_a_file_with_another_header_or_encoding_is_refused_whole(body, field):
    with pytest.raises(InvalidMember) as refused:
        read_calendar(body)
    assert refused.value.facts["field"] == field


def test_a_day_counts_if_any_of_its_events_says_so():
    assert CALENDAR.is_instructional(["uri://x#Holiday", "uri://x#Instructional Day"])
    assert not CALENDAR.is_instructional(["uri://x#Holiday"])
    assert not CALENDAR.is_instructional([])


def test_a_file_may_take_a_fifth_of_a_school_year_away_and_no_more():
    days = [MON + timedelta(days=count) for count in range(10)]
    assert not CALENDAR.takes_too_much(days, days[2:])
    assert CALENDAR.takes_too_much(days, [*days[3:], date(2027, 5, 28)])
    assert not CALENDAR.takes_too_much([], days)


# contacts

LANGUAGES = Languages({"spanish": "es", "hmong": "hmn"}, {"spa": "es"}, frozenset(("es", "hmn", "en")))


@pytest.mark.parametrize(
    ("said_language", "code"),
    [("Spanish", "es"), ("spa", "es"), ("ES", "es"), ("Spanish; Castilian", "es"), ("Hmong", "hmn"), ("Klingon", None)],
)
def test_languages_are_known_by_name_and_by_code(said_language, code):
    assert LANGUAGES.code(said_language) == code


def language(name: str, *uses: str) -> dict[str, Any]:
    return {"languageDescriptor": f"x#{name}", "uses": [{"languageUseDescriptor": f"x#{use}"} for use in uses]}


def test_the_language_of_correspondence_comes_before_that_of_the_home_and_unknown_ones_are_passed_over():
    home, letters = language("English"), language("Spanish", "Other", "Correspondence language")
    pick = {"languages": [home, language("en", "Home language"), letters]}
    assert CONTACTS.language(pick, LANGUAGES) == "es"
    assert CONTACTS.language({"languages": [language("Klingon", "Home language"), letters]}, LANGUAGES) == "es"
    assert CONTACTS.language({"languages": [language("Klingon")]}, LANGUAGES) is None
    assert CONTACTS.language({}, LANGUAGES) is None


def test_an_address_must_hold_today_and_mail_comes_before_home():
    home = {"addressTypeDescriptor": "x#Home", "streetNumberName": "1 Elm St", "city": "Bend", "postalCode": "97701"}
    mail = {
        "addressTypeDescriptor": "x#Mailing",
        "streetNumberName": "PO Box 7",
        "apartmentRoomSuiteNumber": "2",
        "stateAbbreviationDescriptor": "x#OR",
    }
    old = {**mail, "periods": [{"beginDate": "2020-01-01", "endDate": "2026-01-01"}]}
    again = {**mail, "periods": [{"endDate": "2026-01-01"}, {"beginDate": "2026-09-01"}]}
    assert CONTACTS.address({"addresses": [home, mail]}, MON) == Address(("PO Box 7", "2"), None, "OR", None)
    assert CONTACTS.address({"addresses": [old, home]}, MON) == Address(("1 Elm St",), "Bend", None, "97701")
    assert CONTACTS.address({"addresses": [home, again]}, MON) == Address(("PO Box 7", "2"), None, "OR", None)
    assert CONTACTS.address({"addresses": [old, {"city": "Bend"}]}, MON) is None
    assert CONTACTS.address({}, MON) is None


def test_the_primary_address_comes_first_each_once_and_what_is_none_is_left_out():
    mails = ["old@example.org", "Mc Daniel@example.org", "OLD@example.org", "new@example.org"]
    said_mails = [{"electronicMailAddress": mail, "primaryEmailAddressIndicator": mail == mails[-1]} for mail in mails]
    assert CONTACTS.emails({"electronicMails": said_mails}) == ["new@example.org", "old@example.org"]
    assert CONTACTS.emails({}) == []


def test_telephone_numbers_come_in_order_without_fax():
    numbers = [
        {"telephoneNumber": "3", "telephoneNumberTypeDescriptor": "x#Fax", "orderOfPriority": 1},
        {"telephoneNumber": "2"},
        {"telephoneNumber": "1", "telephoneNumberTypeDescriptor": "x#Mobile", "orderOfPriority": 2},
        {"telephoneNumber": "2"},
    ]
    assert CONTACTS.phones({"telephones": numbers}) == ["1", "2"]
    assert CONTACTS.phones({}) == []


@pytest.mark.parametrize(
    ("text_now", "coding", "state"),
    [
        (None, None, RestrictionState.NONE),
        ("court order", None, RestrictionState.UNCODED),
        ("court order", Coding(("no_contact",), None, "court order"), RestrictionState.CODED),
        ("new order", Coding(("no_contact",), None, "court order"), RestrictionState.UNCODED),
        ("new order", Coding((), None, None), RestrictionState.UNCODED),
        (None, Coding(("no_contact",), None, "court order"), RestrictionState.CODED),
        (None, Coding(("no_records",), None, None), RestrictionState.CODED),
    ],
)
def test_a_restriction_is_coded_only_for_the_text_that_a_person_read(text_now, coding, state):
    assert restriction_state(text_now, coding) is state


# enrolments


def stay(school: str, entry: date, exit_on: date | None = None, *, primary: bool = True) -> Enrolment:
    return Enrolment(school, entry, exit_on, primary)


def test_the_open_primary_and_latest_enrolment_counts_and_a_no_show_never():
    assert counting([], WED) is None
    assert counting([stay("1", MON, MON)], WED) is None
    assert counting([stay("1", MON), stay("2", TUE, primary=False)], WED) == stay("1", MON)
    assert counting([stay("1", MON), stay("2", TUE)], WED) == stay("2", TUE)
    assert counting([stay("1", MON, TUE), stay("2", MON, WED, primary=False)], WED) == stay(
        "2", MON, WED, primary=False
    )
    assert counting([stay("1", MON, TUE)], WED) == stay("1", MON, TUE)


# the table of resources


def test_every_identity_and_reference_stands_in_its_shape():
    def leads(shape: Any, path: str) -> bool:
        head, _, rest = path.partition(".")
        member = shape[head.removesuffix("[]")]
        return not rest or leads(member.read, rest)

    for resource in RESOURCES.values():
        assert all(leads(resource.shape, path) for path in resource.identity)
        assert all(leads(resource.shape, reference.at) for reference in resource.references)
        assert all(reference.to in RESOURCES for reference in resource.references)
        assert set(resource.sealed) <= set(resource.shape)
        assert len(resource.leaves) == len(resource.identity)


def test_natural_keys_compare_codes_without_namespace_and_case():
    attendance = RESOURCES["studentSchoolAttendanceEvents"]
    row = {
        "studentReference": {"studentUniqueId": "s1"},
        "schoolReference": {"schoolId": "1"},
        "eventDate": "2026-09-01",
        "attendanceEventCategoryDescriptor": "uri://a#Excused Absence",
    }
    same = {**row, "attendanceEventCategoryDescriptor": "uri://b#EXCUSED ABSENCE"}
    assert attendance.key(row) == attendance.key(same)
    assert attendance.key(row) != attendance.key({**row, "sessionReference": {"sessionName": "Fall"}})


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just("2027-01-29")
    | st.just("x#Tardy"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def documents(shape: Any) -> Any:
    """Documents with the members of a shape, each of them well-formed only by chance."""
    members = {name: _member(member) for name, member in shape.items()}
    return st.fixed_dictionaries({}, optional={**members, "unused": anything})


def _member(member: Member) -> Any:
    value = anything if callable(member.read) else documents(member.read) | anything
    return st.lists(value, max_size=3) | anything if member.many else value


def test_an_older_name_of_a_member_is_read_where_the_newer_is_missing():
    shape = {"new": Member(text(10), older="old")}
    assert read_shape(shape, {"old": "a"}) == {"new": "a"}
    assert read_shape(shape, {"old": "a", "new": "b"}) == {"new": "b"}
    assert read_shape(shape, {}) == {}


# Descriptors are all made alike: one of them stands for the others.
EACH_SHAPE = {name: one for name, one in RESOURCES.items() if name not in list(DESCRIPTORS)[1:]}


@pytest.mark.parametrize("resource", EACH_SHAPE.values(), ids=EACH_SHAPE)
@given(st.data())
def test_whatever_comes_is_a_row_or_a_refusal_that_names_a_member(resource, data):
    document = data.draw(documents(resource.shape) | anything)

    def key_or_field(read: Any) -> str:
        try:
            return str(read(resource, document).key)
        except InvalidMember as refused:
            return str(refused.facts["field"])

    assert all(key_or_field(read).encode()[:1] in (b"[", b"$") for read in (read_row, read_deletion))
