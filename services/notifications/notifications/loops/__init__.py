"""What happens outside a handler's transaction: deciding who is told, and telling them; telling staff and district IT."""

from datetime import timedelta

from common.app import Loop
from notifications.loops.alerting import tell_district_it
from notifications.loops.deciding import decide_recipients
from notifications.loops.sending import send_due
from notifications.loops.urgent import tell_of_urgent_help

LOOPS = (
    Loop(decide_recipients, every=timedelta(seconds=1)),
    Loop(send_due, every=timedelta(seconds=1)),
    Loop(tell_district_it, every=timedelta(minutes=1)),
    Loop(tell_of_urgent_help, every=timedelta(seconds=1)),
)
