"""Passwords and keys of this checkout: made once, readable by this user only."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from libs.service.issuer import create_keys

PASSWORD_BYTES = 24


class Secrets:
    """`<state>/secrets`: `postgres.json` (passwords), `keys/` (the issuer's keys; BATON_KEYS)."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "secrets"
        self.keys = self.folder / "keys"
        self._file = self.folder / "postgres.json"

    def prepare(self) -> None:
        for folder in (self.folder, self.keys):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        create_keys(self.keys)

    def password(self, *path: str) -> str:
        """The password known as `path`, made at first asking."""
        self.prepare()
        known: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}
        name = "/".join(path)
        if name not in known:
            known[name] = secrets.token_urlsafe(PASSWORD_BYTES)
            self._write(known)
        return known[name]

    def passwords(self, service: str, roles: Iterable[str]) -> dict[str, str]:
        return {role: self.password(service, role) for role in roles}

    def _write(self, known: dict[str, str]) -> None:
        draft = self._file.with_suffix(".tmp")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(known, file, indent=1)
        draft.replace(self._file)
