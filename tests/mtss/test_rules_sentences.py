"""What is said of a decision, to whom and how hard it is to read."""

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from itertools import product
from typing import Any, get_args

import pytest

from common.events import Tier
from mtss.rules import (
    Audience,
    Course,
    Held,
    Language,
    always,
    asks_a_person,
    course_of,
    documents,
    follow,
    policy_of,
    seen_again,
    what_would_change,
    words_of,
)
from mtss.rules.coming import what_may_change
from mtss.rules.sentences import WORDS, Seen
from mtss.rules.signals import SIGNALS
from tests.mtss.made_up import STUDENT, School, facts_of, policy, school_days
from tests.mtss.test_rules_adult import NOBODY, TWICE
from tests.mtss.test_rules_excluded import EXCLUDED, EXCLUDED_LATELY
from tests.mtss.test_rules_excluded import FIRST_SCHOOL_DAYS as EXCLUDED_FIRST
from tests.mtss.test_rules_excluded import LAST_SCHOOL_DAYS as EXCLUDED_LAST
from tests.mtss.test_rules_longest import DROP, LONGEST
from tests.mtss.test_rules_marks import MARKS, WITH_EXIT, F, P
from tests.mtss.test_rules_policy import ATTENDANCE, changed, number
from tests.mtss.test_rules_tardies import FIRST_SCHOOL_DAYS, LAST_SCHOOL_DAYS, LATELY, TARDIES, late

SCHOOL = School(days=school_days(60))
STREAK = changed(
    ATTENDANCE,
    {
        "signal": "absence_streak",
        "counts": "all",
        "entry": {"at_least": number(3)},
        "exit": {"below": number(1), "days_in_a_row": number(5)},
        "when_unknown": "hold",
    },
)
UNEXCUSED = changed(f"{ATTENDANCE}/counts", "unexcused")
DOCUMENTS = (
    None,
    STREAK,
    LONGEST,
    DROP,
    UNEXCUSED,
    TARDIES,
    LATELY,
    EXCLUDED,
    EXCLUDED_LATELY,
    NOBODY,
    TWICE,
    FIRST_SCHOOL_DAYS,
    LAST_SCHOOL_DAYS,
    EXCLUDED_FIRST,
    EXCLUDED_LAST,
    MARKS,
    WITH_EXIT,
)
LANGUAGES, AUDIENCES = get_args(Language), get_args(Audience)
MISSED = [SCHOOL.absent(0), SCHOOL.absent(1), SCHOOL.absent(2, hundredths=50)]
REFERRED = [SCHOOL.refers(3, 1), SCHOOL.refers(4, 2)]
SITUATIONS: dict[str, tuple[int, list[Any]]] = {
    "nothing is known": (5, []),
    "all goes well": (30, [SCHOOL.scores(3, 4.0), SCHOOL.absent(3)]),
    "some days were missed": (30, [SCHOOL.absent(24), SCHOOL.absent(28)]),
    "all stands": (30, [*MISSED, *REFERRED, SCHOOL.scores(3, 2.0)]),
    "the year is nearly over": (58, [SCHOOL.absent(30 + day) for day in range(8)] + REFERRED),
    "days were missed in a row": (30, [SCHOOL.absent(day) for day in (27, 28, 29)]),
    "the last days were missed": (60, [SCHOOL.absent(day) for day in (57, 58, 59)]),
    "the year is over": (60, [*MISSED, SCHOOL.scores(3, 2.0, prorated=True)]),
    "the second survey is lower": (30, [SCHOOL.scores(3, 4.0, window=1), SCHOOL.scores(9, 2.0, window=2)]),
    "the second survey is no lower": (30, [SCHOOL.scores(3, 3.0, window=1), SCHOOL.scores(9, 4.0, window=2)]),
    "some days were begun late": (30, [late(day, SCHOOL) for day in (25, 27, 28, 29)]),
    "no adult was named": (30, [SCHOOL.scores(3, 1.0)]),
    "the student was excluded": (30, [SCHOOL.excludes(27, 1, 2.5)]),
    "some courses were not passed": (30, SCHOOL.marks(3, F, F, P)),
    "most courses were passed": (30, SCHOOL.marks(3, F, P, P, P)),
    "some days were implied": (30, [*MISSED, *SCHOOL.closes(30, implied=True)]),
}


