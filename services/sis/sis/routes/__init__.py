"""HTTP in, by topic."""

from fastapi import APIRouter

from sis.routes import (
    bulk,
    calendar,
    closing,
    contacts,
    descriptors,
    edfi,
    groups,
    heard,
    oauth,
    reconciliation,
    relations,
    restrictions,
    sources,
    staff,
    summary,
    unpublished,
    waiting,
)

router = APIRouter()
for topic in (
    edfi,
    bulk,
    heard,
    calendar,
    closing,
    contacts,
    restrictions,
    descriptors,
    summary,
    oauth,
    sources,
    reconciliation,
    waiting,
    staff,
    relations,
    unpublished,
    groups,
):
    router.include_router(topic.router)
