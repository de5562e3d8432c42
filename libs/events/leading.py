"""Roles of which there must be one at a time in a service: who leads, and how a former leader is fenced off.

The leader holds a session advisory lock on a connection of its own; standbys try for it. A term that grows with every
take-over stands in journal.leaders: writes that carry an older one are refused, so that a leader which was stopped and
wakes up again cannot undo what its successor did. A dead leader's lock is free as soon as PostgreSQL sees its
connection end; with the machine gone, after the keepalives, some ten seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

from libs.events.errors import LeadershipLost

STANDBY_POLL_S = 0.25
BEAT_S = 1.0
COMMAND_TIMEOUT_S = 10.0
STALE_TERM = "BT001"  # SQLSTATE of journal.note_listening
LOCK_CLASS = 0x4241  # the advisory locks of roles: (this, hashtext(role))
SETTINGS = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "2s",
    "tcp_keepalives_idle": "4",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

_TRY = "select pg_try_advisory_lock($1, hashtext($2))"
_TERM = "select journal.lead($1)"
_STILL = "select term = $2 from journal.leaders where role = $1"


class Lead:
    """Leadership of one role while it lasts. `check` before every step that only the leader may take."""

    def __init__(self, role: str, term: int) -> None:
        self.role, self.term = role, term
        self.lost: str | None = None

    def check(self) -> None:
        heed_cancellation()
        if self.lost is not None:
            raise LeadershipLost(f"{self.role}: {self.lost}")


def heed_cancellation() -> None:
    """Raises CancelledError when this task was cancelled and a library below swallowed it: asyncio.wait_for does before
    Python 3.12, when its answer comes at the same moment.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def connect(dsn: str, name: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection with every wait bounded; `terminate()` it after a cancel or a timeout."""
    return await asyncpg.connect(
        dsn,
        timeout=COMMAND_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={**SETTINGS, "application_name": f"baton-{name}"},
    )


@asynccontextmanager
async def leading(dsn: str, role: str, standing_by: Callable[[], None] | None = None) -> AsyncIterator[Lead]:
    """Waits, for ever if need be, until this process leads, and leads until the block ends. `standing_by` is called
    whenever another process was found to lead.
    """
    connection = await connect(dsn, role)
    beating: asyncio.Task[None] | None = None
    over = asyncio.Event()
    try:
        while True:
            heed_cancellation()
            if await connection.fetchval(_TRY, LOCK_CLASS, role):
                break
            if standing_by is not None:
                standing_by()
            await asyncio.sleep(STANDBY_POLL_S)
        lead = Lead(role, await connection.fetchval(_TERM, role))
        beating = asyncio.create_task(_beat(connection, lead, over), name=f"leading {role}")
        yield lead
    finally:
        if beating is not None:
            over.set()  # cancelled in the middle of a query, asyncpg would complain into the log
            await asyncio.wait([beating], timeout=BEAT_S)
            beating.cancel()
            await asyncio.wait([beating])
        connection.terminate()  # ends the session, and with it the lock


async def _beat(connection: asyncpg.Connection[asyncpg.Record], lead: Lead, over: asyncio.Event) -> None:
    """Notices a lost connection or a successor soon, even when the leader has nothing to do."""
    connection.add_termination_listener(lambda _: _lose(lead, "the connection that held the lock ended"))
    try:
        while lead.lost is None and not over.is_set():
            if not await connection.fetchval(_STILL, lead.role, lead.term):
                _lose(lead, "another process took over")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), BEAT_S)
    except Exception as error:  # noqa: BLE001 whatever it is, the lock is no longer known to be ours
        _lose(lead, f"the connection that held the lock failed: {error!r}")


def _lose(lead: Lead, why: str) -> None:
    lead.lost = lead.lost or why
