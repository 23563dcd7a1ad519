"""The service ``sis``."""

from datetime import timedelta

from common.app import Loop, create_app
from sis.arrivals.alerts import tell_alerts
from sis.clients.admission import admit
from sis.facts import events
from sis.following import follow_stored
from sis.listing import list_codes
from sis.loops import close_by_the_clock, forget_arrivals, forget_heard_events
from sis.parameters import InAnyCase
from sis.problems import EdFiProblems, in_ed_fi_words
from sis.routes import router
from sis.routes.oauth import refuse
from sis.rules.oauth import TokenRefused
from sis.sweeping import measure_waiting, sweep_waiting

app = create_app(
    "sis",
    router,
    events,
    loops=(
        Loop(list_codes, every=timedelta(hours=1)),
        Loop(close_by_the_clock, every=timedelta(minutes=1)),
        Loop(tell_alerts, every=timedelta(minutes=10)),
        Loop(forget_arrivals, every=timedelta(hours=1)),
        Loop(forget_heard_events, every=timedelta(hours=1)),
        Loop(follow_stored, every=timedelta(seconds=15)),
        Loop(sweep_waiting, every=timedelta(seconds=2)),
        Loop(measure_waiting, every=timedelta(seconds=15)),
    ),
)
app.state.admit = admit
app.add_exception_handler(TokenRefused, refuse)
app.add_middleware(InAnyCase)
app.add_middleware(EdFiProblems)
app.openapi = in_ed_fi_words(app.openapi)  # type: ignore[method-assign]  # the way that FastAPI gives to change it
