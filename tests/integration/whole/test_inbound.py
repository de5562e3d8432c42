"""Kafka's door: an unrelated CloudEvents client writes to baton.inbound, and a case opens, on the sender's trace."""

from __future__ import annotations

import secrets

import pytest
from cloudevents.core.bindings.kafka import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from demo.stage import Stage
from infra.local import Platform
from infra.local.rest import wait_rest
from libs.events.contracts.tasks import case_id
from tests.integration.whole.records import Record, write
from tests.integration.whole.spans import Spans

pytestmark = pytest.mark.platform


@pytest.mark.parametrize("mode", [to_binary, to_structured], ids=["binary", "structured"])
def test_a_case_opens_for_an_unrelated_client(platform_told: Platform, stage: Stage, case: str, mode: object) -> None:
    reference = f"CRM-{'1' if mode is to_binary else '2'}"
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    event = CloudEvent(
        {
            "specversion": "1.0",
            "id": reference,
            "source": "crm",
            "type": "baton.request.received.v1",
            "datacontenttype": "application/json",
            "traceparent": f"00-{trace_id}-{span_id}-01",
        },
        {"reference": reference, "template": "complaint", "category": "quality", "title": "blisters", "form": {}},
    )
    message = (to_binary if mode is to_binary else to_structured)(event, JSONFormat())
    record = Record(reference, bytes(message.value or b""), message.headers)
    write(platform_told.kafka.bootstrap, "baton.inbound", [record])
    wait_rest(stage.doors)
    (row,) = stage.person("svc-1").rows("tasks", "/v1/cases", reference=reference)
    assert (row["case_id"], row["state"]) == (str(case_id("main", "crm", reference)), "opened")
    told = stage.auditor().get("audit", f"/v1/cases/{reference}/history")
    assert told["source"] == "crm"
    spans = Spans(platform_told.state / "traces")
    spans.wait_for((), lambda: any(s.id[0] == trace_id and s.name == "decide OpenCase" for s in spans.by_id.values()))
    (taken,) = [span for span in spans.by_id.values() if span.parent == (trace_id, span_id)]
    assert (taken.name, taken.service) == ("take baton.request.received.v1", "gateway")
