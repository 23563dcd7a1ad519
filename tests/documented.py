"""Every answer in every test of a service is one that its OpenAPI document names."""

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

UNFORESEEN = 500
"""What a test makes fail on purpose is answered so, and is documented nowhere."""


class Documented:
    """``app``, which fails where it answers with a status that its document does not name for the route."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        answered = UNFORESEEN

        async def note(message: Message) -> None:
            nonlocal answered
            answered = message.get("status", answered)
            await send(message)

        await self.app(scope, receive, note)
        route = scope.get("route")
        path = self.app.openapi()["paths"].get(getattr(route, "path_format", ""), {})
        operation = path.get(scope["method"].lower()) if scope["type"] == "http" else None
        if operation and answered != UNFORESEEN:
            said = f"{scope['method']} {getattr(route, 'path_format', '')} answers {answered}"
            assert str(answered) in operation["responses"], f"{said}, which its OpenAPI document does not name"
