"""The mtss service."""

from datetime import timedelta

from common.app import Loop, create_app
from mtss.handlers import events
from mtss.loops import rehearse_policies
from mtss.routes import router

app = create_app("mtss", router, events, loops=(Loop(rehearse_policies, every=timedelta(seconds=1)),))
