"""The meeting, the agreement that came of it, and how it ended."""

from dataclasses import dataclass, replace
from uuid import UUID

from common.errors import DomainError
from restorative.rules.conference import Conference, Item, State
from restorative.rules.gathering import ConsentMissing
from restorative.rules.steps import DatedStep, Step, TooEarly


class ItemsMissing(DomainError):
    """An agreement has at least one item."""

    status = 422


class ItemKept(DomainError):
    """This item is kept already."""


class ItemsOpen(DomainError):
    """Not every item of the agreement is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(DatedStep):
    """The conference took place."""

    name = "hold"
    possible_in = frozenset({State.SCHEDULED})

    def of(self, conference: Conference) -> Conference:
        """Held."""
        prepared = [party.prepared_on for party in conference.parties if party.prepared_on is not None]
        self.not_before(max(prepared, default=None), "the last preparation")
        return replace(conference, state=State.HELD, held_on=self.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeAgreement(Step):
    """Write down what was agreed by consensus; at least one item."""

    name = "agreement"
    possible_in = frozenset({State.HELD})

    items: tuple[Item, ...]

    def of(self, conference: Conference) -> Conference:
        """Agreement active.

        Raises:
            ItemsMissing: there is none.
            ConsentMissing: an item asks something of somebody who does not take part.
            TooEarly: an item is due before the conference was held.
        """
        if not self.items:
            raise ItemsMissing
        for item in self.items:
            if conference.party(item.by_party).part is None:
                raise ConsentMissing
            if item.for_party is not None:
                conference.party(item.for_party)
            if conference.held_on is not None and item.due_on < conference.held_on:
                raise TooEarly(step=self.name, earliest="the conference")
        return replace(conference, state=State.AGREEMENT_ACTIVE, items=self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep(DatedStep):
    """An item was kept, and the facilitator saw the evidence."""

    name = "keep"
    possible_in = frozenset({State.AGREEMENT_ACTIVE})

    item_id: UUID
    verified_by: UUID

    def of(self, conference: Conference) -> Conference:
        """With this item kept.

        Raises:
            ItemKept: it is kept already.
        """
        item = conference.item(self.item_id)
        if item.kept_on is not None:
            raise ItemKept
        self.not_before(conference.held_on, "the conference")
        kept = replace(item, kept_on=self.on, verified_by=self.verified_by)
        return replace(conference, items=tuple(kept if other.id == kept.id else other for other in conference.items))


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete(DatedStep):
    """Close the agreement: everything in it is kept."""

    name = "complete"
    possible_in = frozenset({State.AGREEMENT_ACTIVE})

    def of(self, conference: Conference) -> Conference:
        """Completed.

        Raises:
            ItemsOpen: an item is not kept.
        """
        kept = [item.kept_on for item in conference.items if item.kept_on is not None]
        if len(kept) < len(conference.items):
            raise ItemsOpen
        self.not_before(max(kept), "the last item kept")
        return replace(conference, state=State.COMPLETED, ended_on=self.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach(DatedStep):
    """The agreement was not kept; the ordinary process resumes."""

    name = "breach"
    possible_in = frozenset({State.AGREEMENT_ACTIVE})

    def of(self, conference: Conference) -> Conference:
        """Breached."""
        self.not_before(conference.held_on, "the conference")
        return replace(conference, state=State.BREACHED, ended_on=self.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndWithoutAgreement(DatedStep):
    """The conference found no consensus; the ordinary process resumes."""

    name = "no_agreement"
    possible_in = frozenset({State.HELD})

    def of(self, conference: Conference) -> Conference:
        """No agreement."""
        self.not_before(conference.held_on, "the conference")
        return replace(conference, state=State.NO_AGREEMENT, ended_on=self.on)
