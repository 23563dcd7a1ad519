"""A restorative conference as the rules see it. No name and no free text stands here: those are sealed.

Source: domain, restorative practice: three meetings, voluntary for all, states and items of an agreement.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from common.errors import DomainError


class State(StrEnum):
    """How far a conference has come. From ``completed`` on it has ended."""

    PROPOSED = "proposed"
    SCREENED = "screened"
    CONSENTING = "consenting"
    PREPARING = "preparing"
    SCHEDULED = "scheduled"
    HELD = "held"
    AGREEMENT_ACTIVE = "agreement_active"
    COMPLETED = "completed"
    BREACHED = "breached"
    WITHDRAWN = "withdrawn"
    DECLINED = "declined"
    NO_AGREEMENT = "no_agreement"


BEFORE_THE_OFFER = frozenset({State.PROPOSED, State.SCREENED})
GATHERING = frozenset({State.CONSENTING, State.PREPARING, State.SCHEDULED})
ENDED = frozenset({State.COMPLETED, State.BREACHED, State.WITHDRAWN, State.DECLINED, State.NO_AGREEMENT})
UNDER_WAY = frozenset(State) - ENDED
CALLED_OFF = frozenset({State.WITHDRAWN, State.DECLINED})


class Kind(StrEnum):
    """Who a party is: a student or staff member of the district, or a person known only by a sealed name."""

    STUDENT = "student"
    STAFF = "staff"
    NAMED = "named"


class Role(StrEnum):
    """What brings a party to the conference."""

    CAUSED_HARM = "caused_harm"
    HARMED = "harmed"
    SUPPORTER = "supporter"
    COMMUNITY = "community"
    STAFF = "staff"


class Part(StrEnum):
    """How a party takes part."""

    IN_PERSON = "in_person"
    SURROGATE = "surrogate"
    WRITTEN = "written"


class ItemKind(StrEnum):
    """What an item of an agreement is."""

    APOLOGY = "apology"
    RESTITUTION = "restitution"
    SERVICE = "service"
    LEARNING = "learning"
    SPACE = "space"
    OTHER = "other"


CLOSED = "closed"
"""What those who do not facilitate see of a conference that was called off: not by whom, and not why."""


def seen_by_others(state: State) -> str:
    """The state as shown to those who decide on discipline, so that refusing is never held against anyone."""
    return CLOSED if state in CALLED_OFF else state.value


class PartyUnknown(DomainError):
    """This conference has no such party."""

    status = 404


class ItemUnknown(DomainError):
    """The agreement has no such item."""

    status = 404


class FacilitatorUnnamed(DomainError):
    """The token does not say which staff member this is, so a conflict cannot be ruled out."""

    status = 403


class FacilitatorNamed(DomainError):
    """A staff member whom the action names does not facilitate the conference that may replace it."""

    status = 403


class FacilitatorIsParty(DomainError):
    """Who was harmed, or caused harm, does not facilitate the conference."""

    status = 403


@dataclass(frozen=True, slots=True)
class Party:
    """One person of a conference. ``part`` is how they take part: ``None`` until they agree to, and after they refuse."""

    id: UUID
    kind: Kind
    role: Role
    student_id: UUID | None = None
    school_id: str | None = None
    """By which school a student belongs to the district."""
    staff_id: UUID | None = None
    part: Part | None = None
    agreed_on: date | None = None
    prepared_on: date | None = None

    @property
    def essential(self) -> bool:
        """Whether there is no conference without them: who caused harm, and who was harmed."""
        return self.role in (Role.CAUSED_HARM, Role.HARMED)

    def same_person(self, other: "Party") -> bool:
        """Whether both are the same student or staff member; two sealed names are never compared."""
        return self.kind == other.kind != Kind.NAMED and (self.student_id, self.staff_id) == (
            other.student_id,
            other.staff_id,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One thing the agreement asks for; ``for_party`` is ``None`` where it is for all."""

    id: UUID
    kind: ItemKind
    by_party: UUID
    for_party: UUID | None
    due_on: date
    kept_on: date | None = None
    verified_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Conference:
    """The conference about one student and one incident."""

    student_id: UUID
    happened_on: date
    state: State = State.PROPOSED
    suitable: bool | None = None
    taken_back: bool = False
    """Withdrawn because the incident or its last exclusion was taken back, not by a person."""
    offered_on: date | None = None
    scheduled_at: datetime | None = None
    held_on: date | None = None
    ended_on: date | None = None
    parties: tuple[Party, ...] = ()
    items: tuple[Item, ...] = ()

    @property
    def offer_stands(self) -> bool:
        """Whether a conference was offered and not called off before it was held."""
        return self.offered_on is not None and (self.held_on is not None or self.state not in CALLED_OFF)

    def party(self, party_id: UUID) -> Party:
        """The party of this id.

        Raises:
            PartyUnknown: there is none.
        """
        for party in self.parties:
            if party.id == party_id:
                return party
        raise PartyUnknown

    def item(self, item_id: UUID) -> Item:
        """The item of this id.

        Raises:
            ItemUnknown: there is none.
        """
        for item in self.items:
            if item.id == item_id:
                return item
        raise ItemUnknown


def check_impartial(staff_id: UUID | None, *, named: AbstractSet[UUID], parties: Iterable[Party] = ()) -> UUID:
    """The facilitator's staff id, once nothing speaks against them; ``named``: the staff whom the actions name.

    Source: domain, restorative practice: the facilitator is not the administrator who decides.

    Raises:
        FacilitatorUnnamed: nobody knows who they are.
        FacilitatorNamed: an action names them.
        FacilitatorIsParty: they were harmed, or caused harm.
    """
    if staff_id is None:
        raise FacilitatorUnnamed
    if staff_id in named:
        raise FacilitatorNamed
    if any(party.essential and party.staff_id == staff_id for party in parties):
        raise FacilitatorIsParty
    return staff_id
