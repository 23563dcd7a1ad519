"""The mtss service."""

from datetime import timedelta

from common.app import Loop, create_app
from mtss.handlers import events
from mtss.handlers.adoptions import forget_counted, work_off_adoptions
from mtss.loops import measure_help_requests, measure_silent_schools, rehearse_policies
from mtss.monthly import tell_equity
from mtss.routes import router

app = create_app(
    "mtss",
    router,
    events,
    loops=(
        Loop(rehearse_policies, every=timedelta(seconds=1)),
        Loop(work_off_adoptions, every=timedelta(seconds=2)),
        Loop(forget_counted, every=timedelta(hours=1)),
        Loop(measure_help_requests, every=timedelta(seconds=60)),
        Loop(measure_silent_schools, every=timedelta(minutes=5)),
        Loop(tell_equity, every=timedelta(hours=1)),
    ),
)