def course(situation: str, document: Any = None) -> Course:
    through, said = SITUATIONS[situation]
    in_force = always(policy() if document is None else policy_of(document))
    facts = facts_of([SCHOOL.calendar(), SCHOOL.enrols(), *SCHOOL.closes_through(through), *said], [STUDENT])
    courses = follow(facts, in_force)
    return course_of(facts, courses, 0, what_may_change(facts, courses, in_force, [0])[0])


def told(situation: str, document: Any = None) -> tuple[Tier, list[Seen]]:
    found = course(situation, document)
    return told_of(found, found.day(-1).tier)


def told_of(found: Course, tier: Tier) -> tuple[Tier, list[Seen]]:
    return tier, seen_again(found.policy, documents(found.clauses()), tier)


def words(situation: str, audience: Audience, language: Language, document: Any = None) -> Any:
    return words_of(*told(situation, document), audience, language)


@cache
def everything_told() -> list[tuple[Tier, list[Seen]]]:
    """By the facts, and had a person accepted intensive support: it stands until a person ends it, whatever the facts say."""
    courses = [course(situation, document) for situation, document in product(SITUATIONS, DOCUMENTS)]
    return [told_of(found, tier) for found in courses for tier in (found.day(-1).tier, Tier.INTENSIVE)]


def sentences(audience: Audience, language: Language) -> Iterator[str]:
    for tier, seen in everything_told():
        said = words_of(tier, seen, audience, language)
        yield from (said.opening, *said.strengths, *said.grounds, *said.unknown, *said.changes, said.closing)


def test_what_goes_well_comes_first_and_what_stands_is_told_without_blame() -> None:
    said = words("all stands", "parent", "en")
    assert said.strengths == ("You know best what your child enjoys and does well. We would like to hear it from you.",)
    assert said.grounds[0].startswith("Your child was in school on 27.5 of 30 school days.")
    assert said.changes[0] == (
        "If your child is in school each day, this support may end on October 28, 2024. That is 21 school days from now."
    )
    well = words("all goes well", "student", "es")
    assert well.strengths[0] == "Viniste 29 de 30 días de clase. ¡Muy bien!"
    assert well.changes[0] == "Si faltas 3 días de clase más, te ofreceremos más ayuda."


def test_staff_too_read_the_strength_and_not_what_was_missed() -> None:
    assert words("all goes well", "staff", "en").strengths == (
        "29 of 30 school days of this school year were attended, counted through September 27, 2024.",
        "In the survey of August 22, 2024 the average of the answers about adults at school was 4, above 2.5 (2 questions answered).",
        "Fewer than 2 referrals to the office in this school year: 0, counted through September 27, 2024.",
    )


def test_who_counts_only_some_absences_says_nothing_of_days_in_school() -> None:
    well = words("all goes well", "parent", "en", UNEXCUSED).strengths[0]
    assert well == "On 29 of 30 school days your child missed nothing without an excuse. That is a strength."
    missed = words("all stands", "student", "es", UNEXCUSED).grounds[0]
    assert missed.startswith("Faltaste sin excusa 2.5 de 30 días de clase.")


@pytest.mark.parametrize(
    ("audience", "language", "said", "praise"),
    [
        ("parent", "en", "Your child was in school on {} of 30 school days.", " That is a strength."),
        ("student", "en", "You were at school on {} of 30 school days.", " That is great."),
        ("parent", "es", "Su hijo o hija vino {} de 30 días de clase.", " Eso es muy bueno."),
        ("student", "es", "Viniste {} de 30 días de clase.", " ¡Muy bien!"),
    ],
)
def test_attendance_is_praised_only_where_no_band_has_it_looked_at(
    audience: Audience, language: Language, said: str, praise: str
) -> None:
    # 2 of 30 is more than the 5 percent from which the default policy has somebody look at it.
    assert words("all goes well", audience, language).strengths[0] == said.format(29) + praise
    assert words("some days were missed", audience, language).strengths[0] == said.format(28)


def test_a_student_without_a_tier_is_told_that_it_is_too_early() -> None:
    assert words_of(None, (), "student", "es").opening.startswith("Vamos a revisar otra vez")


def test_staff_read_the_rule_and_the_least_in_both_languages() -> None:
    assert words("all stands", "staff", "en").changes[0].endswith("that is 21 school days away, on October 28, 2024.")
    assert (
        words("all stands", "staff", "es")
        .changes[0]
        .endswith("será dentro de 21 días de clase: el 28 de octubre de 2024.")
    )
    nearly = words("the year is nearly over", "staff", "en").changes
    assert nearly[0].endswith("What is left of this school year (2 school days) is not enough for that.")
    assert "no list" in " ".join(words("some days were implied", "staff", "en").grounds)
    assert "in part" in words("the year is over", "staff", "en").unknown[0]


