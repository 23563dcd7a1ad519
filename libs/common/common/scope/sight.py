"""Whom a transaction sees: said once at its beginning, in settings that end with it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, orm
from sqlalchemy.ext.asyncio import AsyncSession

from common.auth import Principal
from common.scope.policy import access_policy

_SAY_ALL = "SET LOCAL trellis.sees = 'all'"  # not by a function: that would be planned anew for each transaction
_SAY_ONE = sa.text("SELECT set_config(:name, :value, true)")
_SIGHT = sa.table("scope_sight", sa.column("student_id", sa.Uuid))
_LEFT = sa.table("scope_left", sa.column("school_id", sa.String))
_SCHOOL = sa.table("scope_school", sa.column("school_id", sa.String))
_ENROLMENT = sa.table("scope_enrolment", sa.column("school_id", sa.String))


@dataclass(frozen=True, slots=True)
class Sight:
    """On which grounds, as which staff member, at which schools besides those assigned, and on which day somebody looks."""

    grounds: frozenset[str] = frozenset()
    staff_id: UUID | None = None
    schools: frozenset[str] = frozenset()
    today: date | None = None

    @property
    def all(self) -> bool:
        """Whether every row is seen: by the district, by a SIS, by a sister service, and by our own loops and handlers."""
        return "district" in self.grounds

    def say(self, connection: sa.Connection) -> None:
        """Tell the database, for the transaction that begins, on the way if nothing has been asked of it yet."""
        driver: Any = connection.connection.driver_connection
        if driver.is_in_transaction():
            connection.exec_driver_sql(self.said)
        else:
            driver.says = self.said

    @property
    def said(self) -> str:
        """The statement that says it."""
        if self.all:
            return _SAY_ALL
        settings = {
            "sees": _text("some"),
            "staff": _text(str(self.staff_id or "")),
            "schools": _array(self.schools),
            "grounds": _array(self.grounds),
            "today": _text(str(self.today or "")),
        }
        return "SELECT " + ", ".join(f"set_config('trellis.{name}', {to}, true)" for name, to in settings.items())


# What begins a transaction takes no parameters: so texts stand in it in hexadecimal, in which nothing can end a literal.
def _text(value: str) -> str:
    return f"convert_from('\\x{value.encode().hex()}', 'UTF8')"


def _array(values: Collection[str]) -> str:
    return f"CAST(CAST(ARRAY[{', '.join(map(_text, sorted(values)))}] AS text[]) AS text)"


EVERYTHING = Sight(frozenset({"district"}))
NOTHING = Sight()


def sight_of(who: Principal, today: date) -> Sight:
    """Whom ``who`` sees on ``today``. A sister service sees all: its route says what it gets."""
    if who.service:
        return EVERYTHING
    grounds = access_policy().grounds.get(who.role, frozenset())
    return Sight(grounds, who.staff_id, who.schools, today)


def seen(student: ColumnElement[UUID] | Any) -> ColumnElement[bool]:
    """Whether the transaction sees the student whose id stands in this column."""
    # IS TRUE keeps it a filter of the rows. As a join PostgreSQL begins with all who are seen, then looks the policy of row
    # security up for each, because it believes that it does so once: a page of a list took twice as long.
    return sa.exists().where(_SIGHT.c.student_id == student).is_(sa.true())


def seen_school(school: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Whether the transaction sees the whole school whose id stands in this column."""
    return sa.exists().where(_SCHOOL.c.school_id == school)


def enrols(school: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Whether row security shows an enrolment at the school whose id stands in this column."""
    return sa.exists().where(_ENROLMENT.c.school_id == school)


def left_school(school: ColumnElement[str] | Any) -> ColumnElement[bool]:
    """Whether the member of staff who asks no longer works at the school whose id stands in this column."""
    return sa.exists().where(_LEFT.c.school_id == school)


class _Session(orm.Session):
    """A session whose every transaction begins by saying who asks."""


@sa.event.listens_for(_Session, "after_begin")
def _say_who_asks(session: orm.Session, transaction: orm.SessionTransaction, connection: sa.Connection) -> None:
    if not transaction.nested:
        session.info["sight"]().say(connection)


def session_for(engine: Any, sight: Callable[[], Sight]) -> AsyncSession:
    """A session that sees what ``sight`` says when its first statement begins the transaction."""
    return AsyncSession(engine, expire_on_commit=False, sync_session_class=_Session, info={"sight": sight})


async def see_by_key(session: AsyncSession, key: bytes) -> None:
    """Let this transaction see the row that ``key`` opens, where a table is protected with one."""
    await session.execute(_SAY_ONE, {"name": "trellis.key", "value": key.hex()})


async def see_student(session: AsyncSession, student: UUID) -> None:
    """Let this transaction see one student besides: the one whose secret link was shown."""
    await session.execute(_SAY_ONE, {"name": "trellis.student", "value": str(student)})


async def see_as(session: AsyncSession, sight: Sight | None = None) -> None:
    """From here on this transaction sees what ``sight`` says; without it again what it saw at its beginning.

    For a route that asks whether somebody else sees a student, or lets somebody work on what is theirs.
    """
    await session.execute(sa.text((sight or session.info["sight"]()).said))


async def see_all_along(driver: Any) -> None:
    """Let a connection of the driver's see everything, to its end or until :func:`see_nothing` is asked for."""
    await driver.execute("SET trellis.sees = 'all'")


async def see_nothing(driver: Any) -> None:
    """Take back what :func:`see_all_along` gave, before anybody else gets the connection."""
    await driver.execute("SET trellis.sees = ''")


async def see_all(session: AsyncSession) -> None:
    """From here to its end this transaction sees everything.

    For a route that has found visible what was asked, and reads on about that alone, or follows a rule of ours that counts
    what the asker need not see.
    """
    await session.execute(sa.text(_SAY_ALL))
