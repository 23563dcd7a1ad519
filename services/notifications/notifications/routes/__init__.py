"""HTTP in, by topic."""

from fastapi import APIRouter

from notifications.routes import letters, notices, sending, stop_links, tasks, unsubscribe

router = APIRouter()
for part in (sending, notices, tasks, letters, stop_links, unsubscribe):
    router.include_router(part.router)
