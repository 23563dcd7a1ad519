"""The mtss service."""

from common.app import create_app
from mtss.handlers import events
from mtss.routes import router

app = create_app("mtss", router, events)
