"""The world outside of the platform: a mail server and a receiver of webhooks, which nobody harms.

They run in a thread and loop of their own, for as long as the platform does, refuse some of what comes, and count what
they took by its id.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter
from types import TracebackType

from tests.integration.receivers import HOST, mail_server, receiver

UP_WITHIN_S = 10.0
SENDER = "baton@example.org"
REFUSED = 0.1
"""Of what comes; it is to be tried again."""
_DELIVERY = re.compile(r"<([0-9a-f-]{36})@example\.org>")


class Abroad:
    def __enter__(self) -> Abroad:
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._stand()), name="abroad", daemon=True)
        self._thread.start()
        assert self._up.wait(UP_WITHIN_S), "neither mail nor webhooks are received"
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(UP_WITHIN_S)

    async def _stand(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        chance = random.Random(REFUSED)
        async with mail_server() as self._mail, receiver() as self._hook:
            self._mail.whim = lambda: "451 later" if chance.random() < REFUSED else None
            self._hook.whim = lambda: "503 later" if chance.random() < REFUSED else None
            self._up.set()
            await self._over.wait()

    @property
    def environment(self) -> dict[str, str]:
        """What notify must be told to reach it."""
        return {
            "BATON_SMTP_HOST": HOST,
            "BATON_SMTP_PORT": str(self._mail.port),
            "BATON_SMTP_TLS": "none",
            "BATON_SMTP_FROM": SENDER,
            "BATON_WEBHOOK_NETWORKS": "127.0.0.0/8",
        }

    @property
    def hook(self) -> str:
        return f"http://{HOST}:{self._hook.port}/"

    def came(self) -> Counter[str]:
        """How often each delivery was taken."""
        mails = (_DELIVERY.fullmatch(str(mail["Message-ID"])) for mail in list(self._mail.took))
        return Counter([*(found[1] for found in mails if found), *list(self._hook.took)])
