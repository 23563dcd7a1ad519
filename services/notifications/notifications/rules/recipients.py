"""Which households are told of one student's matter, through which channel, and why the others are not."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from common.restrictions import bar
from notifications.rules.contacts import (
    Address,
    Contact,
    confidential,
    households,
    mailbox,
    place,
    told_about,
    usable_email,
)
from notifications.rules.policy import Policy

Channel = Literal["email", "letter"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one household: told through a channel, or held back for a reason."""

    household: tuple[Contact, ...]
    channel: Channel | None
    reason: str
    addressee: Contact
    email: str | None = None
    address: Address | None = None
    """Where the letter goes."""

    @property
    def recipient(self) -> UUID:
        """The contact by whom the household is known."""
        return self.household[0].contact_id

    @property
    def members(self) -> frozenset[UUID]:
        """The ids of its contacts."""
        return frozenset(contact.contact_id for contact in self.household)

    @property
    def language(self) -> str | None:
        """The language of whom it is addressed to, else of anybody in the household."""
        spoken = [contact.language for contact in (self.addressee, *self.household) if contact.language]
        return spoken[0] if spoken else None


@dataclass(frozen=True, slots=True)
class Closed:
    """Ways that may not be used: mailboxes a barred contact shares, that refused us or opted out, and barred places."""

    barred: Set[str]
    refused: Set[str]
    opted_out: Set[str]
    places: Set[str]


def plan(
    contacts: Sequence[Contact], *, opted_out: Set[str], refused: Set[str], today: date, policy: Policy
) -> list[Plan]:
    """One plan for each household of the student's guardians; empty if there is no guardian.

    A contact who may not be told stands alone and is held back, and no mailbox or postal address that they share is used.

    ``opted_out`` are mailboxes, as :func:`mailbox` writes them, whose owner wants no more e-mail; ``refused`` those that a
    mail server refused for good.
    """
    barred = [contact for contact in contacts if bar(contact.restriction, today)]
    closed = Closed(
        barred={mailbox(email) for contact in barred for email in contact.emails},
        refused=refused,
        opted_out=opted_out,
        places={place(contact.address, policy) for contact in barred if contact.address},
    )
    guardians = told_about(contacts, policy)
    free = [contact for contact in guardians if not bar(contact.restriction, today)]
    held = [
        Plan((contact,), None, reason, contact)
        for contact in guardians
        if (reason := bar(contact.restriction, today)) is not None
    ]
    return [_route(household, closed, today, policy) for household in households(free, today, policy)] + held


def _route(household: tuple[Contact, ...], closed: Closed, today: date, policy: Policy) -> Plan:
    for contact in household:
        for email in contact.emails:
            if usable_email(email) and mailbox(email) not in closed.barred | closed.refused | closed.opted_out:
                return Plan(household, "email", "an e-mail address may be used", contact, email.strip())
    for contact in household:
        if contact.address is None or not contact.address.complete or confidential(contact.restriction, today):
            continue
        if place(contact.address, policy) not in closed.places:
            return Plan(household, "letter", "no e-mail address may be used", contact, address=contact.address)
    return Plan(household, None, _why_none(household, closed, today, policy), household[0])


def _why_none(household: tuple[Contact, ...], closed: Closed, today: date, policy: Policy) -> str:
    mailboxes = {mailbox(email) for contact in household for email in contact.emails}
    places = {place(contact.address, policy) for contact in household if contact.address}
    ways = {
        "address_confidential": any(confidential(contact.restriction, today) for contact in household),
        "shared_with_restricted": bool(places & closed.places or mailboxes & closed.barred),
        "mailbox_refused": bool(mailboxes & closed.refused),
        "opted_out": bool(mailboxes & closed.opted_out),
    }
    return next((reason for reason, holds in ways.items() if holds), "no_address")
