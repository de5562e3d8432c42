from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from libs.events.entries import new_id
from libs.events.reading import BadQuestion, Moment
from libs.service.doors import command_id
from libs.service.tests.conftest import NOW, STREAM, Ledger

LINES = f"/v1/sheets/{STREAM}/lines"


async def test_a_command_carries_who_when_and_for_whom(client: httpx.AsyncClient, ledger: Ledger) -> None:
    answer = await client.post(LINES, json={"text": "a"})
    assert answer.status_code == 200
    assert answer.json() == {
        "position": 1,
        "stream": str(STREAM),
        "version": 1,
        "facts": ["lines.Written"],
        "known": False,
    }
    assert (answer.headers["etag"], answer.headers["baton-position"]) == ('"1"', "1")
    (request,) = ledger.requests
    assert (request.actor, request.tenant, request.at, request.expected) == ("prod-1", "main", NOW, None)


async def test_the_same_key_is_the_same_command(client: httpx.AsyncClient, ledger: Ledger) -> None:
    keyed = {"Idempotency-Key": "once"}
    first = await client.post(LINES, json={"text": "a"}, headers=keyed)
    again = await client.post(LINES, json={"text": "a"}, headers=keyed)
    other = await client.post(LINES, json={"text": "b"}, headers=keyed)
    assert (first.json()["known"], again.json()["known"]) == (False, True)
    assert again.json() | {"known": False} == first.json()
    assert (other.status_code, other.json()["type"]) == (422, "urn:baton:problem:command-reused")
    assert other.json()["detail"].startswith("Idempotency-Key 'once' was used before with another payload")
    assert other.json()["detail_zh"].startswith("幂等键 'once' 已用于其他内容")
    assert len(ledger.requests) == 1


async def test_without_a_key_every_request_is_new(client: httpx.AsyncClient, ledger: Ledger) -> None:
    for _ in range(2):
        await client.post(LINES, json={"text": "a"})
    assert len({request.command_id for request in ledger.requests}) == 2


async def test_one_key_is_anothers_nothing(
    client: httpx.AsyncClient, ledger: Ledger, bearer: Callable[..., dict[str, str]]
) -> None:
    keyed = {"Idempotency-Key": "once"}
    await client.post(LINES, json={"text": "a"}, headers=keyed)
    await client.post(LINES, json={"text": "b"}, headers=keyed | bearer(person="prod-2"))
    await client.post(LINES, json={"text": "c"}, headers=keyed | bearer(tenant="north"))
    assert len({request.command_id for request in ledger.requests}) == 3


