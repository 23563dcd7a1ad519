"""Policies that an upgrade completed say so in their history, and keep the digest by which they were rehearsed and decided before.

Where that was not noted at the time, it is found by what rests on it: the same document without some of what was written into it.
"""

import json
from collections.abc import Iterator
from hashlib import blake2b
from itertools import combinations
from typing import Any

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from alembic import op

revision = "0043"
down_revision = "0042"

_COMPLETED = (
    "proposal_due",
    "declined_rests",
    "override_at_most",
    "override_ends_soon",
    "flapping_within",
    "help_answered",
    "school_silent",
    "equity_alert",
)
_NOTE = "What it left out of review was written into it, as the default policy has it. It decides as before."
_POLICIES = sa.text("SELECT version, document, digest FROM mtss_policy").columns(document=sa.JSON)
_DECIDED = sa.text("SELECT DISTINCT facts->>'policy' FROM mtss_decision WHERE policy = :version AND facts ? 'policy'")
_REHEARSED = sa.text("SELECT policy FROM mtss_rehearsal WHERE policy->>'version' = :version").columns(policy=sa.JSON)
_BEFORE = sa.text("UPDATE mtss_policy SET digest_before = :before WHERE version = :version")
_STEP = sa.text(
    "INSERT INTO mtss_policy_step (id, version, step, by, at, note) VALUES (:id, :version, 'completed', 'upgrade', now(), :note)"
)


def upgrade() -> None:
    op.add_column("mtss_policy", sa.Column("digest_before", sa.String))
    complete()


def complete() -> None:
    """Find what was completed, and say so."""
    bind = op.get_bind()
    for version, document, digest in bind.execute(_POLICIES).all():
        used = {
            *bind.scalars(_DECIDED, {"version": version}),
            *map(_digest, bind.scalars(_REHEARSED, {"version": version})),
        }
        before = next((each for each in _shorter(document) if each in used - {digest}), None)
        if before is not None:
            bind.execute(_BEFORE, {"version": version, "before": before})
            bind.execute(_STEP, {"id": uuid_utils.uuid7(), "version": version, "note": _NOTE})


def _shorter(document: dict[str, Any]) -> Iterator[str]:
    """The digests of the document without some, or all, of what may have been written into it."""
    review = document["review"]
    there = [name for name in _COMPLETED if name in review]
    for count in range(1, len(there) + 1):
        for out in combinations(there, count):
            left = {name: said for name, said in review.items() if name not in out}
            yield _digest({**document, "review": left})
            if not left:
                yield _digest({name: said for name, said in document.items() if name != "review"})


def _digest(document: dict[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=16).hexdigest()
