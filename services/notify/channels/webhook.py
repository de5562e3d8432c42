"""Webhooks after Standard Webhooks: signed, with an id that is the same in every attempt, so that a double is known.

Secrets are kept nowhere: each derives from one key of the operators and the choice of person, channel and address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import msgspec
from standardwebhooks import Webhook

from libs.events.effects import NotSent
from services.notify.channels.outside import Outside
from services.notify.channels.reaching import reachable
from services.notify.domain.letter import Letter

CONNECT_WITHIN_S = 5.0
TYPE = "message.posted"
TAKEN = range(200, 300)
GONE = 410


class Gone(NotSent):
    """The receiver says that it is no more; `choice` is what led there."""

    def __init__(self, choice: UUID) -> None:
        super().__init__(f"answered {GONE}: nothing more is sent there", final=True)
        self.choice = choice


class Webhooks:
    """Posts letters to the addresses that their readers chose. Of the answer only its status is read."""

    def __init__(self, outside: Callable[[], Outside]) -> None:
        self._outside = outside

    async def send(self, letter: Letter, key: str) -> str:
        told, url = self._outside(), httpx.URL(letter.address)
        addresses = await reachable(url, told.webhook_networks)
        body = payload(letter)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": "Baton",
            **signed(letter, body, told.webhook_key(), datetime.now(UTC)),
        }
        answered = await _post(url, addresses, body, headers)
        if answered == GONE:
            raise Gone(letter.choice)
        if answered not in TAKEN:
            raise NotSent(f"answered {answered}")
        return f"answered {answered}"


def payload(letter: Letter) -> bytes:
    en, zh = letter.in_words(ZoneInfo(letter.zone))
    message = letter.message
    return msgspec.json.encode(
        {
            "type": TYPE,
            "timestamp": message.posted_at,
            "data": {
                "message": message.message,
                "to": message.to,
                "template": message.template,
                "en": en,
                "zh": zh,
                "zone": letter.zone,
                "because": message.because,
                "cause": message.cause,
                "case_id": message.case_id,
            },
        }
    )


def signed(letter: Letter, body: bytes, key: bytes, at: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    id_ = str(letter.delivery)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret_of(key, letter.choice)).sign(id_, at, body.decode()),
    }


def secret_of(key: bytes, choice: UUID) -> str:
    """What this choice's webhooks are signed with, as its receiver keeps it."""
    return "whsec_" + base64.b64encode(hmac.new(key, choice.bytes, hashlib.sha256).digest()).decode()


async def _post(url: httpx.URL, addresses: Sequence[str], body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer. Redirects are not followed, proxies not asked; the courier bounds the wait."""
    timeout = httpx.Timeout(None, connect=CONNECT_WITHIN_S)
    away = ""
    async with httpx.AsyncClient(timeout=timeout, verify=_authorities(), trust_env=False) as client:
        for address in addresses:
            there, name = url.copy_with(host=address), {"sni_hostname": url.host}
            request = client.build_request("POST", there, content=body, headers=headers, extensions=name)
            try:
                response = await client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                away = f"{type(error).__name__} {error}"
                continue  # nothing was sent there
            await response.aclose()
            return response.status_code
    raise NotSent(f"nobody answers: {away}")


@cache
def _authorities() -> ssl.SSLContext:
    return ssl.create_default_context()
