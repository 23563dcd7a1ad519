"""What families read: approved texts, filled with a name and a school."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from common.settings import NotConfigured
from notifications.rules.language import ENGLISH, OTHER, Wording

RIGHT_TO_LEFT = frozenset({"ar", "fa", "he", "ps", "ur"})


class WordingNotApproved(NotConfigured):
    """A text is not what was approved. The message is one sentence for the operator."""


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
    """Every approved text, and every approved interpreter line."""

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
            line_language=ENGLISH if wording.line == OTHER else wording.line,
        )

    def version(self, wording: Wording) -> str:
        """Which text that is, and which version of it, such as ``es, version 2``."""
        return f"{wording.text}, version {self.languages[wording.text]['version']}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def read_texts(text: str) -> Texts:
    """The approved texts of a TOML file; one whose version nobody approved is left out.

    Raises:
        WordingNotApproved: a text says something else than the approved one of its version, or one is left out that
            nothing can stand in for.
    """
    entries = tomllib.loads(text)
    languages, lines = (_approved(entries[kind]) for kind in ("languages", "interpreter"))
    if ENGLISH not in languages or OTHER not in lines:
        raise WordingNotApproved(
            "The English text and interpreter line must be approved: nothing can stand in for them."
        )
    return Texts(languages, {code: line["text"] for code, line in lines.items()})


def digest_of(text: Mapping[str, Any]) -> str:
    """The SHA-256 of every word of a text, in hex: what an approval is for."""
    words = {name: value for name, value in text.items() if name not in ("version", "approved")}
    return hashlib.sha256(json.dumps(words, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _approved(texts: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {code: text for code, text in texts.items() if _is_approved(code, text)}


def _is_approved(code: str, text: Mapping[str, Any]) -> bool:
    version = str(text["version"])
    approval = text.get("approved", {}).get(version)
    if approval and approval["sha256"] != digest_of(text):
        raise WordingNotApproved(
            f"The text {code} is not the wording that was approved as its version {version}: "
            "take the change back, or raise the version and have that approved."
        )
    return approval is not None


TEXTS = read_texts(files("notifications").joinpath("templates/texts.toml").read_text(encoding="utf-8"))
