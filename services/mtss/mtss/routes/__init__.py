"""HTTP in: reads, and proofs. What mtss decides it decides from events."""

from fastapi import APIRouter

from mtss.routes import decisions, schools, students, verifying

router = APIRouter()
for part in (students, verifying, decisions, schools):
    router.include_router(part.router)
