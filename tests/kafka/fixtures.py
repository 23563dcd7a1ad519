"""The fixtures that give tests a real Kafka."""

import os
from collections.abc import Iterator

import pytest

from tests.kafka.broker import Broker, NoKafka, jars


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One running broker for all tests; one that a test stopped, killed or froze comes back with ``kafka.start()``."""
    try:
        jars()
    except NoKafka as reason:
        if os.environ.get("TRELLIS_REQUIRE_KAFKA") == "1":
            pytest.fail(f"Kafka is required here: {reason}", pytrace=False)
        pytest.skip(f"WITHOUT KAFKA, NOT TESTED: {reason}")
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.kill()
