"""What a service that runs for real does not start with."""

import os
import sys
from urllib.parse import urlsplit

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db import create_engine
from common.keys import Keys
from common.oidc import is_this_machine
from common.settings import NotConfigured, Settings

_UNBOUND = sa.text(
    """
    SELECT rolsuper OR rolbypassrls OR EXISTS (
        SELECT FROM pg_class WHERE relrowsecurity AND relkind = 'r' AND pg_has_role(current_user, relowner, 'MEMBER')
    )
    FROM pg_roles WHERE rolname = current_user
    """
)


async def is_unbound(connection: AsyncConnection) -> bool:
    """Whether row security says nothing to the role of this connection, or it could be taken away by it."""
    return bool(await connection.scalar(_UNBOUND))


async def refuse_unbound(database_url: str) -> None:
    """Nothing where the database's role is bound by row security, or the database does not answer yet: then readiness says it.

    Raises:
        NotConfigured: it is a superuser's, or the owner's, whom no row is kept from.
    """
    engine = create_engine(database_url, pool_size=1)
    try:
        async with engine.connect() as connection:
            unbound = await is_unbound(connection)
    except (SQLAlchemyError, OSError):
        return
    finally:
        await engine.dispose()
    if unbound:
        raise NotConfigured(
            "TRELLIS_DATABASE_URL must name the application role, as `trellis migrate` granted it: "
            "from an owner or a superuser row security keeps nothing."
        )


def refuse_unsafe(app: FastAPI, settings: Settings, keys: Keys) -> None:
    """Nothing where all is fit for real data.

    Raises:
        NotConfigured: keys of a trial, an address at which tokens travel readably, or a mode in which errors show values.
    """
    if keys.of_a_trial:
        raise NotConfigured(
            "TRELLIS_KEYS holds keys that `trellis up` made for a trial: make others with `trellis keys DIR`."
        )
    address = urlsplit(settings.public_url)
    if address.scheme != "https" and not is_this_machine(address.hostname or ""):
        raise NotConfigured("TRELLIS_PUBLIC_URL must begin with https://, for tokens and data travel there.")
    if app.debug or sys.flags.dev_mode or os.environ.get("PYTHONASYNCIODEBUG"):
        raise NotConfigured(
            "Debugging is on (python -X dev, PYTHONDEVMODE or PYTHONASYNCIODEBUG): it may print what nobody may see."
        )
