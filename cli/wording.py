"""What each fact about a case says beyond its name: whom it concerns and until when, one line of a table per fact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

from libs.clocks import length

NOBODY = "–"
WORDS: dict[str, tuple[str, ...]] = {
    # gateway
    "RequestReceived": ("{reference}: {title}", "due {target_at:instant}"),
    "RequestClosed": ("{reference}",),
    # tasks
    "CaseOpened": ("held by {holder}",),
    "FormCompleted": ("category corrected to {category}",),
    "StepStarted": ("{step}", "due {target_at:instant}"),
    "StepCompleted": ("{step}",),
    "CaseRouted": ("to {department}",),
    "HandoffOffered": ("to {receiver} #{number}",),
    "HandoffAccepted": ("held by {receiver} #{number}",),
    "HandoffRejected": ("by {receiver} #{number}",),
    "ConflictOpened": ("between {departments}",),
    "ConflictRuled": ("responsible: {responsible}", "consulted: {consulted}"),
    "TaskAssigned": ("{step}", "R {responsible}", "A {accountable}", "C {consulted}", "I {informed}"),
    "ConsultationAsked": ("to {department}: {question}",),
    "ConsultationAnswered": ("by {department}: {answer}",),
    "SolutionGiven": ("by {department}: {solution}",),
    "CustomerTold": ("call back from {call_back_from:instant}",),
    "CallBackDone": ("{satisfied:satisfied|not satisfied}",),
    "SourceCloseDeclined": (),
    "CaseClosed": (),
    # sla
    "ClockStarted": ("{step}", "due {due_at:instant}"),
    "SlaWarned": ("{step}", "due {due_at:instant}"),
    "SlaBreached": ("{step}", "was due {due_at:instant}", "{unconfirmed:unconfirmed|}"),
    "BreachWithdrawn": ("{step}", "done {stopped_at:instant}", "was due {due_at:instant}"),
    "SlaMet": ("{step}", "done {stopped_at:instant}", "due {due_at:instant}"),
    "ClockStopped": ("{step}", "done {stopped_at:instant}", "{late_s:length} late"),
    "EscalationRaised": ("rung {level}, {rung}: {asked}", "answer by {answer_by:instant}"),
    "EscalationEnded": ("at rung {level}",),
    # goals
    "KpiMeasured": ("{kpi}: {hit:hit|miss}", "hits {hits}, misses {misses} so far", "{corrects:a correction|}"),
    # notify
    "MessagePosted": ("to {to}", "{template}"),
    "MessageAcknowledged": (),
    "DeliveryPlanned": ("to {to} by {channel}",),
    "DeliveryAttempted": ("attempt {attempt}",),
    "DeliveryArrived": ("attempt {attempt}",),
    "DeliveryFailed": ("attempt {attempt}", "again {next_at:instant}"),
    "DeliveryUnknown": ("attempt {attempt}", "again {next_at:instant}"),
    "DeliveryRepeated": (),
    # any service
    "RecordParked": ("{kind}", "{type}"),
    "ParkedRecordReleased": ("{mended:mended|as it came}",),
    "ParkedRecordDropped": (),
}
"""By the fact's name, its parts; a part is left out where the fact does not say what it would show."""


def in_words(type_: str, data: Any, day: date, zone: ZoneInfo) -> str:
    """What a fact of this type says; "" where nobody has put it into words. `day`: on which it is told."""
    if not isinstance(data, dict):
        return ""
    said = {field: value for field, value in data.items() if value not in (None, "", [])}
    words = _Words(day, zone)
    return "; ".join(filter(None, (words.part(part, said) for part in WORDS.get(type_.rpartition(".")[2], ()))))


def shown(at: datetime, day: date | None = None) -> str:
    """An instant to the minute; of `day` itself only the time."""
    return f"{at:%H:%M}" if at.date() == day else f"{at:%a %Y-%m-%d %H:%M}"


def lasting(minutes: float) -> str:
    """A length, in hours and days where it is long."""
    return " ".join(f"{amount:g} {unit}" for amount, unit in length(minutes))


class _Words(Formatter):
    """Besides Python's own: `:instant`, `:length` (of seconds), and of yes or no the words for each, `:hit|miss`."""

    def __init__(self, day: date, zone: ZoneInfo) -> None:
        self._day, self._zone = day, zone

    def part(self, part: str, said: Mapping[str, Any]) -> str:
        try:
            return self.vformat(part, (), said)
        except (KeyError, TypeError, ValueError, OverflowError):  # of a version that says it otherwise, or not at all
            return ""

    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, bool):
            yes, _, no = format_spec.partition("|")
            return yes if value else no
        if isinstance(value, list):
            return ", ".join(map(str, value))
        if format_spec == "instant":
            return shown(datetime.fromisoformat(value).astimezone(self._zone), self._day)
        if format_spec == "length":
            return lasting(value / 60)
        return str(value)
