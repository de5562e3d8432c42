"""The roles of one program (publisher, listener, projector …): each runs for ever; one that fails is started again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from libs.events.errors import Diverged

BACKOFF_S_MIN = 0.2
BACKOFF_S_MAX = 3.0
BACKOFF_DIVERGED_S = 60.0
HEALTHY_AFTER_S = 20.0
PROVEN_AFTER_S_MIN = 1.0
STOP_WITHIN_S = 1.5
_log = logging.getLogger("baton.roles")


@dataclass(slots=True)
class Role:
    """One part of the machinery. `failure`: why it does not work, told until it has run for long enough to be believed
    again. `itself`: how often it began anew by itself, which nobody sees from outside. `awaited`: requests wait for
    what it does.
    """

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
    itself: Callable[[], int] = lambda: 0
    awaited: bool = False
    failure: str = ""
    failures: int = 0

    @property
    def restarts(self) -> int:
        return self.failures + self.itself()


class Roles:
    """Runs roles side by side until it is stopped."""

    def __init__(self, roles: Iterable[Role]) -> None:
        self.roles = tuple(roles)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, *names: str) -> None:
        """Start the roles with these names (none: all) that were not started yet."""
        for role in self.roles:
            if role.name not in self._tasks and (not names or role.name in names):
                self._tasks[role.name] = asyncio.create_task(self._keep(role), name=role.name)

    def wind_down(self) -> None:
        """Cancel those that no request waits for: the last requests have the process to themselves."""
        self._cancel(role for role in self.roles if not role.awaited)

    async def stop(self) -> None:
        """Cancel all, and give them STOP_WITHIN_S to end."""
        self._cancel(self.roles)
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks.values(), timeout=STOP_WITHIN_S)
            for task in pending:
                _log.warning("role %s did not end within %s s", task.get_name(), STOP_WITHIN_S)

    def _cancel(self, roles: Iterable[Role]) -> None:
        for role in roles:
            task = self._tasks.get(role.name)
            if task is not None and not task.cancelling():  # twice would cut short how it ends
                task.cancel()

    async def _keep(self, role: Role) -> None:
        """An outage ends one try of any role; one whose tries end again and again fails for good, and would seem well
        in between: it is believed when it has run for twice as long as it did in the shorter of its last two tries.
        """
        backoff_s, tries_s = BACKOFF_S_MIN, (0.0, 0.0)
        while True:
            started_s = time.monotonic()
            error = await self._ended(role, min(max(2 * min(tries_s), PROVEN_AFTER_S_MIN), HEALTHY_AFTER_S))
            ran_s = time.monotonic() - started_s
            role.failure = f"{type(error).__name__}: {error}" if error else "it ended by itself"
            _log.error("role %s: %s", role.name, role.failure, exc_info=error, extra={"restarts": role.restarts})
            if isinstance(error, Diverged):
                backoff_s = BACKOFF_DIVERGED_S
            if ran_s > HEALTHY_AFTER_S:
                backoff_s, ran_s = BACKOFF_S_MIN, 0.0
            tries_s = (tries_s[1], ran_s)
            role.failures += 1
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)

    async def _ended(self, role: Role, proven_after_s: float) -> BaseException | None:
        """Run it in a task of its own until it ends, by whatever: only a stop of the roles ends the keeping.

        Before Python 3.13 a TaskGroup whose child fails leaves its task marked as cancelled. Who heeds such a mark in
        the next run would end for good, unseen; so the next run is another task.
        """
        running = asyncio.create_task(role.run(), name=role.name)
        try:
            ended, _ = await asyncio.wait([running], timeout=proven_after_s)
            if not ended:
                role.failure = ""
                await asyncio.wait([running])
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.wait([running])
            _outcome(running)
            raise
        return _outcome(running)


def _outcome(ended: asyncio.Task[None]) -> BaseException | None:
    return asyncio.CancelledError("from within") if ended.cancelled() else ended.exception()
