"""Story 1: the complaint that nobody wants. 没有部门愿意接的投诉。

Mon 09:00 a complaint comes from outside; three departments reject it in turn, the third rejection opens a conflict by
itself; the two hours to answer run out at 11:40 and the ladder is climbed; the common superior rules at 12:25 (in the
variant nobody does, and the decision board is reached); the solution is in time, and after the call back it is closed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from demo.stage import Stage

REFERENCE = "STORY1"
LEGS_MINUTES = [30, 40, 30, 65, 5, 60]
LEG_HOLDERS = ["production", "purchasing", "product", None, "production", "production"]
TOLD: dict[str, set[str]] = {
    "handoff-offered": {"prod-1", "purch-1", "pd-1"},
    "handoff-rejected": {"svc-1"},
    "sla-breached": {"prod-dir", "purch-dir", "pd-dir"},
    "escalation-raised": {"prod-1", "purch-1", "pd-1", "vp-ops"},
    "conflict-ruled": {"prod-1", "purch-1", "pd-1"},
    "consultation-asked": {"purch-1"},
    "solution-given": {"svc-1"},
    "case-closed": {"svc-1", "prod-1"},
}
"""Who gets which message, by RACI seat or rung: these, and nobody else."""
SECOND = timedelta(seconds=1)


def play(stage: Stage) -> str:
    """Play it and check every instant and leg; the case's id."""
    case = _until_the_conflict(stage)
    stage.at(
        "11:40", "the two hours to answer are over: breached; the three contacts are asked · 响应超时，三方对接人被催办"
    )
    _expect_rung(stage, case, 1, ["pd-1", "prod-1", "purch-1"])
    stage.at("12:10", "no answer from them: their common superior is asked · 升级至共同上级")
    _expect_rung(stage, case, 2, ["vp-ops"])
    stage.at("12:25", "钱立 rules: production is to take it, purchasing is consulted · 裁决：生产部负责，采购部协助")
    ruling = {
        "responsible": "production",
        "consulted": ["purchasing"],
        "reason": "the veneer was pressed in our plant; the board came as specified",
    }
    stage.person("vp-ops").post("tasks", f"/v1/cases/{case}/rulings", ruling)
    stage.at("12:30", "production accepts · 生产部接单")
    stage.person("prod-1").post("tasks", f"/v1/cases/{case}/handoffs/4/acceptance")
    stage.at("13:05", "purchasing, consulted, answers · 采购部答复")
    answer = {"answer": "lot 7731, moisture 11 %, within the specification"}
    stage.person("purch-1").post("tasks", f"/v1/cases/{case}/consultations/purchasing/answer", answer)
    stage.at("13:30", "production gives the solution, ten minutes before it is due · 给出解决方案")
    solution = {"solution": "new fronts from lot 7802, fitted on Thursday"}
    stage.person("prod-1").post("tasks", f"/v1/cases/{case}/solution", solution)
    stage.at("13:40", "customer service tells the customer · 告知客户")
    stage.person("svc-1").post("tasks", f"/v1/cases/{case}/customer-told")
    stage.at("13:40", "the call back, 24 h later: content; closed · 回访满意，结案", day=1)
    stage.person("svc-1").post("tasks", f"/v1/cases/{case}/call-back", {"satisfied": True, "note": "content"})
    expect_history(stage, case)
    _expect_handoffs(stage, case)
    _expect_messages(stage, case)
    _expect_kpi(stage, case)
    return case


def play_unruled(stage: Stage) -> str:
    """The variant in which nobody rules: an hour after the common superior, the decision board is reached."""
    case = _until_the_conflict(stage)
    stage.at("12:10", "nobody answered: the common superior is asked · 升级至共同上级")
    stage.at("13:10", "he does not rule either: the decision board is asked · 升级至公司决策层")
    _expect_rung(stage, case, 3, ["ceo", "cfo"])
    history = stage.auditor().get("audit", f"/v1/cases/{REFERENCE}/history")
    stage.expect("the case is still in conflict", history["state"], "conflict")
    stage.expect("customer service still holds it", history["holder"], "service")
    return case


def _until_the_conflict(stage: Stage) -> str:
    stage.at("09:00", "a complaint comes in from outside: veneer blisters · 客户投诉：饰面起泡")
    received = {
        "specversion": "1.0",
        "id": "complaint-1",
        "source": "web-shop",
        "type": "baton.request.received.v1",
        "datacontenttype": "application/json",
        "data": {
            "reference": REFERENCE,
            "template": "complaint",
            "category": "quality",
            "title": "veneer blisters",
            "form": {"customer": "C-2208", "order": "SO-10248"},
        },
    }
    stage.integration("web-shop").send(received)
    (row,) = stage.person("svc-1").rows("tasks", "/v1/cases", reference=REFERENCE)
    case = str(row["case_id"])
    stage.at(
        "09:40", "customer service completes the form; routed and offered to production · 投诉单填写完成，转生产部"
    )
    form = {"product": "cabinet front, oak", "defect": "veneer blisters along the edge"}
    stage.person("svc-1").post("tasks", f"/v1/cases/{case}/form", {"form": form})
    _reject(stage, case, 1, "10:10", "prod-1", "raw material", following="purchasing")
    _reject(stage, case, 2, "10:50", "purch-1", "specification", following="product")
    stage.at("11:16", "80 % of the two hours to answer are over: product, which is asked, is warned · 响应时限预警")
    _reject(stage, case, 3, "11:20", "pd-1", "not ours")
    return case


