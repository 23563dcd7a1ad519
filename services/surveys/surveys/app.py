"""The surveys service."""

from common.app import create_app
from surveys.handlers import events
from surveys.routes import router

app = create_app("surveys", router, events)
