"""The topics of a district."""

from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from common.kafka.clients import connection
from common.outbox import LARGEST_EVENT_BYTES
from common.settings import NotConfigured, Settings

_PARTITIONS = 6
_RETENTION_MS = 30 * 24 * 3600 * 1000


async def create_topics(settings: Settings, topics: Iterable[str], *, partitions: int = _PARTITIONS) -> list[str]:
    """Create the topics that are missing; returns their names.

    Raises:
        NotConfigured: nobody answers there, or the broker refuses one of them.
    """
    try:
        admin = AIOKafkaAdminClient(**connection(settings))
        await admin.start()
    except (KafkaError, OSError, ValueError) as error:
        raise NotConfigured(
            f"Kafka does not answer ({type(error).__name__}): is it running, and is its address HOST:PORT right?"
        ) from None
    try:
        missing = sorted(set(topics) - set(await admin.list_topics()))
        configuration = {"retention.ms": str(_RETENTION_MS), "max.message.bytes": str(LARGEST_EVENT_BYTES + 65536)}
        # No assignments of our own, and -1: as many replicas as the broker gives by itself.
        new = [NewTopic(name, partitions, -1, replica_assignments={}, topic_configs=configuration) for name in missing]
        for name, code, *_ in (await admin.create_topics(new)).topic_errors:
            if code not in {NoError.errno, TopicAlreadyExistsError.errno}:
                raise NotConfigured(f"Kafka makes no topic {name} ({for_code(code).__name__}): ask who runs it.")
        return missing
    finally:
        await admin.close()