async def test_two_commands_of_one_request_have_ids_of_their_own_and_keep_them(
    client: httpx.AsyncClient, ledger: Ledger
) -> None:
    path, keyed = f"/v1/sheets/{STREAM}/pairs", {"Idempotency-Key": "once"}
    first = await client.post(path, headers=keyed)
    again = await client.post(path, headers=keyed)
    assert [answer["known"] for answer in first.json()] == [False, False]
    assert [answer["known"] for answer in again.json()] == [True, True]
    assert len({request.command_id for request in ledger.requests}) == 2


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 201])
async def test_a_key_that_is_no_key_is_422(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post(LINES, json={"text": "a"}, headers={b"Idempotency-Key": key.encode()})
    assert answer.status_code == 422


async def test_if_match_is_the_expected_version(client: httpx.AsyncClient, ledger: Ledger) -> None:
    etag = (await client.post(LINES, json={"text": "a"})).headers["etag"]
    fits = await client.post(LINES, json={"text": "b"}, headers={"If-Match": etag})
    late = await client.post(LINES, json={"text": "c"}, headers={"If-Match": etag})
    assert (fits.status_code, late.status_code) == (200, 409)
    assert late.json()["type"] == "urn:baton:problem:version-conflict"
    assert "it is at version 2 by now, not 1" in late.json()["detail"]
    assert "当前版本为 2，而不是 1" in late.json()["detail_zh"]
    assert late.json()["version"] == 2, "texts may change"
    assert str(STREAM) not in late.text, "a client knows no streams"
    assert (await client.post(LINES, json={"text": "d"}, headers={"If-Match": "*"})).status_code == 200
    for wrong in ("seven", '"-1"', '"²"', '"' + "9" * 30 + '"'):
        answer = await client.post(LINES, json={"text": "d"}, headers={b"If-Match": wrong.encode()})
        assert answer.status_code == 422, wrong


async def test_who_has_only_read_sends_the_version_that_they_have_read(client: httpx.AsyncClient) -> None:
    await client.post(LINES, json={"text": "a"})
    for text in ("b", "c"):  # the second one reads again
        read = await client.get(f"/v1/sheets/{STREAM}")
        sent = await client.post(LINES, json={"text": text}, headers={"If-Match": read.headers["etag"]})
        assert sent.status_code == 200
    past = await client.get(f"/v1/sheets/{STREAM}", params={"as_of": NOW.isoformat()})
    assert (past.status_code, "etag" in past.headers) == (200, False), "no command can be about the past"


@pytest.mark.parametrize("said", ["2027-01-01T00:00:00Z", "2027-01-01t08:00+08:00"])
async def test_an_instant_that_has_not_come_is_told_as_it_was_asked(client: httpx.AsyncClient, said: str) -> None:
    (fault,) = (await client.get("/v1/sheets", params={"as_of": said})).json()["faults"]
    assert (fault["field"], fault["value"]) == ("query.as_of", said)


async def test_an_instant_of_what_keeps_no_past_is_told_as_it_was_asked(
    client: httpx.AsyncClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forgets(*_: Any, at: Moment, **__: Any) -> None:
        raise BadQuestion("as_of", at.instant.isoformat(), "ask without as_of", "请去掉 as_of")

    monkeypatch.setattr(ledger, "page", forgets)
    (fault,) = (await client.get("/v1/sheets", params={"as_of": "2026-11-02T01:00:00Z"})).json()["faults"]
    assert (fault["field"], fault["value"]) == ("query.as_of", "2026-11-02T01:00:00Z")


async def test_rows_are_shown_as_they_are(client: httpx.AsyncClient) -> None:
    row = {"sheet": str(STREAM), "text": "a", "marks": [{"colour": "red", "at": None}], "due": {}}
    one, page = await client.get(f"/v1/sheets/{STREAM}"), await client.get("/v1/sheets")
    assert one.json() == {"row": row, "as_of": None, "final": None}
    assert page.json() == {"rows": [row], "next_cursor": None, "as_of": None, "final": None}
    assert (await client.get(f"/v1/sheets/{UUID(int=1)}")).json()["rule"] == "sheet"


async def test_a_query_waits_for_the_position_that_it_names(client: httpx.AsyncClient, ledger: Ledger) -> None:
    position = (await client.post(LINES, json={"text": "a"})).headers["baton-position"]
    assert (await client.get("/v1/sheets", params={"after": position})).status_code == 200
    late = await client.get("/v1/sheets", headers={"Baton-Position": "99"})
    assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    assert late.json()["type"] == "urn:baton:problem:not-yet"
    assert ledger.waited == [1, 99]


@pytest.mark.parametrize(
    "question",
    [
        "as_of=2026-11-02",
        "as_of=2026-11-02T10:00:00",
        "cursor=abc",
        "as_of=soon",
        "as_of=0001-01-01T00:00:00%2B14:00",
        "as_of=9999-12-31T23:59:59-01:00",
        "limit=0",
        "limit=201",
        "after=-1",
        "after=" + "9" * 20,
    ],
)
async def test_a_question_of_the_wrong_shape_is_422(client: httpx.AsyncClient, question: str) -> None:
    answer = await client.get(f"/v1/sheets?{question}")
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["field"] == f"query.{question.partition('=')[0]}"


async def test_a_misspelt_parameter_is_named_with_what_was_meant(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sheets?as_off=2026-11-02T10:00:00Z&limit=1")
    assert answer.status_code == 422
    (fault,) = answer.json()["faults"]
    assert fault["field"] == "query.as_off"
    assert "did you mean as_of?" in fault["cure"]
    assert (await client.get("/healthz?probe=1")).status_code != 422


async def test_an_instant_without_a_time_of_day_is_told_what_is_expected_and_nothing_else(
    client: httpx.AsyncClient,
) -> None:
    (fault,) = (await client.get("/v1/sheets?as_of=2026-11-02")).json()["faults"]
    assert fault == {
        "field": "query.as_of",
        "cure": "must be an instant with a zone, such as 2026-03-02T09:00:00Z",
        "cure_zh": "必须是带时区的时刻，例如 2026-03-02T09:00:00Z",
        "value": "2026-11-02",
    }


async def test_unknown_and_doubled_parameters_are_told_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sheets?limit=1&limit=2&as_off=2026-11-02T10:00:00Z")
    assert {fault["field"] for fault in answer.json()["faults"]} == {"query.limit", "query.as_off"}


async def test_a_parameter_that_is_given_twice_is_not_taken_for_either(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sheets?limit=1&as_of=2026-11-02T10:00:00Z&as_of=2026-11-03T10:00:00Z")
    assert answer.status_code == 422
    (fault,) = answer.json()["faults"]
    assert fault["field"] == "query.as_of"
    assert fault["value"] == "2026-11-02T10:00:00Z, 2026-11-03T10:00:00Z"
    assert "more than once" in fault["cure"]


async def test_an_instant_whose_plus_was_lost_says_how_to_write_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sheets?as_of=2026-11-02T10:00:00+08:00")
    assert "%2B" in answer.json()["faults"][0]["cure"]


async def test_a_service_that_is_still_starting_says_so(client: httpx.AsyncClient, app: FastAPI) -> None:
    app.state.doors = None
    answer = await client.get("/v1/sheets")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_the_description_names_every_problem_and_stays_the_same(client: httpx.AsyncClient) -> None:
    first, again = await client.get("/openapi.json"), await client.get("/openapi.json")
    assert first.content == again.content
    described = first.json()
    answers = described["paths"]["/v1/sheets/{sheet}/lines"]["post"]["responses"]
    assert set(answers) == {"200", "400", "401", "403", "404", "408", "409", "413", "415", "422", "503"}
    assert "application/problem+json" in answers["422"]["content"]
    assert "HTTPValidationError" not in first.text
    shown = described["components"]["schemas"]["Shown_LineRow_"]["properties"]["row"]
    marked = shown["properties"]["marks"]["items"]["properties"]
    assert marked["colour"] == {"type": "string"}
    instant = {"type": "string", "format": "date-time"}
    assert marked["at"]["anyOf"] == [instant, {"type": "null"}]
    assert shown["properties"]["due"]["additionalProperties"] == instant


async def test_every_header_that_is_sent_is_described(client: httpx.AsyncClient, app: FastAPI) -> None:
    line = {"text": "a"}
    described = app.openapi()["paths"]
    for answer, path, sent in (
        (await client.post(LINES, json=line), "/v1/sheets/{sheet}/lines", {"etag", "baton-position"}),
        (await client.post(f"/v1/sheets/{STREAM}/pairs"), "/v1/sheets/{sheet}/pairs", {"etag", "baton-position"}),
        (await client.get("/v1/sheets"), "/v1/sheets", set()),
        (await client.get(f"/v1/sheets/{STREAM}"), "/v1/sheets/{sheet}", {"etag"}),
        (await client.get("/v1/sheets", headers={"Authorization": ""}), "/v1/sheets", {"www-authenticate"}),
        (await client.get("/v1/sheets", params={"after": "99"}), "/v1/sheets", {"retry-after"}),
    ):
        told = described[path][answer.request.method.lower()]["responses"][str(answer.status_code)]
        assert set(answer.headers) - {"content-type", "content-length"} == sent
        assert {name.lower() for name in told.get("headers", ())} == sent


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1), st.text(max_size=5), st.text(max_size=5)
)
def test_a_command_id_follows_from_tenant_actor_route_and_key(key: str, actor: str, route: str) -> None:
    first = command_id("main", actor, route, key)
    assert first == command_id("main", actor, route, key)
    assert first != command_id("north", actor, route, key)
    assert first != command_id("main", actor, route + "x", key)
    assert first != command_id("main", actor, route, key + "#1")


def test_a_time_ordered_key_hands_on_its_time() -> None:
    key = new_id()
    assert command_id("main", "prod-1", "POST /v1", str(key)).bytes[:6] == key.bytes[:6]
    assert command_id("main", "prod-1", "POST /v1", f"{key}#1").bytes[:6] == key.bytes[:6]
    assert command_id("main", "a", "r", str(key)) != command_id("main", "a", "r", f"{key}#1")
