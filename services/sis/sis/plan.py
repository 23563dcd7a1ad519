"""What a batch of rows does to the documents that stand, before anything is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from types import MappingProxyType
from uuid import UUID, uuid4

from common.db import next_revision
from common.errors import DomainError, Invalid, NotFound
from common.ids import new_id
from sis.resources import Reference
from sis.rows import Row, Target
from sis.rules.documents import Content, Outcome, follow, outcome_of
from sis.rules.waiting import Waits
from sis.standing import Standing


class UnknownReference(Invalid):
    """{field}: {rule}"""  # noqa: D415 (the message of a field error is not a sentence)

    status = 409


class StillReferredTo(DomainError):
    """Others still refer to this one: documents, which are deleted first, or the policy, which names its code."""


@dataclass(slots=True)  # not frozen: one is made for each row, and that would make it three times as dear
class Written:
    """What came of one row, and the document it is about as it stands after the row."""

    outcome: Outcome
    id: UUID
    revision: int
    known: bool = False
    """Of a row that waits: whether its document, or an earlier row of it, was there before."""


Result = Written | DomainError


@dataclass(frozen=True, slots=True)
class Turn:
    """A row that shall wait from now on, for which documents, and how that is answered; or the mark of one taken back."""

    waits: Waits
    row: Row
    awaited: Sequence[Target]
    result: Result


@dataclass(slots=True)
class Plan:
    """Results by row, and by key what is to be stored and what it supersedes."""

    results: dict[int, Result] = field(default_factory=dict)
    changes: dict[str, Standing] = field(default_factory=dict)
    """The last state of each key that must be stored."""
    superseded: dict[str, list[Standing]] = field(default_factory=dict)
    """What stood before, also in between, in order."""
    room: dict[str, Turn | None] = field(default_factory=dict)
    """What shall wait for each key that is not as it was: ``None`` where nothing shall."""


def decide(
    found: Mapping[str, Standing],
    waiting: Mapping[int, Row],
    at: datetime,
    *,
    random_ids: bool,
    linked: Mapping[Target, UUID] | None = None,
    kept: frozenset[UUID] = frozenset(),
    room: Mapping[str, Waits] = MappingProxyType({}),
    may_wait: bool = False,
) -> Plan:
    """What each row does, each key in the order of its rows.

    Where ``linked`` is given, a row may change something only if all it refers to is in it, and waits otherwise if it
    may; ``kept`` are documents that must not be deleted. What waits in ``room`` came after what was found: a row that
    is not older takes its place, there or, if it can be applied, among the documents.
    """
    plan = Plan()
    by_key = sorted(waiting.items(), key=lambda item: (item[1].key, item[0]))
    for key, group in groupby(by_key, key=lambda item: item[1].key):
        standing, waits = found.get(key), room.get(key)
        turn = standing.turn + 1 if standing else 1
        for index, row in group:
            if waits and waits.is_newer_than(row.content.modified_at):
                plan.results[index] = Written(Outcome.STALE, waits.id, waits.revision)
                continue
            row = _whole(row, standing, waits)
            outcome = outcome_of(standing.content if standing else None, row.content)
            missing = _missing(row, outcome, linked)
            stays = _in_the_room(standing, waits, row, outcome, missing if may_wait else (), at, random_ids=random_ids)
            if stays:
                plan.room[key], waits, plan.results[index] = stays, stays.waits, stays.result
                continue
            refusal = _refusal(row, outcome, standing, missing, kept)
            if refusal:
                plan.results[index] = refusal
                continue
            after = _after(standing, _as_late_as(waits, row), outcome, at, turn, waits, random_ids=random_ids)
            if waits:
                plan.room[key] = waits = None
            plan.results[index] = Written(outcome, after.id, after.revision)
            if outcome.changes:
                plan.superseded.setdefault(key, []).extend([standing] if standing else [])
            if after is not standing:
                standing = plan.changes[key] = after
    return plan


def _whole(row: Row, standing: Standing | None, waits: Waits | None) -> Row:
    """``row`` with the sealed members that it leaves as they were last told: by what waits, or else what stands."""
    before = waits or (standing if standing and not standing.content.deleted else None)
    if row.unsaid is None or before is None:
        return row
    secret = waits.secret if waits else standing.content.secret if standing else {}
    kept = row.unsaid.kept(before.id, before.revision, secret)
    return replace(row, content=replace(row.content, secret={**kept, **row.content.secret})) if kept else row


def _missing(row: Row, outcome: Outcome, linked: Mapping[Target, UUID] | None) -> Sequence[tuple[Reference, Target]]:
    """The references that keep ``row`` from changing anything."""
    if linked is None or not outcome.changes:
        return ()
    return [(one, target) for one, target in row.targets if target not in linked]


def _in_the_room(
    standing: Standing | None,
    waits: Waits | None,
    row: Row,
    outcome: Outcome,
    missing: Sequence[tuple[Reference, Target]],
    at: datetime,
    *,
    random_ids: bool,
) -> Turn | None:
    """What waits after ``row`` where that does not reach the documents: itself, or a mark where it takes back what waited.

    A deletion that is dated leaves a mark too where nothing is there: what it takes back may come after it.
    """
    waited = waits is not None and not waits.taken_back
    takes_back = outcome is Outcome.MISSING and (waited or _is_news(row, waits, standing))
    if not (takes_back or missing):
        return None
    # As if the row that waits stood: the later of both dates counts.
    before = Content({}, {}, waits.modified_at) if waits else None
    stood = waits or standing
    identity = stood.id if stood else _new_id(random_ids=random_ids)
    revision = next_revision(stood.revision if stood else None, at)
    modified_at = follow(before, row.content, at).modified_at
    turn = Waits(identity, revision, modified_at, takes_back, {} if takes_back else row.content.secret)
    if takes_back:
        result: Result = Written(Outcome.DELETED, identity, revision) if waited else NotFound(what="document")
        return Turn(turn, row, (), result)
    known = waited or (standing is not None and not standing.content.deleted)
    return Turn(turn, row, [target for _, target in missing], Written(Outcome.WAITING, identity, revision, known))


def _is_news(row: Row, waits: Waits | None, standing: Standing | None) -> bool:
    """Whether ``row`` is dated, and later than anything told before."""
    dates = [waits.modified_at if waits else None, standing.content.modified_at if standing else None]
    at = row.content.modified_at
    return at is not None and all(before is None or before < at for before in dates)


def _refusal(
    row: Row,
    outcome: Outcome,
    standing: Standing | None,
    missing: Sequence[tuple[Reference, Target]],
    kept: frozenset[UUID],
) -> DomainError | None:
    if outcome is Outcome.MISSING:
        return NotFound(what="document")
    if standing and outcome.changes and row.deletes and standing.id in kept:
        return StillReferredTo()
    for unknown, _ in missing[:1]:
        return UnknownReference(field=f"$.{unknown.at}", rule=f"must refer to one of the {unknown.to} known here")
    return None


def _as_late_as(waits: Waits | None, row: Row) -> Row:
    """``row`` with the date of the one that waited before it, where it has none: that one counts as heard."""
    if waits is None or waits.modified_at is None or row.content.modified_at:
        return row
    return replace(row, content=replace(row.content, modified_at=waits.modified_at))


def _new_id(*, random_ids: bool) -> UUID:
    return uuid4() if random_ids else new_id()


def _after(
    standing: Standing | None,
    row: Row,
    outcome: Outcome,
    at: datetime,
    turn: int,
    waits: Waits | None,
    *,
    random_ids: bool,
) -> Standing:
    """How the document stands after ``row``; the same object if nothing is to be stored."""
    content = follow(standing.content if standing else None, row.content, at)
    if standing and not outcome.changes:
        if outcome is Outcome.STALE or content.modified_at == standing.content.modified_at:
            return standing
        # The SIS has confirmed later what stands: a row dated between must not undo it.
        return replace(standing, content=replace(standing.content, modified_at=content.modified_at), turn=turn)
    if standing and outcome is Outcome.DELETED:
        revision = next_revision(standing.revision, at)
        return replace(standing, content=content, revision=revision, known_at=at, turn=turn)
    return Standing(
        id=standing.id if standing else waits.id if waits else _new_id(random_ids=random_ids),
        key=row.key,
        content=content,
        revision=next_revision(standing.revision if standing else None, at),
        known_at=at,
        school_id=row.school_id,
        on=row.on,
        targets=tuple(target for _, target in row.targets),
        turn=turn,
    )
