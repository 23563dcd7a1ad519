"""HTTP in, by topic."""

from fastapi import APIRouter

from sis.routes import bulk, calendar, closing, contacts, edfi, heard, oauth, summary

router = APIRouter()
for topic in (edfi, bulk, heard, calendar, closing, contacts, summary, oauth):
    router.include_router(topic.router)
