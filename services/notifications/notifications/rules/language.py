"""In which language a household is written to."""

from collections.abc import Set
from dataclasses import dataclass

ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Wording:
    """The language of the home, the language of the text, and the interpreter line under it, if any."""

    home: str
    text: str
    line: str | None
    reason: str

    @property
    def fallback(self) -> bool:
        """Whether the home's own language has no approved text."""
        return self.line is not None


OTHER = "other"
"""The interpreter line for every language without one of its own."""


def wording(home: str | None, *, approved: Set[str], lines: Set[str]) -> Wording:
    """The approved text in the home's language; else English with the interpreter line in the home's language.

    Args:
        home: ISO 639-1 code, or ``None`` where nobody recorded one: then English.
        approved: languages with an approved text.
        lines: languages with an approved interpreter line.
    """
    if home is None or not home.strip():
        return Wording(ENGLISH, ENGLISH, None, "no home language is recorded")
    code = home.strip().casefold().split("-")[0]
    if code in approved:
        return Wording(code, code, None, "the text is approved in the home language")
    line = code if code in lines else OTHER
    return Wording(code, ENGLISH, line, "no text is approved in the home language: English with the interpreter line")
