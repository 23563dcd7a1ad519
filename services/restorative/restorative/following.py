"""How referrals follow what the SIS says of incidents and actions, in whatever order it says it.

Facts are stored first; then every referral they touch is settled once. Before the offer a referral stands on the
exclusions that stand, and is withdrawn when none is left, or when the incident is gone; if they come back, so does it.
From the offer on its proposed days stay as they are and only the days served follow. An action that names several
incidents counts in the first referral that it opened.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.db import district_date, transaction_time
from common.events import ExclusionRecorded, IncidentRecorded
from restorative.announcements import announce, facts
from restorative.conferences import conference_of, keep_state, read_case
from restorative.models import Action, Incident, Referral, StepRow
from restorative.policy import POLICY
from restorative.rules.conference import BEFORE_THE_OFFER, State
from restorative.rules.exclusion import Exclusion, free_for, frozen, hundredths_proposed, hundredths_served, kept_by
from restorative.rules.withdrawal import follow_data

Matter = tuple[UUID, UUID]
"""A student and an incident: what a referral is about."""

_LOCK_STUDENTS = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended(student, 0)) FROM unnest(CAST(:students AS text[])) AS student"
)


async def lock_students(session: AsyncSession, students: Iterable[UUID]) -> None:
    """Let nobody else open or settle referrals of these students until this transaction ends."""
    await session.execute(_LOCK_STUDENTS, {"students": sorted(map(str, set(students)))})


async def keep_facts(session: AsyncSession, heard: Sequence[IncidentRecorded | ExclusionRecorded]) -> None:
    """Store what is newer than what we know."""
    await _keep_incidents(session, [event for event in heard if isinstance(event, IncidentRecorded)])
    await _keep_actions(session, [event for event in heard if isinstance(event, ExclusionRecorded)])


async def settle(session: AsyncSession, students: Iterable[UUID], *, by_hand: Matter | None = None) -> None:
    """Open, withdraw or restore the referrals of these students as the facts ask, and count their days.

    The students are locked by the caller. ``by_hand``: what a facilitator asks to be opened, also for actions that were
    heard late.
    """
    at = await transaction_time(session)
    dockets = sorted(await _dockets(session, set(students)), key=_Docket.order)
    for docket in dockets:
        docket.release()
    for docket in dockets:
        if docket.referral is None:
            await _open(session, docket, at, by_hand=docket.matter == by_hand)
        if docket.referral is not None:
            await _follow(session, docket, docket.referral, at)


@dataclass
class _Docket:
    """One matter with all facts about it."""

    matter: Matter
    incidents: list[Incident]
    """Only what stands, the earliest first."""
    actions: list[Action]
    """All actions on this student, shared with the student's other matters."""
    referral: Referral | None

    @property
    def incident_id(self) -> UUID:
        """The incident it is about."""
        return self.matter[1]

    def order(self) -> tuple[date, Matter]:
        """Earlier incidents first: an action that names several counts in the first."""
        return self.incidents[0].on if self.incidents else date.max, self.matter

    def exclusions(self) -> list[Exclusion]:
        """The student's exclusions as the rules see them."""
        return [_exclusion_of(action) for action in self.actions if action.hundredths_frozen is not None]

    def mine(self) -> list[Exclusion]:
        """Those that count in this referral."""
        return [each for each in self.exclusions() if self.referral and each.referral_id == self.referral.id]

    def release(self) -> None:
        """Before the offer, let go of what no longer stands for this incident, so that it may count in another."""
        if self.referral and (self.referral.taken_back or self.referral.state in BEFORE_THE_OFFER):
            kept = kept_by(self.referral.id, self.incident_id, self.mine()) if self.incidents else ()
            self.claim(None, set(self.mine()) - set(kept))

    def claim(self, referral_id: UUID | None, claimed: Iterable[Exclusion]) -> None:
        """Let these exclusions count in that referral, or in none."""
        ids = {exclusion.id for exclusion in claimed}
        for action in self.actions:
            if action.action_id in ids:
                action.referral_id = referral_id


async def _open(session: AsyncSession, docket: _Docket, at: datetime, *, by_hand: bool) -> None:
    if not docket.incidents or not free_for(docket.incident_id, docket.exclusions(), late_too=by_hand):
        return
    docket.referral = Referral(
        id=uuid_utils.uuid7(),
        student_id=docket.matter[0],
        incident_id=docket.matter[1],
        school_id=docket.incidents[0].school_id,
        happened_on=docket.incidents[0].on,
        opened_at=at,
        by_hand=by_hand,
        policy=POLICY.version,
        state=State.PROPOSED,
    )
    session.add(docket.referral)
    await session.flush()  # before any action counts in it
    if not by_hand:
        _note(session, docket.referral, "open", at)


