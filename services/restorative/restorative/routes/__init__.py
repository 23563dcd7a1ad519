"""HTTP in."""

from fastapi import APIRouter

from restorative.routes import referrals, steps, summary

router = APIRouter()
for part in (referrals, steps, summary):
    router.include_router(part.router)
