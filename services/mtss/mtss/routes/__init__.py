"""HTTP in: reads, proofs and rehearsals. What mtss decides it decides from events."""

from fastapi import APIRouter

from mtss.routes import decisions, rehearsals, schools, students, verifying

router = APIRouter()
for part in (students, verifying, decisions, schools, rehearsals):
    router.include_router(part.router)
