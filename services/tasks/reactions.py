"""What tasks does by itself when the gateway speaks. A request that cannot become a case is parked with the reason.

The event-time watermark of an import is passed on by a timer, which waits until all that the gateway said before it
was heard and became cases: whoever runs clocks on it can rely on that.
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.events.contracts.gateway import RequestClosed, RequestReceived
from libs.events.entries import Entry
from libs.events.reactions import Reaction
from libs.events.timers import Timer
from libs.events.views import Look
from services.tasks.commands import AdvanceTimeline, CloseBySource, OpenCase
from services.tasks.views.passing import PASSING, Passing


def open_case(fact: RequestReceived, entry: Entry, look: Look) -> Iterable[OpenCase]:
    yield OpenCase(
        case_id=entry.subject,
        source=fact.source,
        reference=fact.reference,
        template=fact.template,
        category=fact.category,
        title=fact.title,
        form=fact.form,
        priority=fact.priority,
        department=fact.department,
        target_at=fact.target_at,
        timeline=fact.timeline,
    )


def close_case(fact: RequestClosed, entry: Entry, look: Look) -> Iterable[CloseBySource]:
    yield CloseBySource(case_id=entry.subject, outcome=fact.outcome)


def pass_on(row: Passing) -> AdvanceTimeline:
    return AdvanceTimeline(source=row.source, up_to=row.up_to)


REACTIONS = (
    Reaction("open-case", (RequestReceived,), open_case),
    Reaction("close-case", (RequestClosed,), close_case),
)
TIMERS = (Timer("pass-on", PASSING, pass_on, sources=("gateway",), grace_s=None),)
