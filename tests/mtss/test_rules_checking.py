"""The checker: one refusal each, by its place and without repeating a value."""

import json
from typing import Any

import pytest

from mtss.rules.policy.checking import Finding, check
from mtss.rules.policy.reading import REVIEW
from mtss.rules.signals import SIGNALS
from tests.mtss.test_rules_longest import DROP
from tests.mtss.test_rules_policy import ATTENDANCE, ENTRY, TEXT, changed, number
from tests.mtss.test_rules_tardies import LATELY

ENTRY_PATH = ENTRY.replace("/", ".")
SECRET = "SECRETVAL"  # pragma: allowlist secret


def refusals(document: Any) -> list[tuple[str, str]]:
    return [(each.field, each.rule) for each in check(document)]


def refused(document: Any, field: str, words: str) -> None:
    """Exactly one reason, there, in words that hold these."""
    ((at, rule),) = refusals(document)
    assert (at, words in rule) == (field, True), (at, rule)


def with_variant(changes: dict[str, Any], *grades: str, name: str = "some", **parts: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(TEXT)
    return document | {"variants": [{"name": name, "grades": list(grades), "changes": changes}]} | parts


def test_nothing_is_wrong_with_the_default_policy() -> None:
    assert check(json.loads(TEXT)) == ()


def test_what_cannot_be_read_is_one_finding() -> None:
    assert check({"language": 2}) == (Finding("the file", "lacks clauses, tiers, title, version"),)


@pytest.mark.parametrize("clause", ["referrals"])
def test_a_person_cannot_be_asked_about_what_is_always_known(clause: str) -> None:
    refused(changed(f"clauses/{clause}/when_unknown", "ask"), f"clauses.{clause}.when_unknown", "asks nobody")


def test_of_which_signals_something_is_always_known() -> None:
    always = {name for name, signal in SIGNALS.items() if signal.always_known}
    assert always == {"absence_streak", "excluded_days", "help_requested", "longest_streak", "referrals"}


# A clause that can never hold, or always


@pytest.mark.parametrize("share", [0, 100])
def test_a_share_that_nobody_or_everybody_reaches(share: int) -> None:
    refused(changed(ENTRY, number(share)), "clauses.attendance.entry.at_least", "from 0.1 to 99.9")


@pytest.mark.parametrize("mean", [5, 7])
def test_a_mean_that_every_answer_is_under(mean: int) -> None:
    entry = "clauses.adult_support.entry.at_most"
    refused(changed(entry.replace(".", "/"), number(mean)), entry, "always")
    of_any_scale = changed(entry.replace(".", "/"), number(mean))
    del of_any_scale["clauses"]["adult_support"]["scale"]
    assert len(check(of_any_scale)) == (mean == 7)


def test_a_mean_that_no_answer_is_above() -> None:
    document = changed("clauses/adult_support/exit", {"above": number(5)})
    refused(document, "clauses.adult_support.exit.above", "never ends")


def test_more_days_begun_late_than_the_window_has() -> None:
    for entry, findings in ((7, 0), (8, 1)):
        document = changed(ATTENDANCE, LATELY["clauses"]["attendance"] | {"entry": {"at_least": number(entry)}})
        assert [each.field for each in check(document)] == ["clauses.attendance.entry.at_least"] * findings


@pytest.mark.parametrize(("sd", "most", "reached", "beyond"), [(0.8, 5, 8.33, 8.34), (1.5, None, 6.66, 6.67)])
def test_a_drop_that_is_wider_than_the_scale(sd: float, most: int | None, reached: float, beyond: float) -> None:
    """With a reliability of 0.82 the unit is 0.6 of the SD; means are at most 4 apart on a scale to 5, and 6 on any."""
    for entry, findings in ((reached, 0), (beyond, 1)):
        scale = {"sd": number(sd), "reliability": number(0.82)} | ({"most": number(most)} if most else {})
        drop = DROP["clauses"]["attendance"] | {"scale": scale, "entry": {"at_least": number(entry)}}
        assert [each.field for each in check(changed(ATTENDANCE, drop))] == [
            "clauses.attendance.entry.at_least"
        ] * findings


@pytest.mark.parametrize("window", ["first_days", "last_days"])
def test_a_window_shorter_than_its_minimum_data(window: str) -> None:
    document = changed(f"{ATTENDANCE}/window", window)
    document["clauses"]["attendance"]["window_days"] = number(19)
    refused(document, "clauses.attendance.minimum_data.enrolled_days", "never")


@pytest.mark.parametrize(("clause", "window"), [("attendance", "first_days"), ("referrals", "last_days")])
def test_a_window_without_the_length_that_it_needs(clause: str, window: str) -> None:
    document = changed(f"clauses/{clause}/window", window)
    refused(document, f"clauses.{clause}.window_days", "missing")


@pytest.mark.parametrize("clause", ["attendance", "referrals"])
def test_a_length_where_the_window_has_none(clause: str) -> None:
    refused(changed(f"clauses/{clause}/window_days", number(30)), f"clauses.{clause}.window_days", "means nothing")


# Its exit, its minimum data, its bands


@pytest.mark.parametrize("share", [10, 12])
def test_an_exit_at_or_above_its_entry(share: int) -> None:
    refused(changed(f"{ATTENDANCE}/exit/below", number(share)), "clauses.attendance.exit.below", "below the entry")


@pytest.mark.parametrize("mean", [2.5, 2])
def test_an_exit_at_or_below_an_entry_that_counts_downwards(mean: float) -> None:
    document = changed("clauses/adult_support/exit", {"above": number(mean)})
    refused(document, "clauses.adult_support.exit.above", "above the entry")


def test_an_exit_above_an_entry_that_counts_downwards_is_taken() -> None:
    assert check(changed("clauses/adult_support/exit", {"above": number(3)})) == ()


def test_days_in_a_row_of_no_exit() -> None:
    refused(changed(f"{ATTENDANCE}/exit", {"days_in_a_row": number(5)}), "clauses.attendance.exit", "exit.below")


def test_no_minimum_data_where_the_signal_needs_it() -> None:
    document = changed(f"{ATTENDANCE}/minimum_data", {})
    refused(document, "clauses.attendance.minimum_data.enrolled_days", "missing")


def test_days_of_a_school_year_that_no_school_year_has() -> None:
    minimum, streak = "clauses.attendance.minimum_data.enrolled_days", "clauses.away.entry.at_least"
    for signal in ("absence_streak", "longest_streak"):
        document = json.loads(TEXT)
        document["tiers"]["targeted"]["when"]["any"].append("away")
        document["clauses"]["away"] = {
            "signal": signal,
            "counts": "all",
            "entry": {"at_least": number(186)},
            "when_unknown": "hold",
        }
        assert check(document) == ()
        document["clauses"]["away"]["entry"]["at_least"] = number(187)
        refused(document, streak, "no school year")
    assert check(changed(minimum.replace(".", "/"), number(186))) == ()
    long = changed(minimum.replace(".", "/"), number(187))
    refused(long, minimum, "no school year")
    # The last 200 days are of more than one school year.
    long["clauses"]["attendance"] |= {"window": "last_days", "window_days": number(200)}
    assert check(long) == ()


@pytest.mark.parametrize("watch", [10, 11])
def test_bands_that_overlap_or_stand_in_disorder(watch: int) -> None:
    refused(changed(f"{ATTENDANCE}/bands/watch", number(watch)), "clauses.attendance.bands.targeted", "overlaps")


def test_a_number_without_a_source() -> None:
    refused(changed(ENTRY, {"value": 9, "unit": "percent"}), "clauses.attendance.entry.at_least", "a source")
    refused(changed(ENTRY, number(9, source=" ")), "clauses.attendance.entry.at_least.source", "a text")


@pytest.mark.parametrize(("soon", "most"), [(5, 5), (10, 5)])
def test_an_override_that_ends_soon_from_its_first_day_on(soon: int, most: int) -> None:
    document = changed("review/override_ends_soon", number(soon))
    document["review"]["override_at_most"] = number(most)
    refused(document, "review.override_ends_soon", "below")


def test_a_deadline_that_nobody_set() -> None:
    refused(changed("review/help_answered", ...), "review.help_answered", "is missing")
    assert len(check(changed("review", ...))) == len(REVIEW)


# Tiers


def test_a_clause_that_no_tier_uses() -> None:
    document = changed("clauses/spare", json.loads(TEXT)["clauses"]["referrals"])
    refused(document, "clauses.spare", "no tier")


@pytest.mark.parametrize("join", ["any", "all"])
def test_a_clause_that_is_named_twice_in_one_list(join: str) -> None:
    listed = ["attendance", "adult_support", "referrals", "attendance"]
    refused(changed("tiers/targeted/when", {join: listed}), f"tiers.targeted.when.{join}", "twice")


def test_a_clause_that_is_counted_twice() -> None:
    document = json.loads(TEXT)
    document["tiers"]["intensive"]["when"]["any"][2]["of"] = ["attendance", "attendance", "referrals"]
    refused(document, "tiers.intensive.when.any[2].of", "twice")


def test_intensive_support_without_a_person() -> None:
    refused(changed("tiers/intensive/entry", "assigned"), "tiers.intensive.entry", "a person")


# What is otherwise for some


def test_grades_of_two_variants() -> None:
    variant = {"name": "a", "grades": ["Ninth grade"], "changes": {ENTRY_PATH: number(12)}}
    refused(changed("variants", [variant, variant | {"name": "b"}]), "variants[1].grades", "earlier variant")


def test_a_variant_of_an_exempt_grade() -> None:
    document = with_variant({ENTRY_PATH: number(12)}, "Preschool", exempt_grades=["Preschool"])
    refused(document, "variants[0].grades", "exempt")


def test_a_variant_of_no_grade() -> None:
    refused(with_variant({ENTRY_PATH: number(12)}), "variants[0].grades", "at least one")


def test_a_variant_that_changes_nothing() -> None:
    refused(with_variant({}, "Ninth grade"), "variants[0].changes", "at least one")
    refused(changed("schools", {"100": {}}), "schools.100", "at least one")


def test_a_variant_that_measures_otherwise() -> None:
    path = "clauses.attendance.minimum_data.enrolled_days"
    refused(with_variant({path: number(30)}, "Ninth grade"), f"variants[0].changes.{path}", "the same for everybody")


def test_a_number_of_a_variant_that_the_signal_cannot_say() -> None:
    refused(with_variant({ENTRY_PATH: number(100)}, "Ninth grade"), f"variants[0].changes.{ENTRY_PATH}", "from 0.1")


def test_what_is_wrong_only_for_some_grades() -> None:
    document = with_variant({ENTRY_PATH: number(8)}, "Ninth grade")
    refused(document, "variants[0].clauses.attendance.exit.below", "below the entry")


def test_what_is_wrong_for_all_is_said_once() -> None:
    document = with_variant({"clauses.referrals.entry.at_least": number(3)}, "Ninth grade")
    document["clauses"]["attendance"]["exit"]["below"] = number(12)
    refused(document, "clauses.attendance.exit.below", "below the entry")


def test_what_is_wrong_only_for_some_grades_at_one_school() -> None:
    below = "clauses.attendance.exit.below"
    document = with_variant({ENTRY_PATH: number(9)}, "Ninth grade", schools={"100": {below: number(9)}})
    document["bounds"] = {below: {"from": number(5), "to": number(9)}}
    refused(document, f"variants[0] with schools.100.{below}", "below the entry")


def test_a_school_and_a_variant_outside_the_bounds_of_the_district() -> None:
    bounds = {ENTRY_PATH: {"from": number(9), "to": number(11)}}
    refused(
        changed("schools", {"100": {ENTRY_PATH: number(12)}}) | {"bounds": bounds},
        f"schools.100.{ENTRY_PATH}",
        "within",
    )
    document = with_variant({ENTRY_PATH: number(12)}, "Ninth grade", bounds=bounds)
    refused(document, f"variants[0].changes.{ENTRY_PATH}", "within")
    assert check(changed("schools", {"100": {ENTRY_PATH: number(11)}}) | {"bounds": bounds}) == ()


def test_a_school_that_changes_what_the_district_did_not_leave_to_schools() -> None:
    refused(changed("schools", {"100": {ENTRY_PATH: number(11)}}), f"schools.100.{ENTRY_PATH}", "no bounds")


def test_bounds_that_hold_nothing_or_not_the_district_s_own_number() -> None:
    upside_down = {ENTRY_PATH: {"from": number(12), "to": number(9)}}
    refused(changed("bounds", upside_down), f"bounds.{ENTRY_PATH}", "before it begins")
    beside = {ENTRY_PATH: {"from": number(11), "to": number(12)}}
    refused(changed("bounds", beside), f"bounds.{ENTRY_PATH}", "own number")


# What may be no input


@pytest.mark.parametrize(
    "name",
    [
        "race", "ethnicGroup", "Hispanic_students", "sex", "gender_identity", "girls", "family_income", "freeLunch",
        "FRL_status", "has_iep", "section504", "disability", "home_language", "ELL", "english_learner", "homeAddress",
        "zip_code", "immigrant_family", "special_education", "minority", "minorities", "zipcodes", "IEPs", "studentrace",
        "nativeamerican", "native_american", "freelunch", "reduced_price", "title_i", "TitleI", "foster", "fosterCare", "poor_families",
        "is_poor", "homelanguage", "ellstatus", "nonwhite", "disabilities", "genders", "raza", "género", "ingresos", "discapacidad",
        "idioma", "código_postal", "niños_pobres", "educación_especial", "inmigrantes",
        "non_binary", "women", "trans", "teen_parents", "spanish_speaker", "foreign_born", "newcomers", "middle_eastern", "MENA",
        "aapi", "deaf_students", "hearing_impaired", "wheelchair", "wic", "ebt", "mother_tongue", "surname", "county", "latitude",
        "EL_students", "elStatus", "is_el_student",
    ],
)  # fmt: skip
def test_a_clause_named_for_a_protected_trait_or_what_stands_for_it(name: str) -> None:
    text = TEXT.replace('"adult_support": {', f'"{name}": {{').replace('"adult_support"]', f'"{name}"]')
    text = text.replace('"attendance", "adult_support", "referrals"', f'"attendance", "{name}", "referrals"')
    ((field, rule),) = refusals(json.loads(text))
    assert field == "clauses[1]"
    assert "protected trait" in rule


def test_a_protected_trait_among_subscales_grades_and_names() -> None:
    refused(changed("clauses/adult_support/subscale", "racial_climate"), "clauses[1].subscale", "race")
    refused(with_variant({ENTRY_PATH: number(12)}, "Special education"), "variants[0].grades", "disability")
    refused(with_variant({ENTRY_PATH: number(12)}, "Ninth grade", name="Low income"), "variants[0].name", "income")
    refused(changed("exempt_grades", ["English learners"]), "exempt_grades", "language")


@pytest.mark.parametrize(
    "name",
    [
        "terrace", "attendance", "failing_english", "language_arts", "example", "listing", "racecourse", "contract", "snapshot",
        "whiteboard", "ellis_hall", "called_home", "general", "poor_attendance", "poor_adult_relationship", "title", "embrace",
        "family_contact", "free_period", "american_history", "is_late", "first_days", "elevated", "sesame",
        "faltas_en_el_mes", "dias_en_el_año", "transfer", "transition", "management", "mention", "country_day", "wicket", "spanish_class",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_protected_trait_is_taken(name: str) -> None:
    text = TEXT.replace('"adult_support": {', f'"{name}": {{')
    text = text.replace('"attendance", "adult_support", "referrals"', f'"attendance", "{name}", "referrals"')
    if name != "attendance":
        assert check(json.loads(text)) == ()


def test_no_finding_repeats_a_value() -> None:
    documents = [
        changed("title", SECRET * 100),
        changed(f"{ATTENDANCE}/window", SECRET),
        changed("clauses/adult_support/subscale", f"{SECRET} race"),
        with_variant({ENTRY_PATH: number(8, SECRET)}, f"{SECRET} disability", name=f"{SECRET} income"),
        changed(ENTRY, number(87.123, SECRET)),
    ]
    for document in documents:
        said = str(check(document))
        assert len(said) > 10
        assert SECRET not in said
        assert "87.123" not in said
