"""What a batch of rows does to the documents that stand, before anything is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from uuid import UUID, uuid4

import uuid_utils.compat as uuid_utils

from common.db import next_revision
from common.errors import DomainError, Invalid, NotFound
from sis.rows import Row, Target
from sis.rules.documents import Outcome, follow, outcome_of
from sis.standing import Standing


class UnknownReference(Invalid):
    """{field}: {rule}"""  # noqa: D415 (the message of a field error is not a sentence)

    status = 409


class StillReferredTo(DomainError):
    """Other documents still refer to this one; delete those first."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one row, and the document it is about as it stands after the row."""

    outcome: Outcome
    id: UUID
    revision: int


Result = Written | DomainError


@dataclass(slots=True)
class Plan:
    """Results by row, and by key what is to be stored and what it supersedes."""

    results: dict[int, Result] = field(default_factory=dict)
    changes: dict[str, Standing] = field(default_factory=dict)
    """The last state of each key that must be stored."""
    superseded: dict[str, list[Standing]] = field(default_factory=dict)
    """What stood before, also in between, in order."""


def decide(
    found: Mapping[str, Standing],
    waiting: Mapping[int, Row],
    at: datetime,
    *,
    random_ids: bool,
    linked: Mapping[Target, UUID] | None = None,
    kept: frozenset[UUID] = frozenset(),
) -> Plan:
    """What each row does, each key in the order of its rows.

    Where ``linked`` is given, a row may change something only if all it refers to is in it; ``kept`` are documents
    that must not be deleted.
    """
    plan = Plan()
    by_key = sorted(waiting.items(), key=lambda item: (item[1].key, item[0]))
    for key, group in groupby(by_key, key=lambda item: item[1].key):
        standing = found.get(key)
        turn = standing.turn + 1 if standing else 1
        for index, row in group:
            outcome = outcome_of(standing.content if standing else None, row.content)
            refusal = _refusal(row, outcome, standing, linked, kept)
            if refusal:
                plan.results[index] = refusal
                continue
            after = _after(standing, row, outcome, at, turn, random_ids=random_ids)
            plan.results[index] = Written(outcome, after.id, after.revision)
            if outcome.changes:
                plan.superseded.setdefault(key, []).extend([standing] if standing else [])
            if after is not standing:
                standing = plan.changes[key] = after
    return plan


def _refusal(
    row: Row,
    outcome: Outcome,
    standing: Standing | None,
    linked: Mapping[Target, UUID] | None,
    kept: frozenset[UUID],
) -> DomainError | None:
    if outcome is Outcome.MISSING:
        return NotFound(what="document")
    if not outcome.changes:
        return None
    if standing and row.deletes and standing.id in kept:
        return StillReferredTo()
    unknown = next((one for one, target in row.targets if linked is not None and target not in linked), None)
    if unknown is None:
        return None
    return UnknownReference(field=f"$.{unknown.at}", rule=f"must refer to one of the {unknown.to} known here")


def _after(
    standing: Standing | None, row: Row, outcome: Outcome, at: datetime, turn: int, *, random_ids: bool
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
        id=standing.id if standing else (uuid4() if random_ids else uuid_utils.uuid7()),
        key=row.key,
        content=content,
        revision=next_revision(standing.revision if standing else None, at),
        known_at=at,
        school_id=row.school_id,
        on=row.on,
        targets=tuple(target for _, target in row.targets),
        turn=turn,
    )
