"""What clients ask before they push, each without a token: where everything is, what is accepted, in which order."""

from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import BaseModel

from common.access import public
from common.app import Router
from common.errors import NotFound
from common.runtime import RuntimeOf
from sis.metadata.documents import SECTIONS, dependencies, dependency_graph, discovery, openapi, sections

router = Router(
    "sis",
    tags=["Ed-Fi metadata"],
    dependencies=[
        public(
            "what the door offers is no secret, and clients ask before they have a token",
            reads=["non_personal"],
            purpose="operations",
            machine=True,
        )
    ],
)

_GRAPHML = "application/graphml"


class DataModel(BaseModel):
    """A data standard that the door speaks."""

    name: str
    version: str
    informationalVersion: str  # noqa: N815 (Ed-Fi's name)


class Urls(BaseModel):
    """Where everything is."""

    dependencies: str
    openApiMetadata: str  # noqa: N815 (Ed-Fi's name)
    oauth: str
    dataManagementApi: str  # noqa: N815 (Ed-Fi's name)
    changeQueries: str  # noqa: N815 (Ed-Fi's name)


class Discovery(BaseModel):
    """What stands at the base address of an Ed-Fi API."""

    version: str
    informationalVersion: str  # noqa: N815 (Ed-Fi's name)
    suite: str
    build: str
    apiMode: str  # noqa: N815 (Ed-Fi's name)
    dataModels: list[DataModel]  # noqa: N815 (Ed-Fi's name)
    urls: Urls


class OpenApiSection(BaseModel):
    """One OpenAPI document."""

    name: str
    endpointUri: str  # noqa: N815 (Ed-Fi's name)
    prefix: str


class Dependency(BaseModel):
    """When a resource has its turn."""

    resource: str
    order: int
    operations: list[str]


def _base(runtime: RuntimeOf) -> str:
    return f"{runtime.settings.public_url.rstrip('/')}/sis"


@router.get("", include_in_schema=False, response_model=Discovery)
@router.get("/", response_model=Discovery)
async def read_discovery(runtime: RuntimeOf) -> dict[str, Any]:
    """The version that the door speaks, and where everything else is."""
    return discovery(_base(runtime))


@router.get("/metadata", include_in_schema=False, response_model=list[OpenApiSection])
@router.get("/metadata/", response_model=list[OpenApiSection])
async def list_sections(runtime: RuntimeOf) -> list[dict[str, str]]:
    """The OpenAPI documents that there are."""
    return sections(_base(runtime))


# Clients of an API that is kept by school year put the year first; it is not interpreted.
@router.get(
    "/metadata/data/v3/{school_year:int}/dependencies", include_in_schema=False, response_model=list[Dependency]
)
@router.get(
    "/metadata/data/v3/dependencies",
    response_model=list[Dependency],
    responses={200: {"content": {_GRAPHML: {"schema": {"type": "string"}}}}},
)
async def list_dependencies(accept: Annotated[str, Header()] = "") -> Any:
    """In which order to push: what is of one order refers only to what comes before it. As GraphML, what refers to what."""
    return Response(dependency_graph(), media_type=_GRAPHML) if _GRAPHML in accept.lower() else dependencies()


@router.get("/metadata/data/v3/{school_year:int}/{section}/swagger.json", include_in_schema=False)
@router.get(
    "/metadata/data/v3/{section}/swagger.json",
    response_class=Response,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def read_openapi(section: str, runtime: RuntimeOf) -> Response:
    """The OpenAPI 3.0 document of a section: members, natural keys, references and queries as the door takes them."""
    if section not in SECTIONS:
        raise NotFound(what="section")
    return Response(openapi(section, _base(runtime)), media_type="application/json")
