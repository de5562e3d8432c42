"""The errands service as a program of its own: started, asked, ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from libs.service.issuer import token

PROJECT = Path(__file__).parents[2]
WITHIN_S = 90.0
END_WITHIN_S = 5.0


@dataclass
class Program:
    """The environment that one program is started with, as often as a test wants."""

    environment: dict[str, str]
    keys: Path
    url: str
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def owner(self) -> str:
        return self.environment["ERRANDS_OWNER"]

    @contextmanager
    def running(self, **changed: str) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.errands_program"],
                cwd=PROJECT,
                env={**os.environ, **self.environment, **changed},
                stdout=log,
                stderr=log,
            )
        self.process = process
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(END_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def client(self, *roles: str, person: str = "ann", tenant: str = "main") -> httpx.AsyncClient:
        text = token(self.keys, person=person, roles=roles or ("frontend",), tenant=tenant)
        return httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {text}"}, timeout=WITHIN_S)

    async def ready(self) -> dict[str, Any]:
        """The readiness, as soon as it says so."""
        seen: object = None
        async with httpx.AsyncClient(base_url=self.url) as client:
            deadline_s = time.monotonic() + WITHIN_S
            while time.monotonic() < deadline_s and (self.process is None or self.process.poll() is None):
                try:
                    answer = await client.get("/readyz")
                    seen = answer.text
                    if answer.status_code == 200:
                        found: dict[str, Any] = answer.json()
                        return found
                except httpx.TransportError as error:
                    seen = error
                await asyncio.sleep(0.05)
        raise AssertionError(f"not ready within {WITHIN_S} s: {seen}\n{self.log.read_text()[-3000:]}")
