"""The service, put together."""

from common.app import create_app
from notifications.handlers import events
from notifications.loops import LOOPS
from notifications.routes import router

app = create_app("notifications", router, events, LOOPS)
