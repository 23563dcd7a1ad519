"""What notifications hears. A handler only writes rows: who is told is decided, and telling is done, outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.events import (
    AgreementCompleted,
    AlertRaised,
    Cause,
    ConferenceOffered,
    SchoolCalendarSet,
    Tier,
    TierDecided,
    UrgentHelpRequested,
)
from common.routing import EventRouter
from common.scope import events as scope_events
from notifications.ledger import Matter, Opening, ask_about_told, open_occasions, withdraw
from notifications.models import Alert, Calendar, UrgentHelp
from notifications.rules.timing import TIER, opens

events = EventRouter()
events.include(scope_events)


_SUPPORTED = (Tier.TARGETED, Tier.INTENSIVE)
"""Families are told of extra support once: a student who gets more, or less of it, still has it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an event says about one matter, in the words of notifications."""

    matter: Matter
    school_id: str
    effective_on: date
    revision: int
    stands: bool
    changed: bool | None
    """Whether the event says that it became so; ``None``: it became so when it was first heard."""
    taken_back: bool
    decision_id: UUID | None = None
    told: bool = True
    """Whether families are to be told of it at all."""


_KNOWN = sa.text(
    """
    SELECT f.student_id, f.purpose, f.ground, f.revision, f.stands FROM notifications_fact AS f
    JOIN unnest(CAST(:students AS uuid[]), CAST(:purposes AS text[]), CAST(:grounds AS text[])) AS m(student_id, purpose, ground)
      ON (f.student_id, f.purpose, f.ground) = (m.student_id, m.purpose, m.ground)
    FOR UPDATE OF f
    """
)
_STORE = sa.text(
    """
    INSERT INTO notifications_fact (student_id, purpose, ground, revision, stands, decision_id)
    SELECT * FROM unnest(CAST(:students AS uuid[]), CAST(:purposes AS text[]), CAST(:grounds AS text[]),
                         CAST(:revisions AS bigint[]), CAST(:stands AS bool[]), CAST(:decisions AS uuid[]))
    ON CONFLICT (student_id, purpose, ground) DO UPDATE
    SET revision = excluded.revision, stands = excluded.stands, decision_id = excluded.decision_id
    WHERE notifications_fact.revision < excluded.revision
    """
)


@events.on_batch(TierDecided, ConferenceOffered, AgreementCompleted)
async def note_what_to_tell(
    heard: Sequence[TierDecided | ConferenceOffered | AgreementCompleted], session: AsyncSession
) -> None:
    """Note what became so and is to be told, and cancel what no longer is."""
    said = [_in_our_words(event) for event in heard]
    known = await _known(session, [each.matter for each in said])
    last: dict[Matter, Heard] = {}
    openings: dict[Matter, Opening] = {}
    fallen: set[Matter] = set()
    for each in said:
        revision, stood = known.get(each.matter, (0, None))
        if each.revision <= revision:
            continue
        changed = stood is None if each.changed is None else each.changed
        if each.told and opens(stands=each.stands, changed=changed, known_to_stand=stood):
            openings[each.matter] = Opening(each.matter, each.school_id, each.effective_on)
        if not each.stands:
            openings.pop(each.matter, None)
        if not each.stands or (stood and each.matter in openings):  # what stood before has ended, or begun anew
            fallen.add(each.matter)
        known[each.matter], last[each.matter] = (each.revision, each.stands), each
    await _store(session, list(last.values()))
    await withdraw(session, list(fallen))
    await open_occasions(session, list(openings.values()))
    await ask_about_told(session, [matter for matter, each in last.items() if each.taken_back])


@events.on_batch(SchoolCalendarSet)
async def keep_calendars(heard: Sequence[SchoolCalendarSet], session: AsyncSession) -> None:
    """Keep the instructional days of each school and year."""
    newest: dict[tuple[str, int], SchoolCalendarSet] = {}
    for event in heard:
        key = event.school_id, event.school_year
        if key not in newest or event.revision > newest[key].revision:
            newest[key] = event
    rows = [
        {
            "school_id": event.school_id,
            "school_year": event.school_year,
            "revision": event.revision,
            "instructional_days": [] if event.deleted else list(event.instructional_days),
        }
        for event in newest.values()
    ]
    statement = insert(Calendar).values(rows)
    newer = {"revision": statement.excluded.revision, "instructional_days": statement.excluded.instructional_days}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["school_id", "school_year"],
            set_=newer,
            where=col(Calendar.revision) < statement.excluded.revision,
        )
    )


@events.on_batch(AlertRaised)
async def keep_alerts(heard: Sequence[AlertRaised], session: AsyncSession) -> None:
    """Keep what district IT is to be told, and forget that it was told where an alert has come to another age."""
    newest: dict[tuple[Any, ...], AlertRaised] = {}
    for event in heard:
        if event.fact_key not in newest or event.revision > newest[event.fact_key].revision:
            newest[event.fact_key] = event
    rows = [
        {**event.model_dump(include={"kind", "about", "since", "school_days", "revision"}), "over": event.deleted}
        for event in newest.values()
    ]
    statement = insert(Alert).values(rows)
    newer = {name: statement.excluded[name] for name in ("school_days", "revision", "over", "told_at")}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "about", "since"],
            set_=newer,
            where=col(Alert.revision) < statement.excluded.revision,
        )
    )


@events.on_batch(UrgentHelpRequested)
async def keep_urgent_help(heard: Sequence[UrgentHelpRequested], session: AsyncSession) -> None:
    """Keep what cannot wait until it is answered: staff are to be told of it at once."""
    newest: dict[UUID, UrgentHelpRequested] = {}
    for event in heard:
        if event.request_id not in newest or event.revision > newest[event.request_id].revision:
            newest[event.request_id] = event
    rows = [
        {**event.model_dump(include={"request_id", "school_id", "revision"}), "answered": event.deleted}
        for event in newest.values()
    ]
    statement = insert(UrgentHelp).values(rows)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["request_id"],
            set_={name: statement.excluded[name] for name in ("revision", "answered")},
            where=col(UrgentHelp.revision) < statement.excluded.revision,
        )
    )


def _in_our_words(event: TierDecided | ConferenceOffered | AgreementCompleted) -> Heard:
    match event:
        case TierDecided():
            return Heard(
                matter=Matter(event.student_id, TIER, Tier.TARGETED),
                school_id=event.school_id,
                effective_on=event.effective_on,
                revision=event.revision,
                stands=event.tier in _SUPPORTED and not event.deleted,
                changed=event.tier_before not in _SUPPORTED,
                taken_back=event.tier not in _SUPPORTED and event.cause in (Cause.WITHDRAWN, Cause.CORRECTED),
                decision_id=event.decision_id,
                told=event.tells_families,
            )
        case ConferenceOffered():
            return _of_conference(event, "conference_offered", event.offered_on)
        case AgreementCompleted():
            return _of_conference(event, "agreement_completed", event.completed_on)


def _of_conference(event: ConferenceOffered | AgreementCompleted, purpose: str, effective_on: date) -> Heard:
    return Heard(
        matter=Matter(event.student_id, purpose, str(event.conference_id)),
        school_id=event.school_id,
        effective_on=effective_on,
        revision=event.revision,
        stands=not event.deleted,
        changed=None,
        taken_back=event.deleted,
    )


async def _known(session: AsyncSession, matters: Sequence[Matter]) -> dict[Matter, tuple[int, bool | None]]:
    distinct = list(dict.fromkeys(matters))
    rows = await session.execute(
        _KNOWN,
        {
            "students": [matter.student_id for matter in distinct],
            "purposes": [matter.purpose for matter in distinct],
            "grounds": [matter.ground for matter in distinct],
        },
    )
    return {Matter(student, purpose, ground): (revision, stands) for student, purpose, ground, revision, stands in rows}


async def _store(session: AsyncSession, facts: Sequence[Heard]) -> None:
    if facts:
        await session.execute(
            _STORE,
            {
                "students": [each.matter.student_id for each in facts],
                "purposes": [each.matter.purpose for each in facts],
                "grounds": [each.matter.ground for each in facts],
                "revisions": [each.revision for each in facts],
                "stands": [each.stands for each in facts],
                "decisions": [each.decision_id for each in facts],
            },
        )
