"""A record as a Kafka message: CloudEvents 1.0 in binary mode, one header per attribute, the body as JSON."""

from datetime import datetime
from uuid import UUID, uuid5

from aiokafka.structs import ConsumerRecord

from common.outbox import Record

_UNKNOWN = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")


def record_headers(source: str, record: Record) -> list[tuple[str, bytes]]:
    """The CloudEvents attributes of a record as Kafka headers."""
    at = (record.created_at or datetime.now().astimezone()).isoformat()
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": str(record.id),
        "ce_type": record.type,
        "ce_source": f"/trellis/{source}",
        "ce_time": at,
        "ce_subject": record.subject,
        "content-type": "application/json",
    }
    if record.traceparent:
        attributes["traceparent"] = record.traceparent
    return [(name, value.encode()) for name, value in attributes.items()]


def record_of(message: "ConsumerRecord[bytes, bytes]") -> Record:
    """What came from Kafka as a record. Without readable headers its id is made from its place and its type is empty."""
    headers = {name: value for name, value in message.headers if value is not None}
    try:
        identity, kind = UUID(headers["ce_id"].decode()), headers["ce_type"].decode()
        subject = headers.get("ce_subject", b"").decode()
    except (KeyError, ValueError):
        identity, kind, subject = uuid5(_UNKNOWN, f"{message.topic}/{message.partition}/{message.offset}"), "", ""
    return Record(
        id=identity,
        type=kind,
        subject=_storable(subject),
        key=_storable((message.key or b"").decode(errors="replace")),
        body=message.value or b"",
        traceparent=_storable(headers["traceparent"].decode(errors="replace")) if "traceparent" in headers else None,
        created_at=_moment(headers.get("ce_time", b"")),
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
    )


def _moment(text: bytes) -> datetime | None:
    try:
        at = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return at if at.tzinfo else None


def _storable(text: str) -> str:
    # PostgreSQL's text holds no NUL: what cannot even be parked would stop the consumer for ever.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
