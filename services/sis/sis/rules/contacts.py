"""Which of a contact's details are used, and what a restriction allows."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from sis.rules.languages import Languages
from sis.rules.values import code_value

_EMAIL = re.compile(r"[^\s@<>(),;:\"]+@[^\s@<>(),;:\"]+")

Details = Mapping[str, Any]


class RestrictionState(StrEnum):
    """Whether the SIS's free text on a contact has been coded by a person."""

    NONE = "none"
    UNCODED = "uncoded"
    CODED = "coded"


class RestrictionCode(StrEnum):
    """What a person may read out of a restriction text."""

    NO_CONTACT = "no_contact"
    NO_RECORDS = "no_records"
    NO_PICK_UP = "no_pick_up"
    ADDRESS_CONFIDENTIAL = "address_confidential"


@dataclass(frozen=True, slots=True)
class Coding:
    """What a person made of a restriction text, and the text it was made of."""

    codes: tuple[str, ...]
    expires_on: date | None
    text: str | None


def restriction_state(text: str | None, coding: Coding | None) -> RestrictionState:
    """How a contact's restriction stands. A text that changed after it was coded is uncoded again: fail closed.

    A coding outlives the text it was made of: it can only forbid more than no text does.
    """
    if coding is not None and text in (None, coding.text):
        return RestrictionState.CODED
    return RestrictionState.NONE if text is None else RestrictionState.UNCODED


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address as it is written on an envelope."""

    lines: tuple[str, ...]
    city: str | None
    state: str | None
    postal_code: str | None


@dataclass(frozen=True)
class ContactPolicy:
    """Which of several languages, addresses and numbers is used first."""

    language_uses: Sequence[str]
    address_types: Sequence[str]
    not_for_calls: Collection[str]

    def language(self, details: Details, languages: Languages) -> str | None:
        """The code of the language to write in, or ``None`` if nobody said one that is known."""
        said = sorted(details.get("languages", ()), key=self._use_rank)
        codes = (languages.code(code_value(one["languageDescriptor"])) for one in said)
        return next(filter(None, codes), None)

    def address(self, details: Details, today: date) -> Address | None:
        """The address to write to on ``today``: those that have ended or not begun are left out."""
        usable = [one for one in details.get("addresses", ()) if one.get("streetNumberName") and _holds(one, today)]
        if not usable:
            return None
        best = min(usable, key=lambda one: _rank(self.address_types, one.get("addressTypeDescriptor")))
        lines = tuple(filter(None, (best["streetNumberName"], best.get("apartmentRoomSuiteNumber"))))
        state = best.get("stateAbbreviationDescriptor")
        return Address(lines, best.get("city"), code_value(state) if state else None, best.get("postalCode"))

    def emails(self, details: Details) -> list[str]:
        """E-mail addresses, the primary one first, each once in any case.

        What cannot be an address is left out: exports hold such, and they must not keep the rest of a contact away.
        """
        said = sorted(details.get("electronicMails", ()), key=lambda one: not one.get("primaryEmailAddressIndicator"))
        addresses: dict[str, str] = {}
        for one in said:
            address = one["electronicMailAddress"].strip()
            if _EMAIL.fullmatch(address):
                addresses.setdefault(address.lower(), address)
        return list(addresses.values())

    def phones(self, details: Details) -> list[str]:
        """Telephone numbers in the SIS's order of priority, those nobody answers by voice left out."""
        said = sorted(details.get("telephones", ()), key=lambda one: one.get("orderOfPriority", 99))
        kinds = ((one, code_value(one.get("telephoneNumberTypeDescriptor", "")).lower()) for one in said)
        return list(dict.fromkeys(one["telephoneNumber"] for one, kind in kinds if kind not in self.not_for_calls))

    def _use_rank(self, language: Details) -> int:
        uses = [_rank(self.language_uses, use["languageUseDescriptor"]) for use in language.get("uses", ())]
        return min(uses, default=len(self.language_uses))


def _rank(order: Sequence[str], descriptor: str | None) -> int:
    code = code_value(descriptor).lower() if descriptor else ""
    return order.index(code) if code in order else len(order)


def _holds(address: Details, today: date) -> bool:
    periods = address.get("periods", ())
    on = today.isoformat()
    return not periods or any(one.get("beginDate", on) <= on <= one.get("endDate", on) for one in periods)
