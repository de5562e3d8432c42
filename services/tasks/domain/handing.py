"""Handoffs: offered, accepted, rejected. The sender holds the case until somebody accepts it."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.contracts.tasks import ConflictOpened, HandoffAccepted, HandoffOffered, HandoffRejected
from libs.events.deciding import Asked
from libs.events.entries import Fact
from libs.events.errors import NotFound, Refusal
from libs.organisation import DEPARTMENTS
from services.tasks.commands import AcceptHandoff, OfferHandoff, RejectHandoff
from services.tasks.domain.case import Case
from services.tasks.domain.choices import ACCEPTED, ANSWER_HANDOFF, OFFER_HANDOFF
from services.tasks.domain.rights import may
from services.tasks.domain.unfolding import unfold


def offer_handoff(case: Case, command: OfferHandoff, asked: Asked) -> Sequence[Fact]:
    """A case that came back without a next department is offered anew by its holder."""
    unfolding = unfold(case, asked)
    may(OFFER_HANDOFF, case, unfolding.template, asked)
    if not case.offers or case.offer or case.accepted or case.conflict:
        raise Refusal(
            "nothing-to-offer",
            f"{_standing(case)}; offer a case that came back and that nobody is asked to take",
            "只有被退回且尚无接收方的工单才能再次移交",
        )
    _may_receive(case, command.receiver, asked)
    unfolding.offer(command.receiver, command.note)
    return unfolding.facts


def accept_handoff(case: Case, command: AcceptHandoff, asked: Asked) -> Sequence[Fact]:
    """From now on the receiver holds the case, and is responsible for it."""
    unfolding = unfold(case, asked)
    may(ANSWER_HANDOFF, case, unfolding.template, asked)
    if case.accepted and command.number == case.offers:
        return []
    offer = _open_offer(case, command.number)
    unfolding.note(HandoffAccepted(offer.number, offer.receiver))
    unfolding.reach(ACCEPTED)
    unfolding.reassign()
    unfolding.consult()
    return unfolding.facts


def reject_handoff(case: Case, command: RejectHandoff, asked: Asked) -> Sequence[Fact]:
    """The next department is offered the case; the last bounce that the template bears opens a conflict instead."""
    unfolding = unfold(case, asked)
    may(ANSWER_HANDOFF, case, unfolding.template, asked)
    offer = _open_offer(case, command.number)
    if case.ruling is not None:
        raise Refusal(
            "ruling-binds",
            f"{case.ruling.ruler} ruled that {case.ruling.responsible} holds the case; accept it",
            f"{case.ruling.ruler} 已裁决由 {case.ruling.responsible} 负责，请接收",
        )
    bounces = case.bounces + 1
    unfolding.note(HandoffRejected(offer.number, offer.receiver, command.reason, bounces))
    if bounces >= unfolding.template.bounce_limit:
        unfolding.note(ConflictOpened(case.offered_to, bounces))
    elif command.next_department is not None:
        _may_receive(case, command.next_department, asked)
        unfolding.offer(command.next_department, command.reason)
    return unfolding.facts


def must_be_known(name: str, department: str, asked: Asked) -> None:
    """Refuses a department that nobody registered: nobody could ever answer for it."""
    if asked.views.row(DEPARTMENTS, department) is None:
        known = ", ".join(row.department for row in asked.views.rows(DEPARTMENTS)) or "none"
        raise NotFound(
            "unknown-department",
            f"{name}={department} is not registered; register it in directory or take one of: {known}",
            f"部门 {department} 尚未登记，请在组织目录中登记，或改用：{known}",
        )


def _open_offer(case: Case, number: int) -> HandoffOffered:
    if case.offer is not None and case.offer.number == number:
        return case.offer
    if number < 1 or number > case.offers:
        raise NotFound("unknown-handoff", f"number={number}: {_standing(case)}; take its number", "没有这次移交")
    raise Refusal("handoff-answered", f"number={number} was answered; {_standing(case)}", f"第 {number} 次移交已有答复")


def _may_receive(case: Case, department: str, asked: Asked) -> None:
    must_be_known("receiver", department, asked)
    rejecting = case.offer.receiver if case.offer else ""
    if department in (case.holder, rejecting):
        raise Refusal(
            "receiver-is-party",
            f"receiver={department} holds the case or just rejected it; name another, or none to give it back",
            f"{department} 是当前持有方或刚刚拒绝的部门，请指定其他部门，或不指定以退回",
        )


def _standing(case: Case) -> str:
    if case.offer is not None:
        return f"handoff {case.offer.number} to {case.offer.receiver} is open"
    if case.conflict:
        return "the case waits for a ruling"
    return f"{case.holder} holds the case and nobody is asked to take it"
