"""What other languages read: contracts/ is what the code says, and keeps the rules of those who made its formats."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, FormatChecker
from pydantic import ValidationError

from infra.contracts import headers, inbound, page
from infra.contracts.document import ASYNCAPI, document
from infra.contracts.kept import DOCUMENT, FOLDER, SCHEMAS, stale, write
from infra.contracts.spoken import contracts, sample, versions
from libs.events import wire
from libs.events.heads import Head, encode
from services.gateway.channels.translation import DETAILS_MAX, TRANSLATIONS

READ = yaml.safe_load((FOLDER / DOCUMENT).read_text("utf-8"))


def published(name: str) -> Any:
    return json.loads((FOLDER / SCHEMAS / name).read_text("utf-8"))


def validator(schema: Any) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def test_what_is_kept_is_what_the_code_says() -> None:
    assert not stale(FOLDER), f"run `make contracts` and commit contracts/: {stale(FOLDER)}"


def test_every_fact_and_version_has_a_schema_of_its_own() -> None:
    ids = [published(path.name)["$id"] for path in (FOLDER / SCHEMAS).glob("*.json")]
    assert len(set(ids)) == len(ids) == len(list(versions())) + 1, "each fact and version, and the head"


@pytest.mark.parametrize(("type_", "version"), [(t, v) for t, _, v in versions()], ids=lambda part: str(part))
def test_a_golden_sample_is_valid_by_its_schema(type_: str, version: int) -> None:
    valid, payload = validator(published(f"{type_}.v{version}.json")), sample(type_, version)
    valid.validate(payload)
    valid.validate(payload | {"a field of tomorrow": 1})
    for name in published(f"{type_}.v{version}.json")["required"]:
        assert not valid.is_valid({key: value for key, value in payload.items() if key != name}), name


def test_a_head_is_valid_by_its_schema() -> None:
    instant = wire.parse_instant("at", "2026-11-02T01:40:00Z")
    said = json.loads(encode(Head("tasks", 1, instant, {0: 38, 4: 41})))
    validator(published("baton.Head.json")).validate(said)
    assert not validator(published("baton.Head.json")).is_valid(said | {"sequences": {"first": 1}})


def test_what_people_and_sources_write_freely_is_marked_as_personal_in_every_fact() -> None:
    freely = {"title", "note", "reason", "question", "answer", "solution", "summary", "outcome"}
    for contract in contracts():
        for type_, kind in contract.kinds.items():
            if type_ != "sla.EscalationEnded":  # its outcome is one of three words of ours
                assert freely & set(kind.fact.__struct_fields__) <= set(kind.personal), type_


def test_personal_data_is_marked_where_the_contract_says_so() -> None:
    for type_, kind, version in versions():
        assert set(marked(published(f"{type_}.v{version}.json"))) == set(kind.personal), type_


def marked(part: Any) -> Iterator[str]:
    """Names of the fields with the mark, wherever they lie."""
    for name, inner in part.items() if isinstance(part, dict) else ():
        if isinstance(inner, dict) and inner.get("x-personal"):
            yield name
        yield from marked(inner)


def test_every_fact_says_what_it_means() -> None:
    silent = [type_ for type_, kind, _ in versions() if not kind.fact.__doc__]
    assert not silent, f"give these classes a docstring: it is all that a reader elsewhere has: {silent}"


def test_the_document_is_valid_by_asyncapis_own_schema() -> None:
    faults = Draft7Validator(page.asyncapi_schema(ASYNCAPI)).iter_errors(READ)
    assert not [f"{'/'.join(map(str, fault.absolute_path))}: {fault.message[:200]}" for fault in faults]


def test_asyncapis_schema_would_find_a_fault() -> None:
    valid = Draft7Validator(page.asyncapi_schema(ASYNCAPI))
    for broken in (
        {**READ, "channels": {"tasks": {"adress": "baton.tasks"}}},
        {**READ, "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/tasks"}}}},
        {name: part for name, part in READ.items() if name != "info"},
    ):
        assert not valid.is_valid(broken)


def test_every_reference_in_the_document_leads_somewhere() -> None:
    for reference in references(READ):
        found = READ
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, f"{reference} leads nowhere"
            found = found[step]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def test_the_topics_are_those_that_are_created() -> None:
    declared = yaml.safe_load((Path(__file__).parents[2] / "infra/kafka/topics.yaml").read_text("utf-8"))
    wanted = {contract.topic: declared["owners"]["partitions"] for contract in contracts()}
    wanted |= {topic["name"]: topic["partitions"] for topic in declared["shared"]}
    described = {
        channel["address"]: channel["bindings"]["kafka"]["partitions"] for channel in READ["channels"].values()
    }
    assert described == wanted


def test_every_header_that_is_written_is_explained_and_every_example_has_them_all() -> None:
    valid = validator(headers.own())
    for name, message in READ["components"]["messages"].items():
        if "traits" in message:
            (example,) = message["examples"]
            assert set(example["headers"]) == set(headers.OWN), name
            valid.validate(example["headers"])
            sent = wire.envelope(((key, value.encode()) for key, value in example["headers"].items()), b"{}")
            assert wire.owner_of(sent) == name.partition(".")[0]
            wire.heard(sent, backfilled=False)


def test_what_may_be_sent_is_what_the_gateway_translates() -> None:
    assert inbound.MODELS.keys() == TRANSLATIONS.keys() == inbound.MEANINGS.keys(), (
        "name it in infra/contracts/inbound.py"
    )
    for type_ in inbound.MODELS:
        validator(inbound.schema(type_)).validate(inbound.SAMPLES[type_])
        inbound.MODELS[type_].model_validate(inbound.SAMPLES[type_])


PLACED, SHIPPED = "baton.order.placed.v1", "baton.order.shipped.v1"


@pytest.mark.parametrize(
    ("type_", "wrong"),
    [
        (PLACED, {"placed_on": "tomorrow"}),
        (PLACED, {"required_by": "02.11.2026"}),
        (PLACED, {"details": {"order": "10249"}}),
        (PLACED, {"details": {f"d{number}": "x" for number in range(DETAILS_MAX + 1)}}),
        (SHIPPED, {"shipped_on": "2026-11"}),
        (SHIPPED, {"shipped_on": ""}),
    ],
)
def test_what_the_gateway_refuses_of_an_order_is_not_valid_by_its_schema(type_: str, wrong: dict[str, Any]) -> None:
    data = {**inbound.SAMPLES[type_], **wrong}
    assert not validator(inbound.schema(type_)).is_valid(data)
    with pytest.raises(ValidationError):
        inbound.MODELS[type_].model_validate(data)


@pytest.mark.parametrize("text", ["2026-11-10", "2026-11-10T09:00:00Z", "2026-11-10t09:00:00.5+08:00"])
def test_a_date_or_an_instant_is_valid_by_the_schema_of_an_order(text: str) -> None:
    data = {**inbound.SAMPLES[SHIPPED], "shipped_on": text}
    validator(inbound.schema(SHIPPED)).validate(data)
    inbound.MODELS[SHIPPED].model_validate(data)


def test_a_missing_an_altered_and_a_left_over_file_are_found_and_mended(tmp_path: Path) -> None:
    write(tmp_path)
    gone, altered, left = (
        tmp_path / SCHEMAS / name for name in ("tasks.CaseOpened.v1.json", "sla.SlaMet.v1.json", "x.json")
    )
    gone.unlink()
    altered.write_text("{}")
    left.write_text("{}")
    assert write(tmp_path) == sorted(f"{SCHEMAS}/{path.name}" for path in (gone, altered, left))
    assert stale(tmp_path) == []


def test_the_page_holds_the_whole_document_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    written = page.write(document(), tmp_path).read_text("utf-8")
    for loaded in re.findall(r'(?:src|href|cssImportPath)="([^"]+)"', written):
        assert (tmp_path / loaded).stat().st_size > 1_000
    assert all(type_ in written for type_, _, _ in versions())
