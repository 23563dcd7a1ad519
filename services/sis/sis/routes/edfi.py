"""Where the Ed-Fi API stands: its base address is ``/sis``, and each path may name a school year, which changes nothing."""

from fastapi import APIRouter, Depends

from common.errors import NotFound
from sis.routes import changes, door, lists, metadata, school_years


async def _four_digits(school_year: str) -> None:
    if len(school_year) != 4 or not (school_year.isascii() and school_year.isdigit()):
        raise NotFound(what="school year")


router = APIRouter()
router.include_router(metadata.router)


def _include(topic: APIRouter, path: str) -> None:
    router.include_router(topic, prefix=path)
    router.include_router(
        topic, prefix=path + "/{school_year}", dependencies=[Depends(_four_digits)], include_in_schema=False
    )


for each in (school_years, lists, door):  # in this order: /deletes is not the id of a document
    _include(each.router, "/sis/data/v3")
_include(changes.router, "/sis/changeQueries/v1")
