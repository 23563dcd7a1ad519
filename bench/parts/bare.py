"""The least that a door could be: one FastAPI route, one prepared insert.

``python -m bench.parts.bare DATABASE PORT``
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel

TABLE = """
    CREATE TABLE IF NOT EXISTS bare (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, student text, school int, on_date date, category text, missed float
    )
"""
INSERT = "INSERT INTO bare (student, school, on_date, category, missed) VALUES ($1, $2, $3, $4, $5) RETURNING id"


class Student(BaseModel):
    """Whom a row is about."""

    studentUniqueId: str  # noqa: N815 (Ed-Fi's name)


class School(BaseModel):
    """Where it was."""

    schoolId: int  # noqa: N815 (as above)


class Row(BaseModel):
    """One attendance row."""

    studentReference: Student  # noqa: N815 (as above)
    schoolReference: School  # noqa: N815 (as above)
    eventDate: date  # noqa: N815 (as above)
    attendanceEventCategoryDescriptor: str  # noqa: N815 (as above)
    eventDuration: float  # noqa: N815 (as above)


def app_on(url: str) -> FastAPI:
    """The application, which keeps its rows in this database."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(url, min_size=4, max_size=4) as pool:
            await pool.execute(TABLE)
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def read_readiness() -> dict[str, bool]:
        return {"bare": True}

    @app.post("/rows", status_code=201)
    async def record_row(row: Row, request: Request) -> dict[str, Any]:
        values = (
            row.studentReference.studentUniqueId,
            row.schoolReference.schoolId,
            row.eventDate,
            row.attendanceEventCategoryDescriptor,
            row.eventDuration,
        )
        return {"id": await request.app.state.pool.fetchval(INSERT, *values)}

    return app


if __name__ == "__main__":
    uvicorn.run(app_on(sys.argv[1]), port=int(sys.argv[2]), log_config=None, access_log=False)
