"""The application: what `trellis up` and `trellis serve restorative` run."""

from common.app import create_app
from restorative.handlers import events
from restorative.routes import router

app = create_app("restorative", router, events)
