"""Which groups students are of, as a student information system tells a district: drawn apart from all that happens to them."""

from collections.abc import Iterator

from trial.sample.chance import Draws
from trial.sample.families import Student
from trial.sample.names import CULTURES
from trial.sample.schools import AGENCY, District

GROUPS = "studentEducationOrganizationAssociations"

_CODES = {culture.language: culture.code for culture in CULTURES}
_HISPANIC = {"en": 0.08, "es": 0.96}
_ASIAN, _BLACK, _WHITE = "Asian", "Black - African American", "White"
_RACES = {"es": (_WHITE,), "ar": (_WHITE,), "so": (_BLACK,), "vi": (_ASIAN,), "zh": (_ASIAN,)}
# Of English-speaking homes, up to this share; the rest are of two.
_ENGLISH = (
    (0.60, _WHITE),
    (0.84, _BLACK),
    (0.89, _ASIAN),
    (0.92, "American Indian - Alaska Native"),
    (0.94, "Native Hawaiian - Pacific Islander"),
)
_WITH_DISABILITY = 0.14


def group_rows(district: District, student: Student) -> Iterator[str]:
    """The JSON line of the student's sex, race and ethnicity, disability and language, told before the year begins."""
    draws = Draws(district.seed, "groups", student.index, count=4)
    share, hispanic = draws.share(), draws.chance(_HISPANIC.get(student.language, 0.0))
    disability = "Other Health Impairment" if draws.chance(_WITH_DISABILITY) else "None"
    named = next(((race,) for limit, race in _ENGLISH if share < limit), (_WHITE, _BLACK))
    races = ",".join(
        f'{{"raceDescriptor":"uri://ed-fi.org/RaceDescriptor#{race}"}}' for race in _RACES.get(student.language, named)
    )
    yield (
        f'{{"studentReference":{{"studentUniqueId":"{student.number}"}},'
        f'"educationOrganizationReference":{{"educationOrganizationId":{AGENCY}}},'
        f'"sexDescriptor":"uri://ed-fi.org/SexDescriptor#{"Female" if student.female else "Male"}",'
        f'"hispanicLatinoEthnicity":{"true" if hispanic else "false"},"races":[{races}],'
        f'"disabilities":[{{"disabilityDescriptor":"uri://ed-fi.org/DisabilityDescriptor#{disability}"}}],'
        f'"languages":[{{"languageDescriptor":"uri://ed-fi.org/LanguageDescriptor#{_CODES[student.language]}",'
        '"uses":[{"languageUseDescriptor":"uri://ed-fi.org/LanguageUseDescriptor#Home language"}]}]}\n'
    )
