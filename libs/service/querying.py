"""Asking views in the name of one request: now or as of an instant, one page at a time, after one's own write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import asyncpg
from fastapi import Response

from libs.events.reading import BadQuestion, Moment
from libs.events.views import View
from libs.service.answers import Page, Shown, etag
from libs.service.auth import Identity
from libs.service.cures import Cure
from libs.service.errors import Fault, WrongShape
from libs.service.running import Doors

TOKEN_WAIT_S = 2.0
AS_OF_AHEAD_MAX = timedelta(minutes=1)
"""By how much the asker's clock may be ahead of ours."""
_HELD = Cure("ask for a value that this column can hold", "请使用该列能容纳的值")
R = TypeVar("R")


class Reading:
    """Reads views in the name of one request, now or `as_of`, one page at a time. `said`: `as_of` as it came."""

    def __init__(
        self,
        doors: Doors,
        identity: Identity,
        response: Response,
        *,
        as_of: datetime | None,
        said: str,
        limit: int,
        cursor: str | None,
        after: int | None,
    ) -> None:
        self._doors, self._identity, self._response, self._said = doors, identity, response, said
        self.as_of, self._limit, self._cursor, self._after = as_of, limit, cursor, after
        self._moment: Moment | None = None
        self._settled = False

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
        """The instant that the answer is about: `as_of`, or the domain clock's now (for lags in days, red, due …)."""
        return self.as_of or self._doors.now()

    @property
    def final(self) -> bool | None:
        """Whether the answer as of that instant can still change; None when nothing was read, or it is about now."""
        return self._moment.final if self._moment else None

    async def row(self, view: View[R], key: Any) -> R | None:
        """The row with this key, or None; waits for the position that the request named (bounded, then NotYet)."""
        await self._settle()
        with _asked_wrongly(self._said):
            return await self._doors.reader.row(view, key, tenant=self.tenant, at=self._moment)

    async def standing(self, view: View[R], key: Any) -> R | None:
        """The row with this key as it stands now, whatever instant is asked about."""
        return await self._doors.reader.row(view, key, tenant=self.tenant)

    def shown(self, row: R, *, version: int | None = None) -> Shown[R]:
        """The answer that shows one row. `version`: what a command about it may name, told unless it is of the past."""
        if version is not None and self.as_of is None:
            self._response.headers["ETag"] = etag(version)
        return Shown(row=row, as_of=self.as_of, final=self.final)

    async def page(
        self, view: View[R], *, equal: Mapping[str, Any] | None = None, order: Sequence[str] = ()
    ) -> Page[R]:
        """One page of the rows whose columns equal these values (None is no filter), by `order` and then by key."""
        await self._settle()
        with _asked_wrongly(self._said):
            page = await self._doors.reader.page(
                view,
                tenant=self.tenant,
                equal=equal,
                order=order,
                limit=self._limit,
                cursor=self._cursor,
                at=self._moment,
            )
        return Page(rows=page.rows, next_cursor=page.next_cursor, as_of=page.as_of, final=page.final)

    async def _settle(self) -> None:
        if self._settled:
            return
        if self._after is not None:
            await self._doors.projector.wait(self._after, TOKEN_WAIT_S)
        if self.as_of is not None:
            self._moment = await self._doors.reader.moment(self.as_of)
            require_come(self.as_of, self._doors.now(), final=self._moment.final, said=self._said)
        self._settled = True


def require_come(as_of: datetime, now: datetime, *, final: bool, said: str) -> None:
    """Raise WrongShape for an instant that is still to come, unless something beyond it is on record already.

    `said`: the instant as it came, so that the fault does not show another zone than the asker's.
    """
    if not final and as_of > now + AS_OF_AHEAD_MAX:
        here = now.isoformat(timespec="seconds")
        cure = Cure(
            f"choose an instant that has come; the domain clock's now is {here}",
            f"请选择不晚于当前的时刻；当前业务时间为 {here}",
        )
        raise WrongShape([Fault("query.as_of", *cure, said)])


@contextmanager
def _asked_wrongly(said: str) -> Iterator[None]:
    """What the view cannot be asked, and values that its columns cannot hold, are the asker's to mend.

    `said`: `as_of` as it came.
    """
    try:
        yield
    except BadQuestion as error:
        value = said if error.field == "as_of" else error.value
        raise WrongShape([Fault(f"query.{error.field}", str(error), error.zh, value)]) from error
    except asyncpg.DataError as error:
        raise WrongShape([Fault("query", *_HELD, str(error))]) from error