@pytest.mark.parametrize("signal", sorted(SIGNALS))
def test_of_a_single_day_nothing_is_said_as_of_several(signal: str) -> None:
    # "Faltan 1 día", "the 1 school day left are": a verb of several must not stand beside a number that may be one.
    said = repr(SIGNALS[signal].words)
    assert not re.search(r"(?:altan|uedan) \{(?:least|left):|\{(?:least|left):school_day\}[^.\"]* are ", said)


def test_a_decision_of_before_numbers_and_changes_were_kept_is_told_by_the_rule_alone() -> None:
    found = course("all stands")
    older = [{k: v for k, v in each.items() if k not in ("numbers", "change")} for each in documents(found.clauses())]
    said = words_of(Tier.TARGETED, seen_again(found.policy, older, Tier.TARGETED), "staff", "en")
    assert said.changes[0].endswith("less than 8 percent of these school days were missed.")


@pytest.mark.parametrize(("audience", "language"), list(product(AUDIENCES, LANGUAGES)))
def test_an_override_is_told_first_with_its_end_and_then_what_the_facts_would_do(
    audience: Audience, language: Language
) -> None:
    found = course("all goes well")
    _, seen = told_of(found, Tier.UNIVERSAL)
    said = words_of(Tier.TARGETED, seen, audience, language, Held(date(2024, 12, 20), Tier.UNIVERSAL))
    assert ("December 20, 2024" if language == "en" else "20 de diciembre de 2024") in said.changes[0]
    by_the_facts = words_of(Tier.UNIVERSAL, seen, audience, language).changes
    assert said.changes[1:] == (by_the_facts if audience == "staff" else ())
    if (audience, language) == ("parent", "en"):
        assert grade(said.changes[0]) <= WORDS["levels"]["parent"]["en"]
    if (audience, language) == ("student", "es"):
        assert ease(said.changes[0]) >= WORDS["levels"]["student"]["es"]


@pytest.mark.parametrize(("audience", "language"), list(product(AUDIENCES, LANGUAGES)))
def test_whose_tier_a_person_set_lower_is_not_told_of_more_help_or_of_its_end(
    audience: Audience, language: Language
) -> None:
    found = course("all stands")
    _, seen = told_of(found, Tier.TARGETED)
    said = words_of(Tier.UNIVERSAL, seen, audience, language, Held(date(2024, 12, 20), Tier.TARGETED))
    assert said.opening == WORDS[language][audience]["opening"]["universal"]
    assert (len(said.grounds), len(said.changes)) == ((3, 4) if audience == "staff" else (0, 1))


def test_staff_read_what_an_override_and_a_proposal_mean_for_the_tier() -> None:
    found = course("all goes well")
    clauses, held = found.clauses(), Held(date(2024, 12, 20), Tier.UNIVERSAL)
    said = what_would_change(Tier.TARGETED, clauses, found.policy, held)
    assert said.startswith("A person decided this tier. It stands until December 20, 2024 whatever the facts say")
    assert "Extra support begins once 10 percent" in said
    assert what_would_change(Tier.TARGETED, clauses, found.policy, held, partly=True) == said
    asks = "a person is asked, who decides."
    assert what_would_change(Tier.INTENSIVE, clauses, found.policy).endswith(asks)
    proposed = course("all goes well", changed("tiers/targeted/entry", "proposed"))
    assert what_would_change(Tier.UNIVERSAL, proposed.clauses(), proposed.policy).endswith(asks)
    assert words_of(Tier.UNIVERSAL, (), "staff", "en", asks=True).changes[0].endswith(asks)
    assert not asks_a_person(found.policy, None)


def test_intensive_support_is_told_by_the_ends_of_the_grounds_that_it_rests_on() -> None:
    found = course("all stands")
    said = what_would_change(Tier.INTENSIVE, found.clauses(), found.policy)
    assert said.startswith(
        "Intensive support stands until too few of its grounds are left. This ends after 20 school days in a row on which less "
        "than 8 percent of these school days were missed."
    )
    assert said.endswith("When that is so, a person is asked, who decides.")
    some = [each for each in found.clauses() if each.clause != "referrals"]
    for told in (said, what_would_change(Tier.INTENSIVE, some, found.policy, partly=True)):
        assert "begins" not in told
        assert told.count("This ends after 20 school days in a row") == 1
    ended = course("all goes well")
    assert what_would_change(Tier.INTENSIVE, ended.clauses(), ended.policy) == (
        "Intensive support stands until too few of its grounds are left. When that is so, a person is asked, who decides."
    )


