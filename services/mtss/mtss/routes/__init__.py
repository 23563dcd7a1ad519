"""HTTP in: reads only, for what mtss decides it decides from events."""

from fastapi import APIRouter

from mtss.routes import decisions, schools, students

router = APIRouter()
for part in (students, decisions, schools):
    router.include_router(part.router)
