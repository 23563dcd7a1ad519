"""The steps of a conference: ``decide(conference, step, today=…)`` gives what it becomes, or refuses by name.

Each step says in which states it is possible and what it needs. Where the rules leave nothing to the step, the state
is computed: between the offer and the meeting it follows from who takes part and who is prepared (``gathered``).
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from common.errors import DomainError
from restorative.rules.conference import (
    BEFORE_THE_OFFER,
    GATHERING,
    UNDER_WAY,
    Conference,
    Item,
    Part,
    Party,
    Role,
    State,
)


class StepOutOfOrder(DomainError):
    """A conference that is {state} cannot take the step {step}."""


class InTheFuture(DomainError):
    """The day of the step {step} has not come yet."""

    status = 422


class TooEarly(DomainError):
    """The day of the step {step} is before {earliest}."""

    status = 422


class FactsContested(DomainError):
    """Contested facts are not suitable for a conference."""


class ResponsibilityDenied(DomainError):
    """Without responsibility accepted there is nothing to repair together: not suitable for a conference."""


class NotSuitable(DomainError):
    """The screening found no conference suitable, so none is offered."""


class PartyTwice(DomainError):
    """This person is a party already."""


class ResponsiblePersonMissing(DomainError):
    """The student whom the referral is about is not yet a party who caused harm."""


class AffectedPersonMissing(DomainError):
    """Nobody is a party who was harmed or who speaks for those affected."""


class ConsentMissing(DomainError):
    """This person has not agreed to take part."""


class PreparationMissing(DomainError):
    """Not everybody who takes part has been prepared apart."""


class ItemsMissing(DomainError):
    """An agreement has at least one item."""

    status = 422


class ItemKept(DomainError):
    """This item is kept already."""


class ItemsOpen(DomainError):
    """Not every item of the agreement is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; ``possible_in`` are the states in which it may be taken, ``on`` the day it was taken, if it has one."""

    name: ClassVar[str]
    possible_in: ClassVar[frozenset[State]]

    on: date | None = None

    def changes_nothing(self, conference: Conference) -> bool:
        """Whether it is without effect whatever the state."""
        return False

    def of(self, conference: Conference) -> Conference:
        """What the conference becomes."""
        raise NotImplementedError

    def not_before(self, earliest: date | None, what: str) -> None:
        """Refuse a day before ``earliest``."""
        if self.on is not None and earliest is not None and self.on < earliest:
            raise TooEarly(step=self.name, earliest=what)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedStep(Step):
    """A step that always has a day."""

    on: date


def decide(conference: Conference, step: Step, *, today: date) -> Conference:
    """What ``conference`` becomes by ``step``; the same object where nothing changes.

    Raises:
        StepOutOfOrder: not in this state.
        InTheFuture: its day has not come.
        DomainError: what the step itself needs is missing.
    """
    if step.changes_nothing(conference):
        return conference
    if conference.state not in step.possible_in:
        raise StepOutOfOrder(step=step.name, state=conference.state.value)
    if step.on is not None and step.on > today:
        raise InTheFuture(step=step.name)
    return step.of(conference)


def gathered(conference: Conference) -> Conference:
    """The conference with the state that follows from who has agreed, who is prepared and whether a time is set."""
    taking_part = [party for party in conference.parties if party.part is not None]
    if any(party.essential and party.part is None for party in conference.parties):
        state = State.CONSENTING
    elif conference.scheduled_at is None or any(party.prepared_on is None for party in taking_part):
        state = State.PREPARING
    else:
        state = State.SCHEDULED
    scheduled_at = conference.scheduled_at if state is State.SCHEDULED else None
    return replace(conference, state=state, scheduled_at=scheduled_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen(Step):
    """Judge whether a conference is suitable; it may be judged anew until one is offered."""

    name = "screen"
    possible_in = BEFORE_THE_OFFER

    suitable: bool
    facts_contested: bool = False
    responsibility_denied: bool = False

    def of(self, conference: Conference) -> Conference:
        """Screened, suitable or not.

        Source: domain, restorative practice: contested facts are not suitable; the responsible person accepts responsibility.

        Raises:
            FactsContested: found suitable although facts are contested.
            ResponsibilityDenied: found suitable although responsibility is denied.
        """
        if self.suitable and self.facts_contested:
            raise FactsContested
        if self.suitable and self.responsibility_denied:
            raise ResponsibilityDenied
        return replace(conference, state=State.SCREENED, suitable=self.suitable)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddParty(Step):
    """Add a person, until the conference is held; whoever joins after the offer is asked and prepared as well."""

    name = "party"
    possible_in = BEFORE_THE_OFFER | GATHERING

    party: Party

    def of(self, conference: Conference) -> Conference:
        """With one more party.

        Raises:
            PartyTwice: this student or staff member is one already.
        """
        if any(self.party.same_person(other) for other in conference.parties):
            raise PartyTwice
        joined = replace(conference, parties=(*conference.parties, self.party))
        return gathered(joined) if conference.state in GATHERING else joined


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(DatedStep):
    """Offer the conference; from here on the proposed days are frozen."""

    name = "offer"
    possible_in = frozenset({State.SCREENED})

    def of(self, conference: Conference) -> Conference:
        """Consenting.

        Raises:
            NotSuitable: the screening says so.
            ResponsiblePersonMissing: the referral's student is not a party who caused harm.
            AffectedPersonMissing: nobody harmed, affected or of staff is a party.
        """
        if not conference.suitable:
            raise NotSuitable
        roles = {party.role for party in conference.parties}
        if (conference.student_id, Role.CAUSED_HARM) not in {(p.student_id, p.role) for p in conference.parties}:
            raise ResponsiblePersonMissing
        if not roles & {Role.HARMED, Role.COMMUNITY, Role.STAFF}:
            raise AffectedPersonMissing
        self.not_before(conference.happened_on, "the day of the incident")
        return gathered(replace(conference, offered_on=self.on))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agree(DatedStep):
    """A party agrees to take part, in person, by a surrogate or in writing."""

    name = "consent"
    possible_in = GATHERING

    party_id: UUID
    part: Part

    def of(self, conference: Conference) -> Conference:
        """With this party taking part."""
        self.not_before(conference.offered_on, "the offer")
        party = conference.party(self.party_id)
        return gathered(_with_party(conference, replace(party, part=self.part, agreed_on=self.on)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(DatedStep):
    """A party refuses, or stops. Without who caused harm, or who was harmed, the conference ends as declined.

    Who refused is kept nowhere: a refuser looks like somebody never asked, and a declined conference forgets who agreed.
    """

    name = "refuse"
    possible_in = GATHERING

    party_id: UUID

    def changes_nothing(self, conference: Conference) -> bool:
        """Said again after the conference went on, or ended, without them."""
        settled = conference.offered_on is not None and conference.state not in GATHERING
        return settled and conference.party(self.party_id).part is None

    def of(self, conference: Conference) -> Conference:
        """Without this party, or declined."""
        self.not_before(conference.offered_on, "the offer")
        party = conference.party(self.party_id)
        if party.essential:
            unasked = tuple(_unasked(other) for other in conference.parties)
            return replace(conference, state=State.DECLINED, parties=unasked, scheduled_at=None, ended_on=self.on)
        return gathered(_with_party(conference, _unasked(party)))


def answer(conference: Conference, party_id: UUID, *, given: bool, part: Part | None, on: date) -> Agree | Refuse:
    """The step that a party's answer is: who was harmed may stay away and still take part, by a surrogate or in writing."""
    apart = part in (Part.SURROGATE, Part.WRITTEN) and conference.party(party_id).role is Role.HARMED
    if given or apart:
        return Agree(on=on, party_id=party_id, part=part or Part.IN_PERSON)
    return Refuse(on=on, party_id=party_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare(DatedStep):
    """Meet one party apart before the conference."""

    name = "prepare"
    possible_in = frozenset({State.PREPARING})

    party_id: UUID

    def of(self, conference: Conference) -> Conference:
        """With this party prepared.

        Raises:
            ConsentMissing: they have not agreed to take part.
        """
        party = conference.party(self.party_id)
        if party.part is None:
            raise ConsentMissing
        self.not_before(party.agreed_on, "the consent")
        return _with_party(conference, replace(party, prepared_on=self.on))


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Step):
    """Set the time, or another time; it may lie ahead."""

    name = "schedule"
    possible_in = frozenset({State.PREPARING, State.SCHEDULED})

    at: datetime

    def of(self, conference: Conference) -> Conference:
        """Scheduled.

        Raises:
            PreparationMissing: somebody who takes part has not been prepared.
        """
        if any(party.part is not None and party.prepared_on is None for party in conference.parties):
            raise PreparationMissing
        return replace(conference, state=State.SCHEDULED, scheduled_at=self.at)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(DatedStep):
    """The facilitator takes the referral back, at any time before its end."""

    name = "withdraw"
    possible_in = UNDER_WAY

    def of(self, conference: Conference) -> Conference:
        """Withdrawn."""
        self.not_before(conference.held_on or conference.offered_on or conference.happened_on, "what came before it")
        return replace(conference, state=State.WITHDRAWN, ended_on=self.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack(DatedStep):
    """The SIS took back the incident, or the last exclusion, before a conference was offered: nothing is left to replace."""

    name = "take_back"
    possible_in = BEFORE_THE_OFFER

    def of(self, conference: Conference) -> Conference:
        """Withdrawn by the data."""
        return replace(conference, state=State.WITHDRAWN, taken_back=True, ended_on=self.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore(DatedStep):
    """The SIS brought back what it had taken back; the referral goes on where it was."""

    name = "restore"
    possible_in = frozenset({State.WITHDRAWN})

    def of(self, conference: Conference) -> Conference:
        """Proposed or screened, as before.

        Raises:
            StepOutOfOrder: a person withdrew it, and what a person ended stays ended.
        """
        if not conference.taken_back:
            raise StepOutOfOrder(step=self.name, state=conference.state.value)
        state = State.PROPOSED if conference.suitable is None else State.SCREENED
        return replace(conference, state=state, taken_back=False, ended_on=None)


def follow_data(conference: Conference, *, stands: bool, today: date) -> Conference:
    """What becomes of it when the SIS speaks; ``stands``: the incident and at least one exclusion stand.

    Only before the offer: an exclusion may be taken back *because* a conference was offered, so what was offered goes on.
    """
    if not stands and conference.state in BEFORE_THE_OFFER:
        return decide(conference, TakeBack(on=today), today=today)
    if stands and conference.taken_back:
        return decide(conference, Restore(on=today), today=today)
    return conference


def _with_party(conference: Conference, changed: Party) -> Conference:
    parties = tuple(changed if party.id == changed.id else party for party in conference.parties)
    return replace(conference, parties=parties)


def _unasked(party: Party) -> Party:
    return replace(party, part=None, agreed_on=None, prepared_on=None)
