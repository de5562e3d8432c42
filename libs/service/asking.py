"""Asking commands in the name of one request: the door adds who asks, when, for whom, and its id."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import Response

from libs.events import handling
from libs.events.deciding import Command
from libs.events.entries import derived_id, entity_id, new_id
from libs.events.errors import CommandReused
from libs.service.answers import Accepted, etag
from libs.service.auth import Identity
from libs.service.errors import KeyReused
from libs.service.running import Doors

POSITION_HEADER = "Baton-Position"


class Asking:
    """Asks commands in the name of one request. Several in one request get ids of their own, in their order.

    `expected`: the stream version that must still stand. `tagged`: the answer's ETag is the stream's version.
    """

    def __init__(
        self,
        doors: Doors,
        identity: Identity,
        response: Response,
        *,
        route: str,
        key: str | None,
        expected: int | None,
        tagged: bool = True,
    ) -> None:
        self._doors, self._identity, self._response = doors, identity, response
        self._route, self._key, self._expected, self._tagged = route, key, expected, tagged
        self._asked = self._position = 0

    @property
    def person(self) -> str:
        return self._identity.person

    @property
    def tenant(self) -> str:
        return self._identity.tenant

    @property
    def roles(self) -> frozenset[str]:
        return self._identity.roles

    @property
    def at(self) -> datetime:
        """The domain clock's now."""
        return self._doors.now()

    async def __call__(self, command: Command, *, at: datetime | None = None, key: str | None = None) -> Accepted:
        """Ask this command. `at`: when it happened in the world, for what an import tells (default: now).

        `key`: what makes it the same command whoever brings it, through whichever door of this service, such as
        `source/id` of an event (default: the request's Idempotency-Key, which holds for one actor and route).
        """
        request = handling.Request(
            command=command,
            tenant=self.tenant,
            actor=self.person,
            command_id=self._command_id(key),
            at=at or self.at,
            expected=self._expected,
        )
        try:
            answer = await self._doors.handler.ask(request)
        except CommandReused as reused:
            raise KeyReused(key or self._key or "", reused) from reused
        if self._tagged:
            self._response.headers["ETag"] = etag(answer.version)
        self._position = max(self._position, answer.position)
        self._response.headers[POSITION_HEADER] = str(self._position)
        return Accepted.model_validate(answer, from_attributes=True)

    def _command_id(self, key: str | None) -> UUID:
        if key is not None:
            return command_id(self.tenant, "", "", key)
        nth, self._asked = self._asked, self._asked + 1
        if self._key is None:
            return new_id()
        return command_id(self.tenant, self.person, self._route, self._key if nth == 0 else f"{self._key}#{nth}")


def command_id(tenant: str, actor: str, route: str, key: str) -> UUID:
    """The id of a command by its idempotency key; a key that is a UUIDv7 hands on its time prefix (faster to insert).

    With actor and route empty, it is the same command whoever brings it, through whichever door.
    """
    scope = f"{tenant}/{actor}/{route}"
    try:
        cause = UUID(key.partition("#")[0])
    except ValueError:
        cause = None
    if cause is None or cause.version != 7:
        cause = entity_id(tenant, "command", key)
    return derived_id(cause, scope, key)
