"""What families read: approved texts, filled with a name and a school."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from notifications.rules.language import Wording

RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ps", "ur"})


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready for any channel."""

    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    closing: str
    signature: str
    stop: str
    line: str | None
    language: str
    line_language: str | None


@dataclass(frozen=True, slots=True)
class Texts:
    """Every approved text of one version."""

    version: str
    languages: Mapping[str, Mapping[str, Any]]
    interpreter: Mapping[str, str]

    def message(self, purpose: str, wording: Wording, *, student: str, school: str) -> Message:
        """The text for ``purpose`` about one student. Names are values: nothing in them is read as markup or as a field."""
        words = self.languages[wording.text]
        names = {"student": _one_line(student), "school": _one_line(school)}
        return Message(
            subject=words["subject"],
            greeting=words["greeting"].format(**names),
            paragraphs=tuple(paragraph.format(**names) for paragraph in words["purposes"][purpose]),
            closing=words["closing"],
            signature=names["school"],
            stop=words["stop"],
            line=self.interpreter[wording.line] if wording.line else None,
            language=wording.text,
            line_language="en" if wording.line == "other" else wording.line,
        )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def read_texts(text: str) -> Texts:
    """The approved texts of a TOML file; languages that nobody approved are left out."""
    entries = tomllib.loads(text)
    approved = {code: words for code, words in entries["languages"].items() if words["approved"]}
    return Texts(entries["version"], approved, entries["interpreter"])


TEXTS = read_texts(files("notifications").joinpath("templates/texts.toml").read_text(encoding="utf-8"))
