"""HTTP in: reads, proofs, rehearsals, the life of policies, and what people decide about students."""

from fastapi import APIRouter

from mtss.routes import (
    adoptions,
    decisions,
    overrides,
    policies,
    proposals,
    rehearsals,
    reviews,
    schools,
    students,
    verifying,
)

router = APIRouter()
for part in (students, verifying, decisions, proposals, overrides, reviews, schools, rehearsals, policies, adoptions):
    router.include_router(part.router)
