"""What a mark comes to: the course was passed, or it was not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sis.rules.values import code_value


@dataclass(frozen=True, slots=True)
class MarkPolicy:
    """How a district reads its marks. Kinds and letters are in small letters."""

    types: Sequence[str]
    """Code values of ``gradeTypeDescriptor`` that are a mark of a course; of one that comes later, more of the course is told."""
    failing: Collection[str]
    passing: Collection[str]
    passing_from: int
    """From so much on a number passes where there is no letter; 0: numbers say nothing."""

    def fails(self, kind: str, letter: str | None, number: float | None) -> bool | None:
        """Whether a mark of this kind says that the course is not passed; ``None`` where it says neither.

        A letter that is on neither list says nothing, whatever the number beside it.
        """
        if code_value(kind).lower() not in self.types:
            return None
        if letter is not None:
            said = letter.strip().lower()
            return True if said in self.failing else False if said in self.passing else None
        return number < self.passing_from if number is not None and self.passing_from else None

    def breadth(self, kind: str) -> int:
        """How much of the course a mark of this kind tells of: among marks of the same day the broadest counts."""
        return self.types.index(code_value(kind).lower())
