"""Who may answer, when, and how answers become scores."""

import tomllib
from collections.abc import Collection
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Invalid
from surveys import rules
from surveys.instruments import Instrument, instrument_named, instruments
from surveys.policy import POLICY, read_policy
from surveys.rules import ConsentState, Door, Enrolment, Item, NoticeKind, ScoringKey, Stage, Window

OPENS, CLOSES = date(2026, 10, 5), date(2026, 10, 16)
EARLIEST = date(2000, 1, 1)
SOURCED = """
[earliest_said_on]
value = 2000-01-01
source = "a"

[answered_percent_at_least]
value = 50
source = "b"

[results_cell]
value = 10
source = "c"

[results_ends_percent]
value = 5
source = "d"
"""
OURS = instrument_named("belonging-8").scoring_key()


def a_key(
    items: int = 18, *, reversed_items: Collection[int] = (3, 6, 9, 12, 16), answered_percent: int = 80
) -> ScoringKey:
    return ScoringKey(
        items=tuple(Item(f"q{n}", "belonging", n in reversed_items) for n in range(1, items + 1)),
        lowest=1,
        highest=5,
        answered_percent=answered_percent,
        never_below_percent=50,
        straight_line_items=6,
    )


def answered(count: int, answer: int = 4) -> dict[str, int | None]:
    return {f"q{n}": answer for n in range(1, count + 1)}


def test_14_of_18_items_are_not_scored_and_15_of_18_are():
    assert rules.score(a_key(), answered(14)) == ()
    (score,) = rules.score(a_key(), answered(15))
    assert (score.answered, score.items, score.prorated) == (15, 18, True)


def test_a_complete_subscale_is_not_prorated():
    (score,) = rules.score(a_key(), answered(18))
    assert not score.prorated


def test_reversed_items_are_turned_before_the_mean():
    answers = {"adult_support_1": 5, "adult_support_2": 4, "peer_support_1": 5, "peer_support_2": 1}
    adult, peers = rules.score(OURS, answers)
    assert (adult.subscale, adult.mean) == ("adult_support", 4.5)
    assert (peers.subscale, peers.mean) == ("peer_support", 5.0)


def test_one_of_two_items_is_too_few():
    assert rules.score(OURS, {"belonging_1": 5, "belonging_2": None}) == ()


def test_nothing_answered_is_no_score_even_where_half_would_do():
    assert rules.score(a_key(answered_percent=50), {}) == ()


def test_no_district_may_score_on_less_than_half():
    with pytest.raises(ValueError, match="answered_percent"):
        a_key(answered_percent=49)


@pytest.mark.parametrize(
    ("answers", "straight"),
    [
        (answered(6, 3), True),
        (answered(5, 3), False),
        (answered(5, 3) | {"q6": 4}, False),
        (answered(6, 3) | {"q7": None}, True),
        ({}, False),
    ],
)
def test_the_same_answer_to_many_items_is_flagged(answers, straight):
    assert rules.is_straight_line(a_key(), answers) is straight


@pytest.mark.parametrize("wrong", [0, 6, -1, 4.0, True, "4", [4]])
def test_an_answer_off_the_scale_is_refused_by_item_and_never_by_value(wrong):
    with pytest.raises(Invalid) as refused:
        rules.check_answers(a_key(), {"q1": wrong})
    assert refused.value.facts == {
        "field": "answers.q1",
        "rule": "must be a whole number between 1 and 5, or null",
    }


def test_an_unknown_item_is_refused_without_repeating_it():
    with pytest.raises(Invalid) as refused:
        rules.check_answers(a_key(), {"my teacher is": 4})
    assert "teacher" not in str(refused.value)


def test_answers_on_the_scale_and_answers_withheld_are_fine():
    rules.check_answers(a_key(), {"q1": 1, "q2": 5, "q3": None})


scales = st.builds(
    lambda lowest, width, turned: replace(
        a_key(len(turned), reversed_items=[n for n, is_turned in enumerate(turned, 1) if is_turned]),
        lowest=lowest,
        highest=lowest + width,
    ),
    st.integers(0, 1),
    st.integers(1, 6),
    st.lists(st.booleans(), min_size=1, max_size=20),
)


@st.composite
def keys_and_answers(draw):
    key = draw(scales)
    answer = st.none() | st.integers(key.lowest, key.highest)
    names = draw(st.lists(st.sampled_from([item.key for item in key.items]), unique=True))
    return key, {name: draw(answer) for name in names}


@given(scales, st.data())
def test_turning_an_answer_twice_gives_it_back(key, data):
    answer, item = data.draw(st.integers(key.lowest, key.highest)), data.draw(st.sampled_from(key.items))
    assert key.turned(item, key.turned(item, answer)) == answer


@given(keys_and_answers())
def test_means_stay_on_the_scale_and_counts_are_true(key_and_answers):
    key, answers = key_and_answers
    given_answers = sum(answer is not None for answer in answers.values())
    for score in rules.score(key, answers):
        assert key.lowest <= score.mean <= key.highest
        assert score.answered == given_answers
        assert score.prorated == (given_answers < len(key.items))
        assert score.answered * 100 >= key.answered_percent * score.items