def test_what_intensive_support_alone_rests_on_is_told_to_those_who_have_it() -> None:
    found = course("all stands", changed("tiers/targeted/when/any", ["attendance", "adult_support"]))
    targeted, intensive = (words_of(*told_of(found, tier), "staff", "en") for tier in (Tier.TARGETED, Tier.INTENSIVE))
    referred = "2 referrals to the office in this school year, counted through September 27, 2024."
    assert intensive.grounds == (*targeted.grounds, referred)
    assert len(intensive.changes) == len(targeted.changes) + 1


def test_a_heavier_ground_that_does_not_stand_is_no_strength_beside_the_lighter_one_that_does() -> None:
    said = words_of(*told_of(course("all stands"), Tier.INTENSIVE), "staff", "en")
    assert (len(said.grounds), said.strengths, said.unknown) == (3, (), ())


def test_a_clause_says_whether_support_follows_from_it_or_a_question_to_a_person() -> None:
    def begins(document: Any = None) -> dict[str, str]:
        return {each.clause: each.what_would_change_it for each in course("all goes well", document).clauses()}

    said = begins()
    assert said["referrals"].startswith("Extra support begins after 2 referrals in this school year.")
    asked = "A person at school is asked about more support"
    assert said["severe_referrals"].startswith(f"{asked} after 6 referrals in this school year.")
    assert said["severe_attendance"].startswith(f"{asked} once 20 percent or more of these school days were missed.")
    both = begins(changed("tiers/targeted/when/any", ["attendance", "adult_support", "referrals", "severe_referrals"]))
    assert both["severe_referrals"].startswith("Extra support begins after 6 referrals")
    proposed = changed("tiers/targeted/entry", "proposed")
    assert all(each.startswith(asked) for each in begins(proposed).values())
    spanish = words("all goes well", "staff", "es", proposed).changes[0]
    assert spanish.startswith("Se pregunta por más apoyo a una persona de la escuela cuando falta a un 10 por ciento")


def test_a_clause_without_an_exit_lapses_in_words_too() -> None:
    said = words("the year is nearly over", "staff", "en", changed(f"{ATTENDANCE}/exit", ...))
    assert said.changes[0].startswith("This ends once less than 10 percent")


def test_a_streak_is_told_in_days_in_a_row() -> None:
    said = words("days were missed in a row", "staff", "en", STREAK)
    assert said.grounds == ("3 school days in a row, up to September 27, 2024, were missed, for whatever reason.",)
    assert said.changes[0].endswith("With every coming day attended that is 5 school days away, on October 4, 2024.")


def test_a_drop_is_told_with_both_surveys() -> None:
    said, *_ = words("the second survey is lower", "staff", "en", DROP).grounds
    assert said == (
        "Between the surveys of August 22, 2024 and August 30, 2024 the average of the answers about adults at school fell from "
        "4 to 2, more than chance explains."
    )


def test_late_days_are_told_in_their_window() -> None:
    assert words("some days were begun late", "staff", "en", TARDIES).grounds == (
        "4 late arrivals in this school year, counted through September 27, 2024.",
    )
    few = words("all goes well", "staff", "en", FIRST_SCHOOL_DAYS)
    assert few.strengths[0].startswith("Fewer than 3 late arrivals in the first 5 school days of this school year: 0")
    assert "in the last 5 school days" in words("all goes well", "staff", "en", LAST_SCHOOL_DAYS).strengths[0]
    assert (
        words("some days were begun late", "parent", "es", LATELY)
        .grounds[0]
        .startswith("Su hijo o hija llegó tarde 4 días.")
    )
    assert words("all goes well", "student", "en", LATELY).strengths[0].startswith("You come to school on time")


def test_days_of_exclusion_are_told_by_their_number_and_not_by_what_was_done() -> None:
    said = words("the student was excluded", "staff", "en", EXCLUDED)
    assert said.grounds == ("2.5 days of exclusion in this school year, counted through September 27, 2024.",)
    told = words("the student was excluded", "student", "es", EXCLUDED_LATELY).grounds[0]
    assert told == "Estuviste fuera de clase 2.5 días. Te queremos aquí. Dinos qué te ayudaría."


