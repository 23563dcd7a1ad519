"""Ids of what is made for each row: UUIDs as the database's driver makes them, a fifth as dear as Python's own and equal to those."""

from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto


def new_id() -> UUID:
    """An id that nothing else has, ordered by time (UUIDv7)."""
    made: UUID = pgproto.UUID(uuid_utils.uuid7().bytes)
    return made


def id_named(space: uuid_utils.UUID, name: str) -> UUID:
    """The id that ``name`` always has in this space (UUIDv5)."""
    made: UUID = pgproto.UUID(uuid_utils.uuid5(space, name).bytes)
    return made
