"""HTTP in."""

from fastapi import APIRouter

from restorative.routes import agreement, gathering, referrals, summary

router = APIRouter()
for part in (referrals, gathering, agreement, summary):
    router.include_router(part.router)
