"""Gathering people: screening, the offer, each party's answer and preparation, and the time.

Between the offer and the meeting the state is computed: it follows from who takes part and who is prepared
(:func:`gathered`).
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from common.errors import DomainError
from restorative.rules.conference import BEFORE_THE_OFFER, GATHERING, Conference, Part, Party, Role, State
from restorative.rules.steps import DatedStep, Step


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


def _with_party(conference: Conference, changed: Party) -> Conference:
    parties = tuple(changed if party.id == changed.id else party for party in conference.parties)
    return replace(conference, parties=parties)


def _unasked(party: Party) -> Party:
    return replace(party, part=None, agreed_on=None, prepared_on=None)
