"""Who accepts something on another service's behalf accepts nothing that the other cannot take."""

from __future__ import annotations

from services.gateway import commands as gateway
from services.tasks.tests.world import CASE_ID, OPS, company, monday, received, request_template
from services.tasks.views.cases import CASES


def test_whatever_gateway_accepts_can_become_a_case() -> None:
    longest = {"source": "s", "reference": "r", "template": "t", "category": "c", "priority": "p", "department": "d"}
    names = {name: letter * gateway.NAME_CHARS_MAX for name, letter in longest.items()}
    form = {f"{n:0{gateway.NAME_CHARS_MAX}}": "v" * gateway.TEXT_CHARS_MAX for n in range(gateway.FORM_FIELDS_MAX)}
    words = {**names, "title": "t" * gateway.TITLE_CHARS_MAX, "form": form}
    gateway.ReceiveRequest.model_validate({"case_id": CASE_ID, **words})
    tasks = company()
    template = request_template().model_copy(update={"template": names["template"]})
    tasks.ask(template, by=OPS, at=monday("08:30"))
    tasks.hear(received(**words, timeline="import"), subject=CASE_ID, at=monday("09:00"))
    assert tasks.row(CASES, CASE_ID).form == form
