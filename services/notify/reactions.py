"""What notify does when others speak: who is told what. One table, one short function a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from libs.events.contracts.notify import DeliveryFailed, MessagePosted
from libs.events.contracts.sla import BreachWithdrawn, EscalationRaised, SlaBreached, SlaWarned
from libs.events.contracts.tasks import (
    CaseClosed,
    ConflictOpened,
    ConflictRuled,
    ConsultationAnswered,
    ConsultationAsked,
    HandoffOffered,
    HandoffRejected,
    SolutionGiven,
    SourceCloseDeclined,
    TaskAssigned,
)
from libs.events.deciding import Command
from libs.events.entries import Entry, Fact
from libs.events.reactions import Reaction
from libs.events.views import Look
from libs.organisation import Words, person_named
from services.notify.commands import WEBHOOK, DropChannel, PlanDelivery, PostMessage, delivery_id, message_id
from services.notify.domain import names
from services.notify.domain.recipients import Recipient, contacts, decision_board, leads, merged, seats
from services.notify.views.assignments import ASSIGNMENTS
from services.notify.views.cases import CASES, Case, who_acts
from services.notify.views.channels import CHANNELS
from services.notify.views.deliveries import WEBHOOKS
from services.notify.views.messages import MESSAGES


@dataclass(frozen=True, slots=True)
class Telling:
    """A template, its parameters beside those of the case, and to whom it goes by which rule."""

    template: str
    params: names.Params
    to: Iterable[Recipient]


Rule = Callable[[Any, Case, Look], Iterable[Telling]]


def assigned(fact: TaskAssigned, case: Case, look: Look) -> Iterable[Telling]:
    """R and A know what is theirs, I that it begins; one message for who sits in several seats."""
    held: dict[str, list[tuple[str, str]]] = {}
    rows = (("R", fact.responsible), ("A", (fact.accountable,)), ("I", fact.informed))
    for letter, taken in rows:
        for who, because in seats(look, taken, f"{letter} of {fact.step}"):
            held.setdefault(who, []).append((letter, because))
    for who, found in held.items():
        seat = names.seat(tuple(dict.fromkeys(letter for letter, _ in found)))
        params = {**names.step(look, case, fact.step), **seat}
        yield Telling("task-assigned", params, [(who, because) for _, because in found])


def offered(fact: HandoffOffered, case: Case, look: Look) -> Iterable[Telling]:
    params = {
        **names.departments(look, "sender", (fact.sender,)),
        **names.departments(look, "receiver", (fact.receiver,)),
        "number": str(fact.number),
        "note": names.short(fact.note),
    }
    yield Telling("handoff-offered", params, contacts(look, (fact.receiver,), f"is offered handoff {fact.number}"))


def rejected(fact: HandoffRejected, case: Case, look: Look) -> Iterable[Telling]:
    """Who holds the case had offered it."""
    params = {
        **names.departments(look, "receiver", (fact.receiver,)),
        "reason": names.short(fact.reason),
        "bounces": str(fact.bounces),
    }
    yield Telling("handoff-rejected", params, contacts(look, (case.holder,), f"offered handoff {fact.number}"))


def conflict(fact: ConflictOpened, case: Case, look: Look) -> Iterable[Telling]:
    params = {**names.departments(look, "departments", fact.departments), "bounces": str(fact.bounces)}
    yield Telling("conflict-opened", params, contacts(look, fact.departments, "party to the conflict"))


def ruled(fact: ConflictRuled, case: Case, look: Look) -> Iterable[Telling]:
    params = {
        "ruler": person_named(look, fact.ruler),
        **names.departments(look, "responsible", (fact.responsible,)),
        **names.departments(look, "consulted", fact.consulted),
        "reason": names.short(fact.reason),
    }
    to = [
        *contacts(look, (fact.responsible,), "responsible by the ruling"),
        *contacts(look, fact.consulted, "consulted by the ruling"),
        *contacts(look, case.parties, "party to the conflict"),
    ]
    yield Telling("conflict-ruled", params, to)


def consulted(fact: ConsultationAsked, case: Case, look: Look) -> Iterable[Telling]:
    department = names.departments(look, "department", (fact.department,))
    params = {**department, **names.step(look, case, fact.step), "question": names.short(fact.question)}
    yield Telling("consultation-asked", params, contacts(look, (fact.department,), f"C of {fact.step}"))


def answered(fact: ConsultationAnswered, case: Case, look: Look) -> Iterable[Telling]:
    department = names.departments(look, "department", (fact.department,))
    params = {**department, **names.step(look, case, fact.step), "answer": names.short(fact.answer)}
    yield Telling("consultation-answered", params, contacts(look, (case.holder,), "holds the case"))


def solved(fact: SolutionGiven, case: Case, look: Look) -> Iterable[Telling]:
    params = {
        **names.departments(look, "department", (fact.department,)),
        "solution": names.short(fact.solution),
    }
    yield Telling("solution-given", params, informed(look, case))


def warned(fact: SlaWarned, case: Case, look: Look) -> Iterable[Telling]:
    params = {**names.step(look, case, fact.step), "due_at": names.instant(fact.due_at)}
    yield Telling("sla-warned", params, contacts(look, who_acts(case), f"is to act while {fact.step} runs out"))


def breached(fact: SlaBreached, case: Case, look: Look) -> Iterable[Telling]:
    """A is told, and the leads of all who were to act meanwhile, of who is to act now where nobody was; where there is
    nobody, the decision board.
    """
    params = {
        **names.step(look, case, fact.step),
        "due_at": names.instant(fact.due_at),
        **names.legs(look, fact.legs),
    }
    assignment = look.row(ASSIGNMENTS, (case.case_id, fact.step))
    acted = dict.fromkeys(leg.department for leg in fact.legs if leg.department is not None)
    to = [
        *seats(look, () if assignment is None else (assignment.accountable,), f"A of {fact.step}"),
        *leads(look, acted or who_acts(case), "was to act before the breach" if acted else "is to act now"),
    ]
    yield Telling("sla-breached", params, to or decision_board(look, "nobody else is known to answer for the breach"))


def withdrawn(fact: BreachWithdrawn, case: Case, look: Look) -> Iterable[Telling]:
    params = {
        **names.step(look, case, fact.step),
        "due_at": names.instant(fact.due_at),
        "stopped_at": names.instant(fact.stopped_at),
    }
    told = look.rows(MESSAGES, case_id=case.case_id, template="sla-breached")
    to = [(row.to, "was told of the breach") for row in told if row.params.get("step") == fact.step]
    yield Telling("breach-withdrawn", params, to)


def raised(fact: EscalationRaised, case: Case, look: Look) -> Iterable[Telling]:
    params = {
        "rung": fact.rung,
        **names.in_both("rung", Words(fact.rung, fact.rung_zh or fact.rung)),
        "level": str(fact.level),
        "answer_by_at": names.instant(fact.answer_by),
        **names.departments(look, "departments", fact.departments),
    }
    because = f"rung {fact.level} of {fact.ladder} ({fact.rung}): {fact.because}"
    yield Telling("escalation-raised", params, [(who, because) for who in fact.asked])


def close_declined(fact: SourceCloseDeclined, case: Case, look: Look) -> Iterable[Telling]:
    """Who holds the case may have less to do than they think, or has to tell the source why not."""
    yield Telling("close-declined", names.outcome(fact.outcome), contacts(look, (case.holder,), "holds the case"))


def closed(fact: CaseClosed, case: Case, look: Look) -> Iterable[Telling]:
    to = [*informed(look, case), *contacts(look, (case.holder,), "holds the case")]
    yield Telling("case-closed", names.outcome(fact.outcome), to)


def informed(look: Look, case: Case) -> Iterator[Recipient]:
    for assignment in look.rows(ASSIGNMENTS, case_id=case.case_id):
        yield from seats(look, assignment.informed, f"I of {assignment.step}")


def _reaction(name: str, on: type[Fact], rule: Rule) -> Reaction:
    """Tell by this rule, unless the case is an import's past, which wakes nobody."""

    def react(fact: Any, entry: Entry, look: Look) -> Iterable[Command]:
        case = look.row(CASES, entry.subject) or Case(entry.subject, "", "", "", "", "")
        if case.timeline or getattr(fact, "timeline", ""):
            return
        about = {"title": names.short(case.title), "reference": case.reference, "process": case.template}
        for telling in rule(fact, case, look):
            for person, because in merged(telling.to).items():
                yield PostMessage(
                    message=message_id(entry.id, person, telling.template),
                    to=person,
                    template=telling.template,
                    params={**about, **telling.params},
                    because=because,
                    cause=entry.id,
                    case_id=case.case_id,
                )

    return Reaction(name, (on,), react)


