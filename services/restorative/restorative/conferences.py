"""One referral as a whole: its rows as the conference that the rules know, and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from common.access import visible_to
from common.auth import Principal
from common.errors import NotFound
from common.scope import access_policy, left_school
from common.sealed import Vault
from restorative.models import Action, Facilitator, ItemRow, PartyRow, Referral, StepRow
from restorative.rules.conference import Conference, Item, ItemKind, Kind, Part, Party, Role, State


@dataclass
class Case:
    """The rows of one referral."""

    session: AsyncSession
    referral: Referral
    parties: list[PartyRow]
    items: list[ItemRow]
    steps: list[StepRow]

    @property
    def conference(self) -> Conference:
        """The conference as the rules see it."""
        return conference_of(self.referral, self.parties, self.items)

    def become(self, conference: Conference) -> None:
        """Store what the conference became. Texts of new rows are sealed next, before the database sees them."""
        keep_state(self.referral, conference)
        self._keep_parties(conference.parties)
        self._keep_items(conference.items)

    def row(self, row_id: UUID) -> PartyRow | ItemRow:
        """The row of a party or an item that is known to be there."""
        rows: list[PartyRow | ItemRow] = [*self.parties, *self.items]
        return next(row for row in rows if row.id == row_id)

    def note(self, step: str, *, at: datetime, on: date | None = None, **details: Any) -> StepRow:
        """Add a step to the history."""
        row = StepRow(id=uuid_utils.uuid7(), referral_id=self.referral.id, step=step, taken_at=at, on=on, **details)
        self.session.add(row)
        self.steps.append(row)
        return row

    def _keep_parties(self, parties: Sequence[Party]) -> None:
        rows = {row.id: row for row in self.parties}
        for party in parties:
            values = asdict(party)
            if party.id in rows:
                rows[party.id].sqlmodel_update(values)
            else:
                self.parties.append(PartyRow(referral_id=self.referral.id, **values))
                self.session.add(self.parties[-1])

    def _keep_items(self, items: Sequence[Item]) -> None:
        rows = {row.id: row for row in self.items}
        for item in items:
            values = asdict(item)
            if item.id in rows:
                rows[item.id].sqlmodel_update(values)
            else:
                self.items.append(ItemRow(referral_id=self.referral.id, **values))
                self.session.add(self.items[-1])


def conference_of(referral: Referral, parties: Sequence[PartyRow] = (), items: Sequence[ItemRow] = ()) -> Conference:
    """The rows as the rules see them."""
    return Conference(
        student_id=referral.student_id,
        happened_on=referral.happened_on,
        state=State(referral.state),
        suitable=referral.suitable,
        taken_back=referral.taken_back,
        offered_on=referral.offered_on,
        scheduled_at=referral.scheduled_at,
        held_on=referral.held_on,
        ended_on=referral.ended_on,
        parties=tuple(_party_of(row) for row in parties),
        items=tuple(_item_of(row) for row in items),
    )


def keep_state(referral: Referral, conference: Conference) -> None:
    """Store how far the conference has come."""
    referral.state = conference.state
    referral.suitable, referral.taken_back = conference.suitable, conference.taken_back
    referral.offered_on, referral.scheduled_at = conference.offered_on, conference.scheduled_at
    referral.held_on, referral.ended_on = conference.held_on, conference.ended_on


async def read_case(
    session: AsyncSession, referral_id: UUID, visible: sa.ColumnElement[bool], *, lock: bool = False
) -> Case:
    """The referral with all its rows; ``lock``: nobody else takes a step on it until this transaction ends.

    Raises:
        NotFound: there is none, or it is not ``visible``.
    """
    query = sa.select(Referral).where(col(Referral.id) == referral_id, visible)
    referral = (await session.scalars(query.with_for_update() if lock else query)).one_or_none()
    if referral is None:
        raise NotFound(what="referral")
    return Case(
        session,
        referral,
        parties=list(await session.scalars(_of(PartyRow, referral_id))),
        items=list(await session.scalars(_of(ItemRow, referral_id))),
        steps=list(await session.scalars(_of(StepRow, referral_id))),
    )


async def hold(case: Case, staff_id: UUID) -> None:
    """Remember that this facilitator holds the conference."""
    row = {
        "referral_id": case.referral.id,
        "staff_id": staff_id,
        "student_id": case.referral.student_id,
        "school_id": case.referral.school_id,
    }
    await case.session.execute(insert(Facilitator).values(row).on_conflict_do_nothing())


def visible(who: Principal) -> sa.ColumnElement[bool]:
    """Which referrals ``who`` sees: those of the students they see, and those whose conference they hold."""
    mine = sa.exists().where(
        col(Facilitator.referral_id) == col(Referral.id),
        col(Facilitator.staff_id) == who.staff_id,
        ~left_school(col(Facilitator.school_id)),
    )
    holds = mine if "conference" in access_policy().grounds.get(who.role, ()) else sa.false()
    return sa.or_(visible_to(who, col(Referral.student_id)), holds)


async def staff_named(session: AsyncSession, student_id: UUID, incident_id: UUID) -> frozenset[UUID]:
    """The staff whom any action on this student about this incident names, also one taken back since."""
    about = sa.and_(col(Action.student_id) == student_id, col(Action.incident_ids).contains([incident_id]))
    rows = await session.scalars(sa.select(col(Action.staff_ids)).where(about))
    return frozenset(staff for staff_ids in rows for staff in staff_ids)


def canonical(content: Mapping[str, Any]) -> str:
    """Content as text that is equal where the content is."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def seal(vault: Vault, row: PartyRow | ItemRow | StepRow, column: str, text: str) -> None:
    """Write ``text`` into a sealed column of ``row``."""
    setattr(row, column, vault.seal(text, table=str(row.__tablename__), column=column, row=row.id))


def opened(vault: Vault, row: PartyRow | ItemRow | StepRow, column: str) -> str | None:
    """What stands in a sealed column of ``row``; ``None`` if nothing does."""
    sealed: bytes | None = getattr(row, column)
    return None if sealed is None else vault.open(sealed, table=str(row.__tablename__), column=column, row=row.id)


def _of(table: Any, referral_id: UUID) -> Any:
    return sa.select(table).where(table.referral_id == referral_id).order_by(table.id)


def _party_of(row: PartyRow) -> Party:
    return Party(
        id=row.id,
        kind=Kind(row.kind),
        role=Role(row.role),
        student_id=row.student_id,
        school_id=row.school_id,
        staff_id=row.staff_id,
        part=Part(row.part) if row.part else None,
        agreed_on=row.agreed_on,
        prepared_on=row.prepared_on,
    )


def _item_of(row: ItemRow) -> Item:
    return Item(
        id=row.id,
        kind=ItemKind(row.kind),
        by_party=row.by_party,
        for_party=row.for_party,
        due_on=row.due_on,
        kept_on=row.kept_on,
        verified_by=row.verified_by,
    )
