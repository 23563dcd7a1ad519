"""Letters: what they say, in which scripts, and that names are only ever shown."""

import tomllib
from datetime import date
from importlib.resources import files
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

import pypdf
import pytest

from notifications.letters import LetterNotPrintable, address_lines, letter_pdf
from notifications.rules.contacts import Address, Contact
from notifications.rules.language import wording
from notifications.texts import TEXTS, Message, WordingNotApproved, digest_of, read_texts

ON = date(2026, 11, 20)
ADDRESS = Address(("12 Ash St", "Apt #4"), "Denver", "CO", "80201")
FILE = files("notifications").joinpath("templates/texts.toml").read_text(encoding="utf-8")
PURPOSES = ("tier", "conference_offered", "agreement_completed")


def message(home: str | None, *, purpose: str = "tier", student: str = "Nico", school: str = "Mesa School") -> Message:
    words = wording(home, approved=TEXTS.languages.keys(), lines=TEXTS.interpreter.keys())
    return TEXTS.message(purpose, words, student=student, school=school)


def read(pdf: bytes) -> str:
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(pdf)).pages)
    return " ".join(text.split())


def used_fonts(pdf: bytes) -> list[str]:
    resources: Any = pypdf.PdfReader(BytesIO(pdf)).pages[0]["/Resources"]
    return [font.get_object()["/BaseFont"] for font in resources["/Font"].values()]


@pytest.mark.parametrize("home", [None, "en", "es", "so", "vi", "hmn"])
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_letter_says_every_word_of_its_message(home: str | None, purpose: str) -> None:
    written = message(home, purpose=purpose)
    text = read(letter_pdf(written, ["Alma Reyes", "12 Ash St"], ON))
    for part in (written.greeting, *written.paragraphs, written.line or "", "Alma Reyes", "12 Ash St"):
        assert part in text


def test_chinese_and_arabic_lines_have_their_glyphs() -> None:
    chinese = read(letter_pdf(message("zh"), ["Alma"], ON)).replace(" ", "")
    assert TEXTS.interpreter["zh"] in chinese
    fonts = [font for home in ("ar", "zh") for font in used_fonts(letter_pdf(message(home), ["Alma"], ON))]
    assert any("NotoNaskhArabic" in font for font in fonts)
    assert any("NotoSansSC" in font for font in fonts)
    arabic = read(letter_pdf(message("ar"), ["Alma"], ON))
    assert sum("\u0600" <= letter <= "\u06ff" for letter in arabic) > 60


def test_a_letter_is_accessible_and_knows_its_language_and_title() -> None:
    reader = pypdf.PdfReader(BytesIO(letter_pdf(message("es"), ["Alma"], ON)))
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"] == "es"
    assert root["/MarkInfo"]["/Marked"]
    assert reader.metadata is not None
    assert reader.metadata.title == TEXTS.languages["es"]["subject"]
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()


def test_the_same_letter_is_the_same_bytes() -> None:
    assert letter_pdf(message("en"), ["Alma"], ON) == letter_pdf(message("en"), ["Alma"], ON)


@pytest.mark.parametrize(
    "name", ['#read("/etc/passwd")', "*bold* _it_ $x$", "{school}", "= Title", '"; \\ ]', "@ref <label>"]
)
def test_names_are_shown_and_never_read_as_markup_or_fields(name: str) -> None:
    text = read(letter_pdf(message("en", student=name, school=name), [name], ON))
    assert text.count(name) >= 3


def test_a_name_with_line_breaks_stays_on_its_line() -> None:
    assert message("en", student="Nico\r\nBcc: x").greeting == "Dear family of Nico Bcc: x,"


def test_a_character_without_a_font_is_refused_and_not_left_out() -> None:
    with pytest.raises(LetterNotPrintable) as refusal:
        letter_pdf(message("en"), ["\U00013080"], ON)
    assert "\U00013080" not in str(refusal.value)


def test_an_address_is_written_as_the_post_wants_it() -> None:
    alma = Contact(UUID(int=1), "Alma", "Reyes")
    assert address_lines(alma, ADDRESS) == ["Alma Reyes", "12 Ash St", "Apt #4", "Denver, CO 80201"]
    assert address_lines(Contact(UUID(int=1)), Address(("1 A",), "Ely", "", "89301")) == ["1 A", "Ely, 89301"]


