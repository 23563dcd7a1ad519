"""HTTP in: reads, proofs, rehearsals, the life of policies, and what people decide about students."""

from fastapi import APIRouter

from mtss.routes import (
    adoptions,
    decisions,
    equity,
    freshness,
    handing,
    help_links,
    help_page,
    help_requests,
    outcomes,
    overrides,
    policies,
    proposals,
    pulses,
    questions,
    rehearsals,
    reviews,
    schools,
    students,
    supports,
    team_referrals,
    trainings,
    verifying,
    words,
)

router = APIRouter()
_OF_STUDENTS = (
    students,
    verifying,
    decisions,
    words,
    proposals,
    overrides,
    questions,
    outcomes,
    supports,
    team_referrals,
    pulses,
    help_requests,
    reviews,
    handing,
    schools,
)
_OVER_LINKS = (help_links, help_page)
for part in (*_OF_STUDENTS, *_OVER_LINKS, freshness, trainings, equity, rehearsals, policies, adoptions):
    router.include_router(part.router)
