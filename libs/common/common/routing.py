"""``EventRouter``: for events what ``APIRouter`` is for HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from common.events import Event

Standing = Callable[[AsyncSession], AsyncIterator[Event]]


@dataclass(frozen=True, slots=True)
class Handler:
    """One function and the events it hears; ``whole`` if it takes the whole batch in one call."""

    types: tuple[type[Event], ...]
    function: Callable[..., Awaitable[None]]
    whole: bool

    async def __call__(self, events: Sequence[Event], session: AsyncSession) -> None:
        """Hand over those of ``events`` that this handler hears."""
        mine = [event for event in events if type(event) in self.types]
        if not mine:
            return
        if self.whole:
            await self.function(mine, session)
            return
        for event in mine:
            await self.function(event, session)


class EventRouter:
    """The handlers of one service, in the order they were declared."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []
        self.standing_source: Standing | None = None

    def on(self, event: type[Event]) -> Callable[[Any], Any]:
        """Let the decorated ``async def handler(event, session)`` hear each event of this type."""
        return self._add((event,), whole=False)

    def on_batch(self, *events: type[Event]) -> Callable[[Any], Any]:
        """Let the decorated ``async def handler(events, session)`` hear all events of these types of a batch at once."""
        return self._add(events, whole=True)

    def include(self, others: "EventRouter") -> None:
        """Let the handlers of ``others`` hear too, after those declared so far."""
        self.handlers.extend(others.handlers)

    def standing(self, source: Standing) -> Standing:
        """Declare the function that yields every fact this service has said, as it stands now."""
        self.standing_source = source
        return source

    def hears(self) -> dict[str, type[Event]]:
        """The event classes with a handler, by type name."""
        return {event.type(): event for handler in self.handlers for event in handler.types}

    def owners(self) -> list[str]:
        """The topics to listen to, sorted."""
        return sorted({event.owner for event in self.hears().values()})

    async def dispatch(self, events: Sequence[Event], session: AsyncSession) -> None:
        """Hand ``events`` to every handler that hears them."""
        for handler in self.handlers:
            await handler(events, session)

    def _add(self, types: tuple[type[Event], ...], *, whole: bool) -> Callable[[Any], Any]:
        def register(function: Any) -> Any:
            self.handlers.append(Handler(types, function, whole))
            return function

        return register
