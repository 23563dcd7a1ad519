"""Events over Kafka. The only package that knows aiokafka."""

from common.kafka.hearing import consume
from common.kafka.records import record_headers
from common.kafka.sending import send_from
from common.kafka.topics import create_topics

__all__ = ["consume", "create_topics", "record_headers", "send_from"]