async def _follow(session: AsyncSession, docket: _Docket, referral: Referral, at: datetime) -> None:
    if referral.taken_back or referral.state in BEFORE_THE_OFFER:
        _stand_on(session, docket, referral, at)
    elif referral.offered_on is not None:
        docket.claim(referral.id, free_for(docket.incident_id, docket.exclusions(), late_too=True))
    served = hundredths_served(docket.mine())
    if served == referral.hundredths_served:
        return
    referral.hundredths_served = served
    if referral.state == State.COMPLETED:
        await announce(session, facts(await read_case(session, referral.id, sa.true())))


def _stand_on(session: AsyncSession, docket: _Docket, referral: Referral, at: datetime) -> None:
    """Before the offer: count what stands now, and withdraw or restore the referral if nothing, or something again, does."""
    if docket.incidents:
        docket.claim(referral.id, free_for(docket.incident_id, docket.exclusions(), late_too=referral.by_hand))
        referral.happened_on, referral.school_id = docket.incidents[0].on, docket.incidents[0].school_id
    referral.hundredths_proposed = hundredths_proposed(docket.mine())
    before = conference_of(referral)
    after = follow_data(before, stands=bool(docket.mine()), today=district_date(session, at))
    if after != before:
        keep_state(referral, after)
        _note(session, referral, "take_back" if after.taken_back else "restore", at)


def _note(session: AsyncSession, referral: Referral, step: str, at: datetime) -> None:
    session.add(
        StepRow(id=uuid_utils.uuid7(), referral_id=referral.id, step=step, taken_at=at, on=district_date(session, at))
    )


def _exclusion_of(action: Action) -> Exclusion:
    return Exclusion(
        id=action.action_id,
        incident_ids=frozenset(action.incident_ids),
        hundredths_proposed=action.hundredths_frozen or 0,
        hundredths_served=action.hundredths_served,
        late=POLICY.late(on=action.on, heard_on=action.first_heard_on),
        stands=not action.deleted and POLICY.excludes(action.descriptors),
        referral_id=action.referral_id,
    )


async def _keep_incidents(session: AsyncSession, heard: Sequence[IncidentRecorded]) -> None:
    ids = {event.association_id for event in heard}
    rows = await session.scalars(sa.select(Incident).where(col(Incident.association_id).in_(ids)))
    known = {row.association_id: row for row in rows}
    for event in heard:
        before = known.get(event.association_id)
        if before is None or event.revision > before.revision:
            row = known[event.association_id] = before or Incident(**event.model_dump())
            session.add(row.sqlmodel_update(event.model_dump()))


async def _keep_actions(session: AsyncSession, heard: Sequence[ExclusionRecorded]) -> None:
    at = await transaction_time(session)
    pair = sa.tuple_(col(Action.action_id), col(Action.student_id))
    rows = await session.scalars(sa.select(Action).where(pair.in_({event.fact_key for event in heard})))
    known = {(row.action_id, row.student_id): row for row in rows}
    for event in heard:
        before = known.get((event.action_id, event.student_id))
        if before is None or event.revision > before.revision:
            known[event.action_id, event.student_id] = row = _heard(before, event, district_date(session, at))
            session.add(row)


def _heard(before: Action | None, event: ExclusionRecorded, today: date) -> Action:
    excludes = not event.deleted and POLICY.excludes(event.actions)
    proposes = frozen(
        before.hundredths_frozen if before else None, proposed=event.hundredths_proposed, excludes=excludes
    )
    values: dict[str, Any] = {
        "incident_ids": list(event.incident_ids),
        "descriptors": list(event.actions),
        "staff_ids": list(event.staff_ids),
        "on": event.on,
        "hundredths_frozen": proposes,
        "hundredths_served": event.hundredths_served,
        "revision": event.revision,
        "deleted": event.deleted,
    }
    if before is None:
        return Action(action_id=event.action_id, student_id=event.student_id, first_heard_on=today, **values)
    return before.sqlmodel_update(values)


async def _dockets(session: AsyncSession, students: set[UUID]) -> list[_Docket]:
    actions, incidents = defaultdict(list), defaultdict(list)
    for action in await session.scalars(sa.select(Action).where(col(Action.student_id).in_(students))):
        actions[action.student_id].append(action)
    standing = sa.select(Incident).where(col(Incident.student_id).in_(students), ~col(Incident.deleted))
    for incident in await session.scalars(standing.order_by(col(Incident.on), col(Incident.association_id))):
        incidents[incident.student_id, incident.incident_id].append(incident)
    locked = sa.select(Referral).where(col(Referral.student_id).in_(students)).order_by(col(Referral.id))
    # Read anew: who held the lock before us may have taken a step.
    rows = await session.scalars(locked.with_for_update(), execution_options={"populate_existing": True})
    referrals = {(row.student_id, row.incident_id): row for row in rows}
    return [
        _Docket(matter, incidents.get(matter, []), actions[matter[0]], referrals.get(matter))
        for matter in incidents.keys() | referrals.keys()
    ]
