"""A student's contacts: whom we may tell at all, and who lives together."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from common.restrictions import UNRESTRICTED, Restriction
from notifications.rules.policy import Policy

_E_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address as the SIS holds it."""

    lines: tuple[str, ...]
    city: str
    state: str
    postal_code: str

    @property
    def complete(self) -> bool:
        """Whether the post can deliver to it."""
        return bool(any(line.strip() for line in self.lines) and self.city.strip() and self.postal_code.strip())


@dataclass(frozen=True, slots=True)
class Contact:
    """One adult in a student's life."""

    contact_id: UUID
    first_name: str = ""
    last_name: str = ""
    relation: str | None = None
    language: str | None = None
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    address: Address | None = None
    lives_with: bool = False
    restriction: Restriction = UNRESTRICTED


def confidential(restriction: Restriction, today: date) -> bool:
    """Whether the contact's postal address must not be shown to anybody."""
    return "address_confidential" in restriction.codes and restriction.in_force(today)


def told_about(contacts: Iterable[Contact], policy: Policy) -> list[Contact]:
    """The parents and guardians; where there is none, those who act as parents because the student lives with them.

    Ordered: those the student lives with first, then by id.
    Source: 34 CFR 99.3, the definition of *parent*.
    """
    ordered = sorted(contacts, key=lambda contact: (not contact.lives_with, contact.contact_id))
    guardians = [contact for contact in ordered if _relation(contact.relation) in policy.guardians]
    return guardians or [contact for contact in ordered if contact.lives_with]


def usable_email(text: str) -> bool:
    """Whether a mail server can be given this address without extensions."""
    return len(text) <= 254 and _E_MAIL.fullmatch(text.strip()) is not None


def mailbox(email: str) -> str:
    """An e-mail address as it is compared."""
    return email.strip().casefold()


def place(address: Address, policy: Policy) -> str:
    """A postal address as it is compared: letters and digits, usual abbreviations, the start of the postal code."""
    words = re.findall(r"\w+", " ".join((*address.lines, address.city, address.state)).casefold())
    code = address.postal_code.strip()[: policy.postal_code_characters]
    return " ".join([*(policy.street_words.get(word, word) for word in words), code])


def households(contacts: Sequence[Contact], today: date, policy: Policy) -> list[tuple[Contact, ...]]:
    """Contacts grouped by whoever shares a postal address, an e-mail address or a number, also by a chain of them.

    A contact whose address is confidential is joined to others by a shared mailbox only: an old record of where they
    lived together must not join them with the person they left.
    """
    home = list(range(len(contacts)))
    first_with: dict[str, int] = {}

    def head(member: int) -> int:
        while home[member] != member:
            home[member] = home[home[member]]
            member = home[member]
        return member

    for member, contact in enumerate(contacts):
        for trait in _traits(contact, today, policy):
            other = head(first_with.setdefault(trait, member))
            low, high = sorted((head(member), other))
            home[high] = low
    groups: dict[int, list[Contact]] = {}
    for member, contact in enumerate(contacts):
        groups.setdefault(head(member), []).append(contact)
    return [tuple(group) for group in groups.values()]


def _traits(contact: Contact, today: date, policy: Policy) -> Iterable[str]:
    yield from (f"mailbox {mailbox(email)}" for email in contact.emails if email.strip())
    if confidential(contact.restriction, today):
        return
    yield from (f"number {number}" for phone in contact.phones if (number := _number(phone, policy)))
    if contact.address is not None and contact.address.complete:
        yield f"place {place(contact.address, policy)}"


def _number(phone: str, policy: Policy) -> str:
    return re.sub(r"\D", "", phone)[-policy.phone_digits :]


def _relation(text: str | None) -> str:
    return (text or "").rpartition("#")[2].strip().casefold()
