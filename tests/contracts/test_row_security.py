"""Every table is under row security, its owner too, or stands here with what it holds of no student."""

import pytest
import sqlalchemy as sa

from common.db import create_engine
from common.embedded import Cluster
from common.migrations import migrate_within
from tests.harness import SERVICES

OF_NO_STUDENT = (
    ("alembic_version", "which migration was the last"),
    ("inbox", "ids of events that were heard"),
    ("inbox_offset", "how far topics were read"),
    ("inbox_set_back", "whether a backup was restored"),
    ("scope_governed", "which schools are of which district"),
    ("sis_arrival", "numbers of rows by source, resource and day"),
    ("sis_client", "machines of the door"),
    ("sis_client_secret", "digests by which they are known"),
    ("sis_heard_event", "ids of events that sources sent"),
    ("sis_lease", "who keeps the clock from closing days"),
    ("sis_sign_in", "keyed digests of the names of staff"),
    ("sis_source_count", "numbers that a source told"),
    ("sis_unfollowed", "names of resources to go through once"),
    ("sis_read", "digests of how resources were read"),
    ("surveys_window", "which survey, when, at which schools"),
    ("mtss_adoption", "numbers by school of a policy's adoption"),
    ("mtss_calendar", "days of a school"),
    ("mtss_closed_day", "days of a school"),
    ("mtss_policy", "policies"),
    ("mtss_policy_step", "what staff did with policies"),
    ("mtss_push", "when something was last heard of a school"),
    ("notifications_alert", "schools and sources that are silent"),
    ("notifications_urgent_help", "requests by their own ids and schools: whose they are only mtss knows"),
    ("notifications_calendar", "days of a school"),
    ("notifications_opt_out", "keyed digests of mailboxes that get nothing more"),
    ("notifications_pepper", "the key of those digests"),
    ("notifications_stop_link", "digests of links and of the mailboxes that got them"),
    ("notifications_switch", "who switched sending"),
)
_BARE = sa.text(
    """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)
    """
)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_table_without_row_security_holds_nothing_of_a_student(cluster: Cluster, service: str) -> None:
    await migrate_within(service, cluster.owner_url(service), f"{service}_app")
    engine = create_engine(cluster.owner_url(service))
    async with engine.connect() as connection:
        bare = set((await connection.execute(_BARE)).scalars())
    await engine.dispose()

    names = {name for name, _ in OF_NO_STUDENT}
    others = {name for name in names if name.split("_")[0] in {*SERVICES} - {service}}
    assert bare == names - others
