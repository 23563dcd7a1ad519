"""HTTP in, by topic."""

from fastapi import APIRouter

from notifications.routes import letters, notices, sending, tasks, unsubscribe

router = APIRouter()
for part in (sending, notices, tasks, letters, unsubscribe):
    router.include_router(part.router)
