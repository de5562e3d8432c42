"""Handoffs: offered, accepted, rejected. The sender holds the case until somebody accepts it."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.contracts.tasks import ConflictOpened, HandoffAccepted, HandoffOffered, HandoffRejected
from libs.events.deciding import Asked
from libs.events.entries import Fact
from libs.events.errors import NotFound, Refusal
from libs.events.views import Look
from libs.organisation import DEPARTMENTS, Words, departments_named, person_seat, seats_named
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
        standing = _standing(case, asked.views)
        raise Refusal(
            "nothing-to-offer",
            f"the case cannot be offered now: {standing.en}",
            f"工单目前不能移交：{standing.zh}",
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
    offer = _open_offer(case, command.number, asked.views)
    unfolding.note(HandoffAccepted(offer.number, offer.receiver))
    unfolding.reach(ACCEPTED)
    unfolding.reassign()
    unfolding.consult()
    return unfolding.facts


def reject_handoff(case: Case, command: RejectHandoff, asked: Asked) -> Sequence[Fact]:
    """The next department is offered the case; the last bounce that the template bears opens a conflict instead."""
    unfolding = unfold(case, asked)
    may(ANSWER_HANDOFF, case, unfolding.template, asked)
    offer = _open_offer(case, command.number, asked.views)
    if case.ruling is not None:
        ruler = seats_named(asked.views, [person_seat(case.ruling.ruler)])
        bound = departments_named(asked.views, [case.ruling.responsible])
        raise Refusal(
            "ruling-binds",
            f"{ruler.en} ruled that {bound.en} is to take the case; accept it",
            f"{ruler.zh}已裁决由{bound.zh}负责，请接收",
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
        rows = asked.views.rows(DEPARTMENTS)
        known = ", ".join(row.department for row in rows) or "none"
        known_zh = "、".join(f"{row.name_zh}（{row.department}）" for row in rows) or "无"
        raise NotFound(
            "unknown-department",
            f"{name}={department} is not registered; register it in directory or take one of: {known}",
            f"部门 {department} 尚未登记，请在组织目录中登记，或改用：{known_zh}",
        )


def _open_offer(case: Case, number: int, look: Look) -> HandoffOffered:
    if case.offer is not None and case.offer.number == number:
        return case.offer
    standing = _standing(case, look)
    if number < 1 or number > case.offers:
        raise NotFound(
            "unknown-handoff",
            f"number={number} is no handoff of this case; {standing.en}",
            f"没有第 {number} 次移交；{standing.zh}",
        )
    raise Refusal(
        "handoff-answered",
        f"number={number} was answered before; {standing.en}",
        f"第 {number} 次移交已有答复；{standing.zh}",
    )


def _may_receive(case: Case, department: str, asked: Asked) -> None:
    must_be_known("receiver", department, asked)
    rejecting = case.offer.receiver if case.offer else ""
    if department in (case.holder, rejecting):
        party = departments_named(asked.views, [department])
        raise Refusal(
            "receiver-is-party",
            f"receiver={department} holds the case or just rejected it; name another, or none to give it back",
            f"{party.zh}是当前经办部门或刚刚退回工单的部门，请另选一个部门；不指定部门即为退回",
        )


def _standing(case: Case, look: Look) -> Words:
    """How the case stands, and what comes next."""
    if case.offer is not None:
        number, receiver = case.offer.number, departments_named(look, [case.offer.receiver])
        return Words(
            f"handoff {number} is open, let {receiver.en} accept or reject it",
            f"第 {number} 次移交尚未答复，请由{receiver.zh}接收或退回",
        )
    if case.conflict:
        return Words(
            "nobody takes it, let whoever stands above its departments rule", "各部门均不承接，请由共同上级裁决"
        )
    if not case.responsible:
        return Words("it was not offered yet, complete its form", "工单尚未移交，请先填写完整表单")
    holder = departments_named(look, [case.holder])
    if case.accepted or not case.offers:
        return Words(
            f"{holder.en} has it and nothing is to be answered, go on with it",
            f"工单现由{holder.zh}经办，没有待答复的移交，请继续处理",
        )
    return Words(
        f"it came back and nobody is asked to take it, let {holder.en} offer it anew",
        f"工单已退回，尚未移交给其他部门，请由{holder.zh}重新移交",
    )
