"""Who asks: bearer tokens (JWT) of one issuer, checked before anything else of a request is read.

Every path needs a token except the few below, so a new route is closed until somebody opens it on purpose.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from opentelemetry import trace
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.events.entries import TENANT_CURE, is_tenant
from libs.service.errors import RoleNeeded, SettingsError, Unauthenticated, shorten

Role = Literal["integration", "ops", "auditor", "frontend"]
ROLES: frozenset[str] = frozenset(get_args(Role))
LOCAL_ISSUER = "baton-local"
AUDIENCE = "baton"
PUBLIC_KEYS = "issuer.jwks.json"
ALGORITHMS = ("Ed25519", "ES256")
LEEWAY_S = 5
TOKEN_CHARS_MAX = 8_192
PERSON_CHARS_MAX = 100
HOME_TENANT = "main"
"""Whose operators run the platform itself."""
KEYS_RELOAD_INTERVAL_S = 10.0
TOKENS_KNOWN_MAX = 1_024
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
OPEN_PREFIX = "/webhooks/"  # each opened by its own signature


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `person` is a staff code; `roles` are those of the token that Baton knows."""

    person: str
    tenant: str
    roles: frozenset[str]

    def require(self, needed: Collection[str]) -> None:
        """Raise RoleNeeded unless this identity has one of these roles."""
        if self.roles.isdisjoint(needed):
            raise RoleNeeded(needed)


class Verifier:
    """Checks tokens against the issuer's public keys (a JWKS file, read again when a token names an unknown key).

    A token that held is known until it expires or the keys are read again: its signature is not computed each time.
    """

    def __init__(self, keys: Path, issuer: str, audience: str) -> None:
        self._path = keys / PUBLIC_KEYS
        self._claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
        )
        self._loaded_s = 0.0
        self._known: OrderedDict[str, tuple[Identity, float]] = OrderedDict()
        self._load()

    def verify(self, token: str) -> Identity:
        """Who this token speaks for; raises Unauthenticated (wrong key, algorithm, issuer, audience, time or shape)."""
        identity, expires_at = self._known.get(token, (None, 0.0))
        if identity is not None and time.time() < expires_at:
            return identity
        if len(token) > TOKEN_CHARS_MAX:
            raise Unauthenticated(f"the token is longer than {TOKEN_CHARS_MAX} characters")
        try:
            claims = self._decode(token)
            self._claims.validate(claims)
        except ExpiredTokenError as error:
            raise Unauthenticated("the token has expired; ask for a new one") from error
        except (JoseError, ValueError) as error:
            raise Unauthenticated("the token does not hold (signature, issuer, audience or form)") from error
        identity = _identity(claims)
        self._known[token] = identity, float(claims["exp"])
        if len(self._known) > TOKENS_KNOWN_MAX:
            self._known.popitem(last=False)
        return identity

    def _decode(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims
        except InvalidKeyIdError:
            if time.monotonic() - self._loaded_s < KEYS_RELOAD_INTERVAL_S:
                raise
            self._load()
            return jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims

    def _load(self) -> None:
        try:
            self._keys = KeySet.import_key_set(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, JoseError) as error:
            raise SettingsError(f"BATON_KEYS: cannot read public keys from {self._path.name}: {error}") from error
        self._known.clear()
        self._loaded_s = time.monotonic()


def _identity(claims: dict[str, Any]) -> Identity:
    person, tenant, roles = claims["sub"], claims.get("tenant"), claims.get("roles")
    if not _is_name(person, PERSON_CHARS_MAX):
        raise Unauthenticated("the token names no person (sub)")
    if "/" in person:  # services act as `<service>/<reaction>`
        raise Unauthenticated(f"the token's sub={shorten(person)}: a person's code has no '/'")
    if not is_tenant(tenant):
        raise Unauthenticated(f"the token's tenant={shorten(tenant)}: {TENANT_CURE}")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise Unauthenticated("the token's roles are not a list of names")
    return Identity(person, tenant, frozenset(roles) & ROLES)


def _is_name(value: object, chars_max: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= chars_max and value.isprintable()


class Bearer:
    """ASGI middleware: puts the Identity into the scope, or refuses with Unauthenticated."""

    def __init__(self, app: ASGIApp, verifier: Verifier) -> None:
        self._app, self._verifier = app, verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope["path"]):
            identity = self._verifier.verify(bearer_token(Headers(scope=scope)))
            scope["baton.identity"] = identity
            trace.get_current_span().set_attribute("enduser.id", identity.person)
        await self._app(scope, receive, send)


def is_open(path: str) -> bool:
    """True for the paths that need no token."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


def bearer_token(headers: Headers) -> str:
    """The token of an Authorization header; raises Unauthenticated when there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send Authorization: Bearer <token> (`baton token` prints one for this machine)")
    return token.strip()