def test_who_named_no_adult_is_not_told_so_as_a_strength_where_that_is_too_seldom_to_count() -> None:
    assert words("no adult was named", "student", "en", NOBODY).grounds[0].startswith("You told us that there is no")
    few = words("no adult was named", "staff", "en", TWICE).strengths
    assert few[0].endswith("no adult at school to go to was named: fewer than 2 surveys.")
    told = words("no adult was named", "parent", "es", TWICE).strengths
    assert not [each for each in told if "adulto" in each]


def test_what_is_counted_is_told_in_the_singular_where_it_is_one() -> None:
    bare = [
        (name, language, audience, said)
        for name, signal in SIGNALS.items()
        for language, audience in product(LANGUAGES, AUDIENCES)
        for said in re.findall(r"{\w+} (?:more )?(?:times|veces)", str(signal.words[language][audience]))
    ]
    assert bare == []


def test_every_language_says_the_same_to_the_same_people() -> None:
    def keys(of: Any, at: str = "") -> set[str]:
        return (
            {at}
            if not isinstance(of, dict)
            else set().union(*(keys(each, f"{at}.{name}") for name, each in of.items()))
        )

    english, spanish = (keys(WORDS[language]) for language in LANGUAGES)
    assert english == spanish
    for name, signal in SIGNALS.items():
        english, spanish = (keys(signal.words[language]) for language in LANGUAGES)
        assert english == spanish, name
        for audience in AUDIENCES:
            assert {"clear", "stands", "unknown"} <= signal.words["en"][audience].keys()


@pytest.mark.parametrize(("audience", "language"), list(product(("parent", "student"), LANGUAGES)))
def test_sentences_speak_of_nobody_as_at_risk_or_at_fault(audience: Audience, language: Language) -> None:
    blaming = r"at risk|fail|problem|bad |truan|refus|fault|blame|tier|riesgo|fracas|problema|mala |culpa|nivel"
    said = [each for each in sentences(audience, language) if not re.search(r"did nothing wrong|nada malo", each)]
    assert not [each for each in said if re.search(blaming, each.lower())]


@pytest.mark.parametrize("audience", ["parent", "student"])
def test_every_english_sentence_is_as_easy_to_read_as_it_is_said_to_be(audience: Audience) -> None:
    most = WORDS["levels"][audience]["en"]
    assert [each for each in sentences(audience, "en") if grade(each) > most] == []


@pytest.mark.parametrize("audience", ["parent", "student"])
def test_every_spanish_sentence_is_as_easy_to_read_as_it_is_said_to_be(audience: Audience) -> None:
    least = WORDS["levels"][audience]["es"]
    assert [each for each in sentences(audience, "es") if ease(each) < least] == []


def test_the_measures_tell_hard_from_easy() -> None:
    hard = "Chronic absenteeism necessitates individualized intervention notwithstanding extenuating circumstances."
    difficult = "La inasistencia reiterada determina intervenciones individualizadas independientemente de circunstancias atenuantes."
    assert grade(hard) > 12
    assert grade("The cat sat on the mat.") < 2
    assert ease(difficult) < 40
    assert ease("El gato come pan. La niña ve el sol.") > 80


def grade(text: str) -> float:
    """The Flesch-Kincaid grade (Kincaid et al. 1975): 0.39 words a sentence + 11.8 syllables a word - 15.59."""
    words = re.findall(r"[a-z]+", text.lower())
    ends = len(re.findall(r"[.!?](?:\s|$)", text))
    syllables = sum(max(len(re.findall(r"[aeiouy]+", re.sub(r"(?<![aeioul])es?$", "", each))), 1) for each in words)
    return 0.39 * len(words) / ends + 11.8 * syllables / len(words) - 15.59


def ease(text: str) -> float:
    """Szigriszt-Pazos' perspicuity (1993): 206.835 - 62.3 syllables a word - words a sentence."""
    words = re.findall(r"[a-záéíóúüñ]+", text.lower())
    ends = len(re.findall(r"[.!?](?:\s|$)", text))
    # A vowel that is strong or stressed begins a syllable of its own; i and u beside one belong to it.
    syllables = sum(
        max(len(re.findall(r"[iuü]*[aeoáéíóú][iuy]?|[iuü]+|y$", re.sub("[qg]u(?=[eiéí])", "q", each))), 1)
        for each in words
    )
    return 206.835 - 62.3 * syllables / len(words) - len(words) / ends
