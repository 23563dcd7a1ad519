"""HTTP in: reads, proofs, rehearsals, and the life of policies. What mtss decides about students it decides from events."""

from fastapi import APIRouter

from mtss.routes import adoptions, decisions, policies, rehearsals, schools, students, verifying

router = APIRouter()
for part in (students, verifying, decisions, schools, rehearsals, policies, adoptions):
    router.include_router(part.router)
