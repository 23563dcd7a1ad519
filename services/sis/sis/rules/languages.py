"""Names and three-letter codes of languages as two-letter codes of ISO 639-1."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Languages:
    """``names`` by lower-case English name and ``aliases`` by three-letter code lead to a code."""

    names: Mapping[str, str]
    aliases: Mapping[str, str]
    codes: frozenset[str]

    @property
    def three_letters(self) -> Collection[str]:
        """The languages that are known, by codes of three letters as Ed-Fi lists them."""
        return sorted({*self.aliases, *(code for code in self.codes if len(code) == 3)})

    def code(self, said: str) -> str | None:
        """The code of a language said by name or code: two letters, three where no two exist, ``None`` if unknown."""
        word = said.strip().lower()
        found = self.aliases.get(word) or self.names.get(word.partition(";")[0].partition(",")[0].strip()) or word
        return found if found in self.codes else None
