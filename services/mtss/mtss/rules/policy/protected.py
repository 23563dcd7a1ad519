"""What no policy may take as an input: traits that the law protects, and what stands in for them, in English and Spanish."""

import re
import unicodedata

# In the singular; plurals, and what is run together with the words of _BEFORE and _AFTER, are found too. _ may be a space or nothing.
_NAMED = {
    "race or ethnicity": (
        "race racial ethnicity ethnic hispanic latino latina latinx latine black white asian indian indigenous "
        "native african pacific islander multiracial biracial caucasian tribe tribal color colour skin minority "
        "raza etnia etnico hispano indigena negro blanco native_american american_indian alaska_native "
        "people_of_color bipoc aapi arab mena middle_eastern roma romani surname last_name apellido"
    ),
    "sex, gender or orientation": (
        "sex sexual gender male female boy girl nonbinary transgender lgbt lgbtq lgbtqia gay lesbian bisexual "
        "queer orientation pronoun pregnant pregnancy sexo genero masculino femenino mujer hombre embarazo "
        "embarazada woman women man men trans transsexual intersex non_binary teen_parent teen_mother young_parent"
    ),
    "income": (
        "income poverty poor lunch lunches meal frl frpl frpm snap tanf medicaid welfare economic economically "
        "disadvantaged wealth socioeconomic ses homeless homelessness housing eviction ingreso pobreza pobre "
        "almuerzo reduced_price free_and_reduced free_reduced title_i title_1 title_one mckinney_vento "
        "wic ebt"
    ),
    "foster care": "foster ward_of_the_state acogida_familiar",
    "disability": (
        "disability disabled iep 504 sped impairment handicap handicapped diagnosis autism autistic adhd dyslexia "
        "discapacidad discapacitado special_education special_ed special_needs educacion_especial deaf blind impaired "
        "wheelchair sordo ciego"
    ),
    "language": (
        "language lingual bilingual multilingual ell esl eld lep esol accent idioma lengua lenguaje bilingue "
        "english_learner english_proficiency limited_english native_speaker aprendiz_de_ingles mother_tongue lengua_materna "
        "spanish_speaker spanish_speaking arabic_speaker chinese_speaker somali_speaker speaks_spanish "
        "el_student el_learner el_status el_code el_flag el_level el_group el_program"
    ),
    "origin or religion": (
        "religion religious faith muslim christian jewish hindu nationality citizenship citizen immigrant "
        "immigration migrant refugee undocumented birthplace birthcountry nacionalidad ciudadania ciudadano "
        "inmigrante migrante refugiado indocumentado national_origin country_of_birth pais_de_origen "
        "lugar_de_nacimiento foreign_born newcomer recien_llegado"
    ),
    "home address": (
        "address zip zipcode postcode postal neighborhood neighbourhood census tract residence street direccion "
        "domicilio calle vecindario barrio attendance_zone bus_route codigo_postal county latitude longitude"
    ),
}
_ORDINARY = re.compile(
    r" (?:(?:english )?language arts|poor (?:attendance|adult|relationship|relation|belonging|behaviou?r|conduct|grade|mark)s?)(?= )"
)
"""What speaks of school and only sounds like a trait."""
_BOTH = "student pupil child children family home parent household"
_BEFORE = f"is has non low first {_BOTH} free reduced"
_AFTER = f"{_BOTH} status code flag group level category count share rate percent learner speaker speaking price code american"
_WORD = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def _pattern(words: str) -> re.Pattern[str]:
    """Any of the words, in the singular or plural, among those that may go before and after."""
    plural = [each[:-1] + "ies" if each.endswith("y") else f"{each}(?:e?s)?" for each in words.split()]
    any_of = "|".join((*words.split(), *plural)).replace("_", " ?")
    before, after = ("|".join(each.split()) for each in (_BEFORE, _AFTER))
    return re.compile(f" (?:{before})*(?:{any_of})(?:{after})*s? ")


_OF = {trait: _pattern(words) for trait, words in _NAMED.items()}


def trait_in(text: str) -> str | None:
    """The protected trait that a name or text speaks of, itself or by what stands in for it; ``None`` if it speaks of none.

    Source: Title VI, Title IX, Section 504 and Title II of the ADA; Wisconsin's early-warning system took race, income and
    disability as inputs and was wrong about three times in four when it predicted failure.
    """
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    words = " ".join(word.lower() for word in _WORD.findall(plain))
    spoken = _ORDINARY.sub(" ", f" {words} ")
    return next((trait for trait, named in _OF.items() if named.search(spoken)), None)
