"""HTTP in: reads, proofs, rehearsals, the life of policies, and what people decide about students."""

from fastapi import APIRouter

from mtss.routes import (
    adoptions,
    decisions,
    equity,
    freshness,
    help_requests,
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
_OF_STUDENTS = (students, verifying, decisions, words, proposals, overrides, help_requests, reviews, schools)
for part in (*_OF_STUDENTS, freshness, equity, rehearsals, policies, adoptions):
    router.include_router(part.router)
