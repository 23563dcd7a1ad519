"""Which groups a student is of, read out of what the SIS says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sis.policy import GROUPS
from sis.rules.groups import HISPANIC, RACES, SEVERAL, together

_CODES = {
    "American Indian - Alaska Native": "american_indian",
    "Asian": "asian",
    "Black - African American": "black",
    "Native Hawaiian - Pacific Islander": "pacific_islander",
    "White": "white",
}


def _races(*codes: str) -> list[dict[str, str]]:
    return [{"raceDescriptor": f"uri://ed-fi.org/RaceDescriptor#{code}"} for code in codes]


@pytest.mark.parametrize(("code", "group"), _CODES.items())
def test_one_race_is_that_group(code: str, group: str) -> None:
    assert GROUPS.race({"races": _races(code.upper())}) == group


def test_hispanic_of_any_race_is_hispanic_and_several_races_are_two_or_more() -> None:
    assert GROUPS.race({"races": _races("White", "Asian"), "hispanicLatinoEthnicity": True}) == HISPANIC
    assert GROUPS.race({"races": _races("White", "Asian"), "hispanicLatinoEthnicity": False}) == SEVERAL
    assert GROUPS.race({"races": _races("White", "White", "Other")}) == "white"


def test_what_names_no_group_says_nothing() -> None:
    assert GROUPS.race({"races": _races("Choose Not to Respond"), "hispanicLatinoEthnicity": False}) is None
    assert GROUPS.race({}) is None
    assert GROUPS.sex({}) is None
    assert GROUPS.sex({"sexDescriptor": "x#Not Selected"}) is None


@given(st.lists(st.sampled_from(list(_CODES))), st.booleans())
def test_every_student_of_a_known_race_is_of_one_of_the_seven_groups(codes: list[str], hispanic: bool) -> None:
    group = GROUPS.race({"races": _races(*codes), "hispanicLatinoEthnicity": hispanic})

    assert group in {*RACES, HISPANIC, SEVERAL} if codes or hispanic else group is None


def test_a_disability_is_whatever_is_on_record_but_a_code_for_none() -> None:
    def said(*codes: str) -> str | None:
        return GROUPS.disability({"disabilities": [{"disabilityDescriptor": f"x#{code}"} for code in codes]})

    assert said("Autism") == said("None", "Autism") == "disability"
    assert said() == said("No disability") == "no_disability"


def test_what_school_and_district_say_counts_together() -> None:
    both = together([{"races": _races("Asian")}, {"races": _races("White"), "sexDescriptor": "x#Female"}])

    assert (GROUPS.race(both), GROUPS.sex(both), GROUPS.disability(both)) == (SEVERAL, "female", "no_disability")
