"""What producers and consumers have in common."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from common.settings import Settings

ANSWER_SECONDS = 30.0
"""How long we wait for the broker before we say that we wait, and begin again with a new client."""
_STOP_SECONDS = 5.0


def connection(settings: Settings) -> dict[str, Any]:
    """What every client of Kafka is given."""
    return {"bootstrap_servers": settings.kafka, **settings.kafka_security}


async def ended_in_time(closing: Coroutine[Any, Any, None]) -> bool:
    """Whether it ended within a few seconds. Its errors stay there: aiokafka cancels itself when a connection was cut."""
    task = asyncio.create_task(closing)
    await asyncio.wait({task}, timeout=_STOP_SECONDS)
    if not task.done():
        task.cancel()
        return False
    return task.cancelled() or task.exception() is None
