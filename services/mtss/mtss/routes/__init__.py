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
    words,
)

router = APIRouter()
for part in (
    students,
    verifying,
    decisions,
    words,
    proposals,
    overrides,
    reviews,
    schools,
    rehearsals,
    policies,
    adoptions,
):
    router.include_router(part.router)
