"""Taking a referral back, by a person or because the SIS took back its ground."""

from dataclasses import dataclass, replace
from datetime import date

from restorative.rules.conference import BEFORE_THE_OFFER, UNDER_WAY, Conference, State
from restorative.rules.steps import DatedStep, StepOutOfOrder, decide


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
