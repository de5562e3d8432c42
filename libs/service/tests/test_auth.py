from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from libs.service import issuer
from libs.service.auth import AUDIENCE, LEEWAY_S, LOCAL_ISSUER, PUBLIC_KEYS, Identity, Verifier
from libs.service.errors import RoleNeeded, SettingsError, Unauthenticated

LONG_AGO, FAR_AHEAD = 1_700_000_000, 4_000_000_000


def verifier_of(keys: Path) -> Verifier:
    return Verifier(keys, LOCAL_ISSUER, AUDIENCE)


def signed(keys: Path, **changed: object) -> str:
    """A token of the right key with other claims."""
    key = OKPKey.import_key(json.loads((keys / issuer.PRIVATE_KEY).read_text()))
    claims = {
        "iss": LOCAL_ISSUER,
        "aud": AUDIENCE,
        "sub": "prod-1",
        "tenant": "main",
        "roles": ["ops"],
        "exp": int(time.time()) + 60,
    } | changed
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "Ed25519", "kid": key.kid}, kept, key, algorithms=["Ed25519"])


def test_a_token_says_who_asks(keys: Path) -> None:
    text = issuer.token(keys, person="prod-1", roles=["ops", "frontend"], tenant="north")
    assert verifier_of(keys).verify(text) == Identity("prod-1", "north", frozenset({"ops", "frontend"}))


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "somebody-else"},
        {"aud": "another-product"},
        {"exp": LONG_AGO},
        {"exp": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "tasks/open-case"},
        {"tenant": None},
        {"tenant": 7},
        {"tenant": "main/tasks"},
        {"roles": "ops"},
        {"roles": None},
        {"nbf": FAR_AHEAD},
    ],
    ids=str,
)
def test_a_token_with_other_claims_is_refused(keys: Path, changed: dict[str, object]) -> None:
    verifier = verifier_of(keys)
    text = signed(keys, **changed)
    with pytest.raises(Unauthenticated):
        verifier.verify(text)


def test_a_role_that_nobody_knows_gives_nothing(keys: Path) -> None:
    assert verifier_of(keys).verify(signed(keys, roles=["ops", "emperor"])).roles == {"ops"}


def test_another_signature_or_algorithm_is_refused(keys: Path, tmp_path: Path) -> None:
    verifier = verifier_of(keys)
    issuer.create_keys(tmp_path / "others")
    public = (keys / PUBLIC_KEYS).read_bytes()
    shared = OctKey.import_key(public)
    claims = jwt.decode(
        signed(keys), OKPKey.import_key(json.loads((keys / issuer.PRIVATE_KEY).read_text())), algorithms=["Ed25519"]
    ).claims
    head, body, _ = signed(keys).split(".")
    forged = [
        signed(tmp_path / "others"),
        jwt.encode({"alg": "HS256"}, claims, shared, algorithms=["HS256"]),  # the public key taken as a secret
        f"{head}.{body}.",
        "eyJhbGciOiJub25lIn0." + body + ".",
        "not.a.token",
        "x" * 9_000,
        "ü",
    ]
    for text in forged:
        with pytest.raises(Unauthenticated):
            verifier.verify(text)


def test_a_new_key_is_taken_up_without_a_restart(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = verifier_of(keys)
    for name in (issuer.PRIVATE_KEY, PUBLIC_KEYS):
        (keys / name).unlink()
    text = issuer.token(keys, person="prod-1", roles=["ops"])
    with pytest.raises(Unauthenticated):
        verifier.verify(text)
    monkeypatch.setattr("libs.service.auth.KEYS_RELOAD_INTERVAL_S", 0.0)
    assert verifier.verify(text).person == "prod-1"


def test_a_token_that_held_is_refused_once_it_has_expired(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, text, later = verifier_of(keys), signed(keys), time.time() + 60 + LEEWAY_S
    assert verifier.verify(text) == verifier.verify(text)
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(text)


def test_a_token_that_held_is_refused_once_its_key_is_gone(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as a token of another key has the keys read again."""
    verifier, old = verifier_of(keys), signed(keys)
    verifier.verify(old)
    for name in (issuer.PRIVATE_KEY, PUBLIC_KEYS):
        (keys / name).unlink()
    monkeypatch.setattr("libs.service.auth.KEYS_RELOAD_INTERVAL_S", 0.0)
    verifier.verify(issuer.token(keys, person="prod-1", roles=["ops"]))
    with pytest.raises(Unauthenticated):
        verifier.verify(old)


def test_only_so_many_tokens_are_known_and_the_others_hold_all_the_same(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.service.auth.TOKENS_KNOWN_MAX", 2)
    verifier, texts = verifier_of(keys), [signed(keys, sub=f"prod-{number}") for number in range(4)]
    for _ in range(2):
        assert [verifier.verify(text).person for text in texts] == ["prod-0", "prod-1", "prod-2", "prod-3"]
    assert len(verifier._known) == 2


def test_keys_and_secrets_are_made_once_and_for_their_owner_only(keys: Path) -> None:
    first = issuer.secret(keys, "jira")
    issuer.create_keys(keys)
    assert issuer.secret(keys, "jira") == first
    assert len(first) == 64
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    assert {path.name for path in keys.iterdir()} == {issuer.PRIVATE_KEY, PUBLIC_KEYS, "jira.secret"}


def test_an_unknown_role_or_a_time_without_end_gives_no_token(keys: Path) -> None:
    with pytest.raises(ValueError, match="role=emperor"):
        issuer.token(keys, person="x", roles=["emperor"])
    with pytest.raises(ValueError, match="hours=-1"):
        issuer.token(keys, person="x", roles=["ops"], hours=-1)


def test_a_tenant_with_a_slash_gets_no_token_and_is_told_why(keys: Path) -> None:
    with pytest.raises(ValueError, match=r"tenant='a/b': a tenant is 1 to 40 of"):
        issuer.token(keys, person="x", roles=["ops"], tenant="a/b")
    with pytest.raises(Unauthenticated, match=r"tenant='a/b': a tenant is 1 to 40 of"):
        verifier_of(keys).verify(signed(keys, tenant="a/b"))


def test_a_program_without_public_keys_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="BATON_KEYS"):
        verifier_of(tmp_path)


def test_a_needed_role_is_named() -> None:
    with pytest.raises(RoleNeeded, match="auditor or ops"):
        Identity("x", "main", frozenset({"frontend"})).require({"ops", "auditor"})


async def test_every_path_but_the_open_ones_needs_a_token(client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]
    for path in ("/v1/sheets", "/v1/nothing", "/", "/docs", "/webhooksx", "/healthz/", "//healthz"):
        answer = await client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["type"] == "urn:baton:problem:unauthenticated"
    assert (await client.get("/openapi.json")).status_code == 200


async def test_a_wrong_scheme_or_token_is_401(client: httpx.AsyncClient) -> None:
    for value in ("Basic YTpi", "Bearer", "Bearer ", "Bearer nonsense", "nonsense"):
        answer = await client.get("/v1/sheets", headers={"Authorization": value})
        assert answer.status_code == 401, value


async def test_a_door_for_some_roles_names_them(
    client: httpx.AsyncClient, bearer: Callable[..., dict[str, str]]
) -> None:
    answer = await client.get("/v1/secrets")
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:baton:problem:role-needed"
    assert "auditor or ops" in answer.json()["detail"]
    assert "ops" in answer.json()["detail_zh"]
    assert (await client.get("/v1/secrets", headers=bearer("auditor"))).status_code == 200