@given(keys_and_answers(), st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(key_and_answers, random):
    key, answers = key_and_answers
    shuffled = list(answers.items())
    random.shuffle(shuffled)
    assert rules.score(key, dict(shuffled)) == rules.score(key, answers)
    assert rules.is_straight_line(key, dict(shuffled)) == rules.is_straight_line(key, answers)


@given(keys_and_answers())
def test_an_item_withheld_scores_like_an_item_left_out(key_and_answers):
    key, answers = key_and_answers
    without = {item: answer for item, answer in answers.items() if answer is not None}
    assert rules.score(key, without) == rules.score(key, answers)


@given(keys_and_answers())
def test_turning_every_item_and_every_answer_changes_no_score(key_and_answers):
    key, answers = key_and_answers
    other = replace(key, items=tuple(replace(item, reversed=not item.reversed) for item in key.items))
    turned = {item: None if answer is None else key.lowest + key.highest - answer for item, answer in answers.items()}
    assert rules.score(other, turned) == rules.score(key, answers)


@pytest.mark.parametrize(
    ("notice", "state", "may"),
    [
        (NoticeKind.CONSENT, None, False),
        (NoticeKind.CONSENT, ConsentState.CONSENTED, True),
        (NoticeKind.CONSENT, ConsentState.OPTED_OUT, False),
        (NoticeKind.CONSENT, ConsentState.WITHDRAWN, False),
        (NoticeKind.OPT_OUT, None, True),
        (NoticeKind.OPT_OUT, ConsentState.CONSENTED, True),
        (NoticeKind.OPT_OUT, ConsentState.OPTED_OUT, False),
        (NoticeKind.OPT_OUT, ConsentState.WITHDRAWN, False),
    ],
)
def test_the_notice_decides_what_a_student_needs(notice, state, may):
    assert rules.may_answer(notice, state) is may


@pytest.mark.parametrize(
    ("today", "stage"),
    [
        (OPENS - timedelta(1), Stage.PLANNED),
        (OPENS, Stage.OPEN),
        (CLOSES, Stage.OPEN),
        (CLOSES + timedelta(1), Stage.CLOSED),
    ],
)
def test_a_window_is_open_from_its_first_to_its_last_day(today, stage):
    assert Window(OPENS, CLOSES, NoticeKind.OPT_OUT).stage(today) is stage


def test_a_window_without_notice_never_opens():
    window = Window(OPENS, CLOSES, None)
    assert window.stage(OPENS) is Stage.AWAITING_NOTICE
    with pytest.raises(rules.NoticeMissing):
        window.told()


def test_families_are_told_before_a_window_opens():
    window = Window(OPENS, CLOSES, NoticeKind.CONSENT)
    window.check_notice(OPENS)
    with pytest.raises(rules.NoticeTooLate):
        window.check_notice(OPENS + timedelta(1))
    assert window.told() is NoticeKind.CONSENT


@pytest.mark.parametrize("on", [OPENS - timedelta(1), CLOSES + timedelta(1), OPENS + timedelta(4)])
def test_an_answer_outside_the_window_or_in_the_future_is_refused(on):
    with pytest.raises(rules.AnsweredOutsideWindow):
        Window(OPENS, CLOSES, NoticeKind.OPT_OUT).check_answered(on, today=OPENS + timedelta(3))


def test_an_answer_of_a_day_of_the_window_is_accepted_after_it_closed():
    Window(OPENS, CLOSES, NoticeKind.OPT_OUT).check_answered(CLOSES, today=CLOSES + timedelta(30))


@pytest.mark.parametrize(
    ("stage", "facts", "leads_to"),
    [
        (Stage.OPEN, {}, Door.OPEN),
        (Stage.PLANNED, {}, Door.NOT_YET),
        (Stage.CLOSED, {}, Door.CLOSED),
        (Stage.OPEN, {"answered": True}, Door.ANSWERED),
        (Stage.OPEN, {"allowed": False}, Door.GONE),
        (Stage.OPEN, {"enrolled": False}, Door.GONE),
        (Stage.AWAITING_NOTICE, {}, Door.GONE),
    ],
)
def test_what_a_link_leads_to(stage, facts, leads_to):
    usual = {"answered": False, "allowed": True, "enrolled": True}
    assert rules.door(stage, **usual | facts) is leads_to


@pytest.mark.parametrize(
    ("enrolments", "school"),
    [
        ([], None),
        ([Enrolment("no-show", OPENS, OPENS)], None),
        ([Enrolment("old", date(2026, 8, 1), date(2026, 9, 1)), Enrolment("new", date(2026, 9, 2))], "new"),
        ([Enrolment("first", date(2026, 8, 1)), Enrolment("second", date(2026, 9, 1), primary=False)], "first"),
        ([Enrolment("first", date(2026, 8, 1)), Enrolment("later", date(2026, 9, 1))], "later"),
        ([Enrolment("left", date(2026, 8, 1), date(2026, 10, 6))], "left"),
        ([Enrolment("not yet", date(2026, 10, 9))], "not yet"),
    ],
)
def test_the_school_an_answer_belongs_to(enrolments, school):
    assert rules.school_on(enrolments, date(2026, 10, 7)) == school


def test_a_no_show_covers_no_day():
    assert not Enrolment("school", OPENS, OPENS).covers(OPENS)
    assert Enrolment("school", OPENS, CLOSES).covers(CLOSES)


def test_news_are_told_from_repeats_one_after_the_other():
    said = [("ann", 1), ("ann", 2), ("ann", 2), ("bo", 7), ("cy", 1)]
    assert rules.news({"ann": 1, "bo": 5}, said) == [False, True, False, True, True]


@pytest.mark.parametrize("instrument", instruments().values(), ids=lambda one: one.key)
class TestInstruments:
    def test_says_that_nobody_has_validated_it(self, instrument: Instrument):
        assert instrument.status == "unvalidated"
        assert instrument.scoring.source

    def test_can_be_answered_in_every_language(self, instrument: Instrument):
        assert instrument.languages == ["en", "es"]

    def test_has_no_item_twice(self, instrument: Instrument):
        keys = [item.key for item in instrument.items]
        assert len(set(keys)) == len(keys)


def test_our_instrument_has_two_items_for_each_subscale_and_one_is_reversed():
    assert {name: len(items) for name, items in OURS.subscales().items()} == {
        "adult_support": 2,
        "peer_support": 2,
        "belonging": 2,
        "feeling_heard": 2,
    }
    assert [item.key for item in OURS.items if item.reversed] == ["peer_support_2"]


def test_whether_there_is_an_adult_is_one_yes_or_no_scored_by_itself():
    key = instrument_named("belonging-9").scoring_key()
    assert {item.key for item in key.items} == {item.key for item in OURS.items} | {"trusted_adult"}
    scores = [[(one.mean, one.prorated) for one in rules.score(key, {"trusted_adult": said})] for said in (1, 2, None)]
    assert scores == [[(1.0, False)], [(2.0, False)], []]
    with pytest.raises(Invalid) as refused:
        rules.check_answers(key, {"trusted_adult": 3})
    assert refused.value.facts["rule"] == "must be a whole number between 1 and 2, or null"


def test_a_yes_does_not_hide_that_all_other_answers_are_the_same():
    key = instrument_named("belonging-9").scoring_key()
    assert rules.is_straight_line(key, {item.key: 4 for item in OURS.items} | {"trusted_adult": 2})
    assert not rules.is_straight_line(key, {item.key: 2 for item in OURS.items[:5]} | {"trusted_adult": 2})


def test_a_reversed_item_is_turned_on_its_own_scale():
    item = Item("alone", "belonging", reversed=True, ends=(1, 2))
    (score,) = rules.score(replace(a_key(), items=(item,)), {"alone": 1})
    assert score.mean == 2.0


def test_an_unknown_instrument_is_refused_by_field():
    with pytest.raises(Invalid, match="belonging-8"):
        instrument_named("phq-9")


@pytest.mark.parametrize(
    "change",
    [
        {"introduction": {"en": "Only English"}},
        {"scale": {"lowest": 1, "labels": {"en": ["no", "yes"], "es": ["no"]}}},
        {"subscales": ["adult_support"]},
    ],
)
def test_an_incomplete_instrument_is_refused(change):
    with pytest.raises(ValueError, match=r"every language|differ"):
        Instrument.model_validate(instrument_named("belonging-8").model_dump() | change)


@pytest.mark.parametrize("on", [date(1999, 12, 31), CLOSES + timedelta(days=1)])
def test_consent_cannot_be_of_the_last_century_or_of_tomorrow(on: date) -> None:
    with pytest.raises(rules.ConsentDayImpossible):
        rules.check_said(on, today=CLOSES, earliest=EARLIEST)


@pytest.mark.parametrize("on", [date(2000, 1, 1), CLOSES])
def test_consent_of_today_or_long_ago_is_heard(on: date) -> None:
    rules.check_said(on, today=CLOSES, earliest=EARLIEST)


def test_every_number_of_the_policy_has_its_source():
    assert read_policy(tomllib.loads('version = "x"\n' + SOURCED)).earliest_said_on == EARLIEST
    with pytest.raises(ValueError, match="without a source: answered_percent_at_least"):
        read_policy(tomllib.loads('version = "x"\n' + SOURCED.replace('source = "b"', "")))


def test_no_instrument_scores_a_subscale_on_fewer_answers_than_the_district_allows():
    scoring = {"answered_percent": POLICY.answered_percent_at_least - 1}
    ours = instrument_named("belonging-8").model_dump()

    with pytest.raises(ValueError, match="never_below_percent"):
        Instrument.model_validate(ours | {"scoring": ours["scoring"] | scoring}).scoring_key()
