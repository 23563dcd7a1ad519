"""Letters: one accessible PDF (PDF/UA) for each household, made by typst from data."""

import json
from collections.abc import Sequence
from datetime import date
from importlib.resources import files

import typst
from babel.dates import format_date

from common.errors import DomainError
from notifications.rules.contacts import Address, Contact
from notifications.texts import RIGHT_TO_LEFT, Message

_TEMPLATE = files("notifications").joinpath("templates/letter.typ").read_bytes()
_FONTS = typst.Fonts(font_paths=[str(files("notifications").joinpath("fonts"))])


class LetterNotPrintable(DomainError):
    """The letter holds a character for which this machine has no font."""


def address_lines(addressee: Contact, address: Address) -> list[str]:
    """Name and postal address as the post wants them."""
    name = f"{addressee.first_name} {addressee.last_name}".strip()
    town = " ".join(part for part in (f"{address.city},", address.state, address.postal_code) if part)
    return [line for line in (name, *address.lines, town) if line.strip()]


def letter_pdf(message: Message, address: Sequence[str], on: date) -> bytes:
    """The letter as PDF/UA-1.

    Raises:
        LetterNotPrintable: a character of a name or an address has no glyph in any font here.
    """
    words = {
        "subject": message.subject,
        "greeting": message.greeting,
        "paragraphs": message.paragraphs,
        "closing": message.closing,
        "signature": message.signature,
        "line": message.line,
        "line_language": message.line_language,
        "language": message.language,
        "right_to_left": sorted(RIGHT_TO_LEFT),
        "address": list(address),
        "date": format_date(on, format="long", locale="en_US" if message.language == "en" else message.language),
    }
    try:
        return typst.compile(
            _TEMPLATE,
            format="pdf",
            font_paths=_FONTS,
            sys_inputs={"letter": json.dumps(words)},
            pdf_standards="ua-1",
            timestamp=0,
        )
    except typst.TypstError:
        # The reason quotes the text, so it goes no further than here.
        raise LetterNotPrintable from None
