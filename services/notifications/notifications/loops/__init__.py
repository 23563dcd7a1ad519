"""What happens outside a handler's transaction: deciding who is told, and telling them."""

from datetime import timedelta

from common.app import Loop
from notifications.loops.alerting import tell_district_it
from notifications.loops.deciding import decide_recipients
from notifications.loops.sending import send_due

LOOPS = (
    Loop(decide_recipients, every=timedelta(seconds=1)),
    Loop(send_due, every=timedelta(seconds=1)),
    Loop(tell_district_it, every=timedelta(minutes=1)),
)