def send_out(fact: MessagePosted, entry: Entry, look: Look) -> Iterable[Command]:
    """What is in the inbox also goes out by the channels that its reader chose."""
    for row in look.rows(CHANNELS, person=fact.to):
        yield PlanDelivery(
            delivery=delivery_id(fact.message, row.channel),
            case_id=fact.case_id or entry.subject,
            message=fact.message,
            to=fact.to,
            channel=row.channel,
        )


def stop_at_gone(fact: DeliveryFailed, entry: Entry, look: Look) -> Iterable[Command]:
    """A receiver that says it is gone gets nothing more."""
    row = look.row(WEBHOOKS, fact.delivery)
    if row is not None and fact.gone is not None:
        yield DropChannel(person=row.to, channel=WEBHOOK, choice=fact.gone, because=fact.reason)


REACTIONS = (
    _reaction("tell-assigned", TaskAssigned, assigned),
    _reaction("tell-offered", HandoffOffered, offered),
    _reaction("tell-rejected", HandoffRejected, rejected),
    _reaction("tell-conflict", ConflictOpened, conflict),
    _reaction("tell-ruled", ConflictRuled, ruled),
    _reaction("tell-consulted", ConsultationAsked, consulted),
    _reaction("tell-answered", ConsultationAnswered, answered),
    _reaction("tell-solved", SolutionGiven, solved),
    _reaction("tell-warned", SlaWarned, warned),
    _reaction("tell-breached", SlaBreached, breached),
    _reaction("tell-withdrawn", BreachWithdrawn, withdrawn),
    _reaction("tell-escalated", EscalationRaised, raised),
    _reaction("tell-close-declined", SourceCloseDeclined, close_declined),
    _reaction("tell-closed", CaseClosed, closed),
    Reaction("send-out", (MessagePosted,), send_out),
    Reaction("stop-at-gone", (DeliveryFailed,), stop_at_gone),
)
