"""The local issuer: keys, secrets and tokens of one machine. In production any OpenID Connect provider takes its place.

Everything lies in one folder, readable for its owner only; what exists is kept, so two programs may create at once.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

from libs.events.entries import TENANT_CURE, is_tenant
from libs.service.auth import AUDIENCE, LOCAL_ISSUER, PUBLIC_KEYS, ROLES

PRIVATE_KEY = "issuer.private.json"
TOKEN_HOURS = 12
TOKEN_HOURS_MAX = 24 * 31
SECRET_BYTES = 32


def create_keys(keys: Path) -> None:
    """Make the key pair in this folder, unless it is there."""
    private = _key(keys)
    _write(keys / PUBLIC_KEYS, json.dumps(KeySet([private]).as_dict(private=False)))


def token(keys: Path, *, person: str, roles: Iterable[str], tenant: str = "main", hours: float = TOKEN_HOURS) -> str:
    """A signed bearer token. `hours`: on the machine's clock. Raises ValueError for no person, role, tenant."""
    wanted = sorted(set(roles))
    unknown = [role for role in wanted if role not in ROLES]
    if unknown:
        raise ValueError(f"role={unknown[0]}: there is no such role; use {', '.join(sorted(ROLES))}")
    if not person.strip():
        raise ValueError(f"person={person!r}: a token is somebody's; name a staff code such as prod-1")
    if "/" in person:
        raise ValueError(f"person={person}: a person's code has no '/', which names what services do by themselves")
    if not is_tenant(tenant):
        raise ValueError(f"tenant={tenant!r}: {TENANT_CURE}")
    if not 0 < hours <= TOKEN_HOURS_MAX:
        raise ValueError(f"hours={hours}: must be above 0 and at most {TOKEN_HOURS_MAX}")
    create_keys(keys)
    key, now = _key(keys), int(time.time())
    claims = {
        "iss": LOCAL_ISSUER,
        "aud": AUDIENCE,
        "sub": person,
        "tenant": tenant,
        "roles": wanted,
        "iat": now,
        "exp": now + int(hours * 3600),
        "jti": str(uuid4()),
    }
    return jwt.encode({"alg": "Ed25519", "kid": key.kid}, claims, key, algorithms=["Ed25519"])


def secret(keys: Path, name: str) -> str:
    """The local secret of this name (such as `jira`), made once."""
    path = keys / f"{name}.secret"
    if not path.exists():
        _write(path, secrets.token_hex(SECRET_BYTES))
    return path.read_text().strip()


def _key(keys: Path) -> OKPKey:
    path = keys / PRIVATE_KEY
    if not path.exists():
        fresh = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "Ed25519"}, auto_kid=True)
        _write(path, json.dumps(fresh.as_dict(private=True)))
    return OKPKey.import_key(json.loads(path.read_text()))


def _write(path: Path, text: str) -> None:
    """Write the whole file at once with mode 0600; whoever was first wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
        os.link(draft, path)
    except FileExistsError:
        pass  # somebody else made it in between: theirs is kept
    finally:
        draft.unlink()
