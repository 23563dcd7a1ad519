"""HTTP in, by topic."""

from fastapi import APIRouter

from sis.routes import bulk, calendar, closing, contacts, door, heard, summary

router = APIRouter()
for topic in (door, bulk, heard, calendar, closing, contacts, summary):
    router.include_router(topic.router)
