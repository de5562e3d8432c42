"""What other systems may say on baton.inbound: the gateway's own models of the data, by CloudEvents type."""

from __future__ import annotations

import inspect

from pydantic import BaseModel

from infra.contracts.spoken import Json
from services.gateway.channels import translation as said

MODELS: dict[str, type[BaseModel]] = {
    "baton.request.received.v1": said.RequestReceivedV1,
    "baton.request.closed.v1": said.RequestClosedV1,
    "baton.source.advanced.v1": said.SourceAdvancedV1,
    "baton.order.placed.v1": said.OrderPlacedV1,
    "baton.order.shipped.v1": said.OrderShippedV1,
}
MEANINGS = {
    "baton.request.received.v1": "Somebody wants something: it becomes a case of the template.",
    "baton.request.closed.v1": "The request is done; the end of its case where the template lets the source close it.",
    "baton.source.advanced.v1": "Your watermark: nothing of yours that occurred up to `up_to` is still to come. At "
    "most a day after the domain clock's now; it only rises.",
    "baton.order.placed.v1": "An order: a case of the template `order`, due when it is required.",
    "baton.order.shipped.v1": "The order went out: the end of its case.",
}
SAMPLES: dict[str, Json] = {
    "baton.request.received.v1": {
        "reference": "WS-4",
        "template": "complaint",
        "category": "quality",
        "title": "scratched door",
        "form": {"customer": "C-2209", "order": "SO-10249"},
    },
    "baton.request.closed.v1": {"reference": "WS-4", "outcome": "replaced"},
    "baton.source.advanced.v1": {"up_to": "2026-11-02T01:40:00Z"},
    "baton.order.placed.v1": {
        "order": "10249",
        "customer": "TOMSP",
        "placed_on": "2026-11-02",
        "required_by": "2026-12-14",
        "zone": "Asia/Shanghai",
    },
    "baton.order.shipped.v1": {"order": "10249", "shipped_on": "2026-11-10", "zone": "Asia/Shanghai"},
}


def schema(type_: str) -> Json:
    """The schema of the data. Unlike Baton's own facts it is closed: a field that is not named here is refused."""
    model = MODELS[type_]
    shape = model.model_json_schema(mode="validation")
    own = model.__doc__ if "__doc__" in vars(model) else None
    meaning = " ".join(filter(None, (MEANINGS[type_], inspect.cleandoc(own) if own else "")))
    return {"title": type_, "description": meaning} | {
        name: value for name, value in shape.items() if name not in ("title", "description")
    }