def _reject(
    stage: Stage, case: str, number: int, time: str, who: str, reason: str, *, following: str | None = None
) -> None:
    stage.at(time, f"{who} rejects: “{reason}” · 退回")
    rejection = {"reason": reason} | ({"next_department": following} if following else {})
    stage.person(who).post("tasks", f"/v1/cases/{case}/handoffs/{number}/rejection", rejection)


def _expect_rung(stage: Stage, case: str, level: int, asked: list[str]) -> None:
    (row,) = stage.ops().rows("sla", "/v1/escalations", case_id=case, state="open")
    stage.expect(f"rung {level} of the ladder is asked", (row["level"], sorted(row["asked"])), (level, asked))


def _history(stage: Stage, **axes: datetime) -> Any:
    asked = {name: instant.isoformat() for name, instant in axes.items()}
    return stage.auditor().get("audit", f"/v1/cases/{REFERENCE}/history", **asked)


def _types(history: Any) -> list[str]:
    return [entry["what"]["type"] for entry in history["entries"]]


def expect_history(stage: Stage, case: str) -> None:
    """Audit tells it as it was: legs, instants, what was known at 11:30."""
    told = _history(stage)
    stage.expect("the case is found by its reference", told["case_id"], case)
    stage.expect("the legs in minutes", told["legs_minutes"], LEGS_MINUTES)
    stage.expect("who had it in each leg", [leg["department"] for leg in told["legs"]], LEG_HOLDERS)
    stage.expect("the case is closed", told["state"], "closed")
    (breach,) = told["breaches"]
    stage.expect("one breach, of the answer", breach["step"], "answer")
    stage.expect("it is certain: every source had passed that instant", breach["unconfirmed"], False)
    stage.expect("it was due at 11:40", datetime.fromisoformat(breach["due_at"]), stage.instant("11:40"))
    stage.expect("the breach names the legs until then", [leg["minutes"] for leg in breach["legs"]], [30, 40, 30, 20])
    when = {entry["what"]["type"]: entry["when"]["occurred_at"] for entry in told["entries"]}
    for type_, time in (
        ("sla.SlaBreached", "11:40"),
        ("tasks.ConflictOpened", "11:20"),
        ("tasks.ConflictRuled", "12:25"),
    ):
        stage.expect(f"{type_} occurred at {time}", datetime.fromisoformat(when[type_]), stage.instant(time))
    warned = [
        e for e in told["entries"] if e["what"]["type"] == "sla.SlaWarned" and e["what"]["data"]["step"] == "answer"
    ]
    instants = [datetime.fromisoformat(entry["when"]["occurred_at"]) for entry in warned]
    stage.expect("the answer was warned at 80 %", instants, [stage.instant("11:16")])
    then = _history(stage, as_of=stage.instant("11:30"))
    stage.expect("as of 11:30 there is the conflict", "tasks.ConflictOpened" in _types(then), True)
    stage.expect("as of 11:30 there is no breach", (then["breaches"], "sla.SlaBreached" in _types(then)), ([], False))
    stage.expect("and that answer is final", then["final"], True)


def _expect_handoffs(stage: Stage, case: str) -> None:
    """Just before and after each handoff, audit and the board name the same holder, and whom it is offered to."""
    for time, before, after in (
        ("09:40", ("service", None), ("service", "production")),
        ("10:10", ("service", "production"), ("service", "purchasing")),
        ("10:50", ("service", "purchasing"), ("service", "product")),
        ("11:20", ("service", "product"), ("service", None)),
        ("12:25", ("service", None), ("service", "production")),
        ("12:30", ("service", "production"), ("production", None)),
    ):
        instant = stage.instant(time)
        for moment, wanted in ((instant - SECOND, before), (instant + SECOND, after)):
            row = stage.person("svc-1").get("tasks", f"/v1/cases/{case}", as_of=moment.isoformat())["row"]
            seen = (row["holder"], row["offered_to"])
            stage.expect(f"as of {moment:%H:%M:%S} it was held by and offered to", seen, wanted)
            stage.expect(
                f"audit says the same as of {moment:%H:%M:%S}", _history(stage, as_of=moment)["holder"], wanted[0]
            )


def _expect_messages(stage: Stage, case: str) -> None:
    told: dict[str, set[str]] = {}
    for row in stage.ops().rows("notify", "/v1/messages", case_id=case):
        told.setdefault(row["to"], set()).add(row["template"])
    for template, people in TOLD.items():
        got = {person for person, templates in told.items() if template in templates}
        stage.expect(f"{template} went to these, and to nobody else", got, people)


def _expect_kpi(stage: Stage, case: str) -> None:
    breach = next(e for e in _history(stage)["entries"] if e["what"]["type"] == "sla.SlaBreached")
    kpi = stage.ops().get("goals", "/v1/kpis/complaint-response")["row"]
    stage.expect("the shared KPI counts one miss", (kpi["hits"], kpi["misses"]), (0, 1))
    (sample,) = stage.ops().rows("goals", "/v1/kpis/complaint-response/samples")
    stage.expect("and links to the breach", sample["evidence"], breach["id"])
