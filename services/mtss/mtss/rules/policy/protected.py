"""What no policy may take as an input: traits that the law protects, and what stands in for them."""

import re
import unicodedata
from collections.abc import Mapping

_WORDS = {
    "race or ethnicity": (
        "race races racial ethnicity ethnic ethnicities hispanic latino latina latinx latine black white asian indian indigenous "
        "african pacific islander multiracial biracial caucasian tribe tribal color colour skin"
    ),
    "sex, gender or orientation": (
        "sex sexes sexual gender genders male males female females boy boys girl girls nonbinary transgender lgbt lgbtq lgbtqia "
        "gay lesbian bisexual queer orientation pronoun pronouns pregnant pregnancy"
    ),
    "income": (
        "income incomes poverty lunch lunches meal meals frl frpl snap tanf medicaid welfare economic economically disadvantaged "
        "wealth socioeconomic ses homeless homelessness housing eviction"
    ),
    "disability": (
        "disability disabilities disabled iep ieps 504 sped impairment handicap diagnosis autism adhd dyslexia"
    ),
    "language": ("language languages lingual bilingual multilingual ell el els esl eld lep esol accent"),
    "origin or religion": (
        "religion religious religions faith muslim christian jewish hindu nationality citizenship citizen immigrant immigration "
        "migrant refugee undocumented birthplace birthcountry"
    ),
    "home address": (
        "address addresses zip zipcode postcode postal neighborhood neighbourhood census tract residence street"
    ),
}
_OF = {trait: frozenset(words.split()) for trait, words in _WORDS.items()}
_PHRASES: Mapping[str, tuple[str, ...]] = {
    "disability": ("special education", "special ed", "special needs"),
    "language": ("english learner", "english learners", "english proficiency", "limited english"),
    "origin or religion": ("national origin", "country of birth"),
    "home address": ("attendance zone", "bus route"),
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def trait_in(text: str) -> str | None:
    """The protected trait that a name or text speaks of, itself or by what stands in for it; ``None`` if it speaks of none.

    Source: Title VI, Title IX, Section 504 and Title II of the ADA; Wisconsin's early-warning system took race, income and
    disability as inputs and was wrong about three times in four when it predicted failure.
    """
    plain = unicodedata.normalize("NFKD", text)
    words = [word.lower() for word in _WORD.findall(plain)]
    spoken = f" {' '.join(words)} ".replace(" english language arts ", " ").replace(" language arts ", " ")
    for trait, of in _OF.items():
        if of.intersection(spoken.split()) or any(f" {each} " in spoken for each in _PHRASES.get(trait, ())):
            return trait
    return None
