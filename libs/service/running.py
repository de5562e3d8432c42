"""What the doors of one running service lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from libs.events import handling
from libs.events.heads import Watermark
from libs.events.projector import Projector
from libs.events.reading import Reader
from libs.service.storable import require_storable


class Asks(Protocol):
    """Handles commands (libs.events.handling.Handler)."""

    async def ask(self, request: handling.Request) -> handling.Answer: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """`now`: the domain clock. `watermarks`: how far each source has been heard."""

    handler: Asks
    reader: Reader
    projector: Projector
    now: Callable[[], datetime]
    watermarks: Callable[[], Mapping[str, Watermark]]


class Checked:
    """Asks only what the database can hold; every door asks through it."""

    def __init__(self, handler: Asks) -> None:
        self._handler = handler

    async def ask(self, request: handling.Request) -> handling.Answer:
        require_storable(request.command)
        return await self._handler.ask(request)
