"""HTTP in, by topic."""

from common.app import Router
from notifications.routes import letters, notices, sending, tasks, unsubscribe

router = Router("notifications")
for part in (sending, notices, tasks, letters, unsubscribe):
    router.include_router(part.router)
