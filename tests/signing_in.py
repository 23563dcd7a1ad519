"""What tests of signing in share: a counselor, and sis as far as it says whom a name is of."""

from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from common.auth import Principal
from common.oidc import Oidc
from common.provider import Provider
from tests.identity_provider import AUDIENCE, Shape

EMAIL = "ada.counselor@district.example"
ADA = uuid4()
ROLES = {"counselors": "counselor", "district-office": "district", "teachers": "teacher"}


class Desk:
    """sis, where services ask whom a sign-in name is of: it counts what it is asked, and may answer as a test says."""

    def __init__(self) -> None:
        self.app, self.people, self.asked, self.status = FastAPI(), {EMAIL: ADA}, 0, 0
        self.app.post("/sis/v1/staff/sign-in")(self.answer)

    async def answer(self, request: Request) -> JSONResponse:
        self.asked += 1
        found = self.people.get((await request.json())["value"])
        if self.status or found is None:
            return JSONResponse({}, self.status or 404)
        return JSONResponse({"staff_id": str(found)})


def oidc_of(shape: Shape, **options: Any) -> Oidc:
    """The settings of a district that uses this provider."""
    return Oidc.model_validate({"issuer": shape.issuer, "audience": AUDIENCE, "roles": ROLES} | options)


def counselor(shape: Shape, **person: Any) -> str:
    """Ada's access token."""
    return shape.sign_in(**{"email": EMAIL, "groups": ["counselors"]} | person)["access_token"]


async def whom(provider: Provider, token: str) -> Principal:
    """Whom a token of the provider is of."""
    return await provider.principal_of(await provider.verified(token))