def test_every_text_is_approved_as_it_stands() -> None:
    texts = tomllib.loads(FILE)
    used = {"languages": TEXTS.languages, "interpreter": TEXTS.interpreter}
    waiting = {
        f"{code}, version {text['version']}": digest_of(text)
        for kind in used
        for code, text in texts[kind].items()
        if code not in used[kind]
    }
    assert waiting == {}


def test_every_approval_belongs_to_a_release_that_the_changelog_knows() -> None:
    changes = (Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    texts = tomllib.loads(FILE)
    approvals = [each for kind in ("languages", "interpreter") for each in texts[kind].values()]
    releases = {mark["release"] for text in approvals for mark in text["approved"].values()}
    assert all(f"\n## {release} (" in changes for release in releases)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Estimada familia", "Querida familia"),
        ("nada más.", "más."),
        ("Thank you for your support.", ""),
        ("turjumaan", "x"),
    ],
)
def test_a_changed_sentence_is_refused_under_the_version_that_was_approved(before: str, after: str) -> None:
    assert FILE.count(before) == 1
    with pytest.raises(WordingNotApproved, match="is not the wording that was approved as its version"):
        read_texts(FILE.replace(before, after))


def test_a_version_that_nobody_approved_is_not_used() -> None:
    spanish, line = TEXTS.languages["es"]["version"], 1
    raised = FILE.replace(f"[languages.es]\nversion = {spanish}", f"[languages.es]\nversion = {spanish + 1}")
    raised = raised.replace(f"[interpreter.so]\nversion = {line}", f"[interpreter.so]\nversion = {line + 1}")

    texts = read_texts(raised)

    assert TEXTS.languages.keys() - texts.languages.keys() == {"es"}
    assert TEXTS.interpreter.keys() - texts.interpreter.keys() == {"so"}


@pytest.mark.parametrize("text", ["languages.en", "interpreter.other"])
def test_nothing_stands_in_for_english(text: str) -> None:
    with pytest.raises(WordingNotApproved, match="nothing can stand in"):
        read_texts(FILE.replace(f"[{text}]\nversion = ", f"[{text}]\nversion = 9"))


def test_no_version_is_approved_twice() -> None:
    approval = next(line for line in FILE.splitlines() if line.startswith("approved."))
    with pytest.raises(tomllib.TOMLDecodeError):
        read_texts(FILE.replace(approval, f"{approval}\n{approval}"))


def test_every_approved_language_has_every_purpose_and_page() -> None:
    english = TEXTS.languages["en"]
    for words in TEXTS.languages.values():
        assert words.keys() == english.keys()
        assert set(words["purposes"]) == set(PURPOSES)


REVEALING = [
    "tier",
    "targeted",
    "intensive",
    "disciplin",
    "suspen",
    "expel",
    "offen",
    "incident",
    "harm",
    "behavio",
    "restor",
    "punish",
    "violat",
    "misconduct",
    "victim",
    "absen",
    "survey",
    "nivel",
    "disciplina",
    "suspen",
    "expuls",
    "ofens",
    "incidente",
    "daño",
    "conduct",
    "restaur",
    "castig",
    "víctima",
    "ausen",
    "encuesta",
]


@pytest.mark.parametrize("code", ["en", "es"])
def test_no_text_implies_another_student_a_role_or_an_offence(code: str) -> None:
    words = TEXTS.languages[code]
    everything = " ".join(
        [words["subject"], words["greeting"], *chain.from_iterable(words["purposes"].values())]
    ).casefold()
    assert [word for word in REVEALING if word in everything] == []
    assert "{" not in words["subject"]


@pytest.mark.parametrize("code", ["en", "es"])
def test_what_is_complete_was_planned_together_and_is_nobody_s_doing(code: str) -> None:
    """Whoever was harmed reads the same text as whoever caused harm."""
    assert "{student}" not in " ".join(TEXTS.languages[code]["purposes"]["agreement_completed"])
