"""A small service for the kernel's own tests: errands that are given, done or forgotten, with a reminder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from libs.events.contract import Contract, Kind
from libs.events.deciding import Asked, Command, Decider, Handle
from libs.events.entries import Entry, Fact
from libs.events.errors import Refusal
from libs.events.reactions import Reaction
from libs.events.service import Service
from libs.events.timers import Timer
from libs.events.views import Look, View, on


class ErrandGiven(Fact, frozen=True):
    errand: UUID
    to: str
    due_at: datetime | None = None


class ErrandPassedOn(Fact, frozen=True):
    to: str


class ErrandDone(Fact, frozen=True):
    pass


class ErrandForgotten(Fact, frozen=True):
    confirmed: bool


class ThanksSaid(Fact, frozen=True):
    to: str


class BellRung(Fact, frozen=True):
    """Another owner's fact."""

    to: str


CONTRACT = Contract(
    "errands",
    (
        Kind("ErrandGiven", 1, ErrandGiven),
        Kind("ErrandPassedOn", 1, ErrandPassedOn),
        Kind("ErrandDone", 1, ErrandDone),
        Kind("ErrandForgotten", 1, ErrandForgotten),
        Kind("ThanksSaid", 1, ThanksSaid),
    ),
)
BELLS = Contract("bells", (Kind("BellRung", 1, BellRung),))


@dataclass(frozen=True, slots=True)
class Errand:
    to: str | None = None
    open: bool = False
    thanked: bool = False


def evolve(state: Errand, fact: ErrandGiven | ErrandPassedOn | ErrandDone | ErrandForgotten | ThanksSaid) -> Errand:
    match fact:
        case ErrandGiven():
            return Errand(fact.to, open=True)
        case ErrandPassedOn():
            return replace(state, to=fact.to)
        case ErrandDone() | ErrandForgotten():
            return replace(state, open=False)
        case ThanksSaid():
            return replace(state, thanked=True)
    assert_never(fact)


class GiveErrand(Command):
    errand: UUID
    to: str
    due_in_s: float | None = None


class PassOn(Command):
    errand: UUID
    to: str


class FinishErrand(Command):
    errand: UUID


class ForgetErrand(Command):
    errand: UUID


class SayThanks(Command):
    errand: UUID


def give(state: Errand, command: GiveErrand, asked: Asked) -> list[Fact]:
    if state.to is not None:
        return []
    due_at = None if command.due_in_s is None else asked.at + timedelta(seconds=command.due_in_s)
    return [ErrandGiven(command.errand, command.to, due_at)]


def pass_on(state: Errand, command: PassOn, asked: Asked) -> list[Fact]:
    if not state.open:
        raise Refusal("errand-is-open", "the errand is not open", "此事项未在进行中")
    busy = asked.views.rows(ERRANDS, to=command.to, open=True)
    if len(busy) >= 3:
        raise Refusal("at-most-three", f"{command.to} already has three errands", f"{command.to} 已有三件事")
    return [ErrandPassedOn(command.to)]


def finish(state: Errand, command: FinishErrand, asked: Asked) -> list[Fact]:
    return [ErrandDone()] if state.open else []


def forget(state: Errand, command: ForgetErrand, asked: Asked) -> list[Fact]:
    return [ErrandForgotten(asked.confirmed)] if state.open else []


def say_thanks(state: Errand, command: SayThanks, asked: Asked) -> list[Fact]:
    if state.to == "nobody":
        raise Refusal("somebody-to-thank", "nobody did it", "没有人可感谢")
    row = asked.views.row(ERRANDS, command.errand)
    return [] if state.thanked or row is None else [ThanksSaid(row.to)]


class ErrandRow(Fact, frozen=True):
    errand: UUID
    to: str
    open: bool
    passed_on: int
    tags: tuple[str, ...]


def given_(row: ErrandRow | None, fact: ErrandGiven, entry: Entry) -> ErrandRow:
    return ErrandRow(fact.errand, fact.to, True, 0, ("given",))


def passed_on(row: ErrandRow | None, fact: ErrandPassedOn, entry: Entry) -> ErrandRow | None:
    if row is None:
        return None
    return ErrandRow(row.errand, fact.to, row.open, row.passed_on + 1, (*row.tags[-3:], fact.to))


def closed(row: ErrandRow | None, fact: Fact, entry: Entry) -> ErrandRow | None:
    return None if row is None else ErrandRow(row.errand, row.to, False, row.passed_on, row.tags)


ERRANDS: View[ErrandRow] = View(
    "errands",
    1,
    ErrandRow,
    ("errand",),
    (
        on(ErrandGiven, given_),
        on(ErrandPassedOn, passed_on),
        on(ErrandDone, closed),
        on(ErrandForgotten, closed),
    ),
    indexes=(("to", "open"),),
)


class Reminder(Fact, frozen=True):
    errand: UUID
    due_at: datetime | None
    stream_version: int
    timeline: str


def remember(row: Reminder | None, fact: ErrandGiven, entry: Entry) -> Reminder | None:
    return None if fact.due_at is None else Reminder(fact.errand, fact.due_at, entry.version, "")


def still(row: Reminder | None, fact: ErrandPassedOn, entry: Entry) -> Reminder | None:
    return None if row is None else Reminder(row.errand, row.due_at, entry.version, row.timeline)


def no_longer(row: Reminder | None, fact: Fact, entry: Entry) -> None:
    return None


REMINDERS: View[Reminder] = View(
    "reminders",
    1,
    Reminder,
    ("errand",),
    (
        on(ErrandGiven, remember),
        on(ErrandPassedOn, still),
        on(ErrandDone, no_longer),
        on(ErrandForgotten, no_longer),
    ),
)


class Rings(Fact, frozen=True):
    to: str
    count: int


def rung(row: Rings | None, fact: BellRung, entry: Entry) -> Rings:
    return Rings(fact.to, 1 + (row.count if row else 0))


RINGS: View[Rings] = View("rings", 1, Rings, ("to",), (on(BellRung, rung, lambda fact, entry: (fact.to,)),), past=False)


def thank(fact: ErrandDone, entry: Entry, look: Look) -> list[Command]:
    row = look.row(ERRANDS, entry.subject)
    return [] if row is None else [SayThanks(errand=row.errand)]


ERRAND = Decider("errand", Errand(), evolve)
SERVICE = Service(
    name="errands",
    contract=CONTRACT,
    hears=(BELLS,),
    commands=(
        Handle(GiveErrand, ERRAND, give, lambda c: c.errand),
        Handle(PassOn, ERRAND, pass_on, lambda c: c.errand),
        Handle(FinishErrand, ERRAND, finish, lambda c: c.errand),
        Handle(ForgetErrand, ERRAND, forget, lambda c: c.errand),
        Handle(SayThanks, ERRAND, say_thanks, lambda c: c.errand),
    ),
    views=(ERRANDS, REMINDERS, RINGS),
    reactions=(Reaction("thank", (ErrandDone,), thank),),
    timers=(Timer("reminder", REMINDERS, lambda row: ForgetErrand(errand=row.errand), sources=()),),
)
