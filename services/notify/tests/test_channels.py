"""What goes over the wire: the e-mail and the webhook, in both languages, and which addresses are ours to reach."""

from __future__ import annotations

import email
import json
from datetime import UTC, datetime, timedelta
from email import policy
from ipaddress import ip_address, ip_network
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from libs.events.effects import NotSent
from libs.service import settings
from libs.service.errors import SettingsError
from services.notify.channels.mail import composed
from services.notify.channels.outside import Outside
from services.notify.channels.reaching import is_public, reachable
from services.notify.channels.webhook import payload, secret_of, signed
from services.notify.domain.letter import TEXT_SENT_CHARS_MAX, Letter
from services.notify.tests.world import at, texts
from services.notify.views.messages import Message
from services.notify.views.texts import Text

DELIVERY, CHOICE, KEY = UUID(int=1), UUID(int=2), bytes(32)
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def letter(*, title: str = "veneer blisters", words: bool = True) -> Letter:
    row = next(row for row in texts() if row["template"] == "sla-warned")
    params = {"title": title, "reference": "STORY1", "process": "complaint", "step": "answer"}
    message = Message(
        message=UUID(int=3),
        to="service-1",
        template="sla-warned",
        template_version=1,
        params={**params, "due_at": "2026-11-02T03:40:00+00:00"},
        because="contact of service: is to act while answer runs out",
        cause=UUID(int=4),
        case_id=UUID(int=5),
        posted_at=at("11:16"),
    )
    text = Text("sla-warned", 1, row["en"], row["zh"]) if words else None
    return Letter(DELIVERY, "service-1@example.com", CHOICE, "Asia/Shanghai", message, text)


def read(message: bytes) -> email.message.EmailMessage:
    return email.message_from_bytes(message, policy=policy.default)


def test_an_e_mail_says_it_in_both_languages_and_in_its_readers_time() -> None:
    wire = composed(letter(), "baton@example.org")
    assert wire.isascii()
    found = read(wire)
    assert (found["From"], found["To"]) == ("Baton <baton@example.org>", "service-1@example.com")
    assert found["Subject"] == "Baton: STORY1 veneer blisters"
    assert found["Message-ID"] == f"<{DELIVERY}@example.org>"
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Date"].datetime == at("11:16")
    text = found.get_content()
    assert text.count("2026-11-02 11:40") == 2
    assert "Asia/Shanghai" in text
    assert "contact of service: is to act while answer runs out" in text
    assert "veneer blisters" in text


def test_two_attempts_are_the_same_message() -> None:
    assert composed(letter(), "baton@example.org") == composed(letter(), "baton@example.org")


def test_what_somebody_wrote_adds_no_header_and_is_cut() -> None:
    found = read(composed(letter(title="x\r\nBcc: all@example.com\n" + "木" * 900), "baton@example.org"))
    assert found["Bcc"] is None
    assert found["Subject"].startswith("Baton: STORY1 x Bcc: all@example.com 木")
    assert len(found["Subject"]) == 120
    assert max(map(len, letter(title="木" * TEXT_SENT_CHARS_MAX).in_words(UTC))) == TEXT_SENT_CHARS_MAX


def test_without_words_it_says_what_it_is_about() -> None:
    assert "step=answer" in read(composed(letter(words=False), "baton@example.org")).get_content()


def test_a_webhook_is_verified_by_the_library_of_its_receiver() -> None:
    body = payload(letter())
    headers = signed(letter(), body, KEY, datetime.now(UTC))
    told = Webhook(secret_of(KEY, CHOICE)).verify(body, headers)
    assert headers["webhook-id"] == str(DELIVERY)
    assert (told["type"], told["timestamp"]) == ("message.posted", "2026-11-02T03:16:00Z")
    assert told["data"]["case_id"] == str(UUID(int=5))
    assert "2026-11-02 11:40" in told["data"]["zh"]
    assert "2026-11-02 11:40" in told["data"]["en"]
    assert json.loads(body) == told


def test_a_changed_or_old_webhook_or_another_secret_does_not_pass() -> None:
    body, now = payload(letter()), datetime.now(UTC)
    headers = signed(letter(), body, KEY, now)
    receiver = Webhook(secret_of(KEY, CHOICE))
    old = signed(letter(), body, KEY, now - timedelta(minutes=6))
    for checked, data, given in (
        (receiver, body + b" ", headers),
        (receiver, body, {**headers, "webhook-id": "another"}),
        (receiver, body, old),
        (Webhook(secret_of(KEY, UUID(int=9))), body, headers),
        (Webhook(secret_of(bytes(31) + b"x", CHOICE)), body, headers),
    ):
        with pytest.raises(WebhookVerificationError):
            checked.verify(data, given)


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::", "::1", "fe80::1", "fc00::1", "fec0::1",
        "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
    ],
)  # fmt: skip  # a table of addresses
def test_an_address_that_is_not_everybodys_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_an_address_of_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "https://127.0.0.1:8443/x", "https://localhost/", "https://2130706433/", "https://0x7f.1/",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/latest/meta-data", "https://0/",
    ],
)  # fmt: skip  # a table of addresses
async def test_no_way_of_writing_it_leads_into_our_own_network(url: str) -> None:
    with pytest.raises(NotSent, match=r"is not public|has no address") as caught:
        await reachable(httpx.URL(url), ())
    assert caught.value.final or "has no address" in caught.value.reason


async def test_networks_of_our_own_are_reached_where_the_settings_say_so() -> None:
    assert await reachable(httpx.URL("http://127.0.0.1:8080/hook"), LOOPBACK) == ["127.0.0.1"]
    assert await reachable(httpx.URL("https://[::1]/hook"), LOOPBACK) == ["::1"]
    with pytest.raises(NotSent, match="is not public"):
        await reachable(httpx.URL("http://10.0.0.1/hook"), LOOPBACK)


async def test_into_the_internet_only_https() -> None:
    with pytest.raises(NotSent, match="choose https"):
        await reachable(httpx.URL("http://1.1.1.1/hook"), LOOPBACK)
    assert await reachable(httpx.URL("https://1.1.1.1/hook"), LOOPBACK) == ["1.1.1.1"]


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BATON_KEYS", str(tmp_path))
    monkeypatch.setenv("BATON_WEBHOOK_NETWORKS", "127.0.0.0/8, ::1/128")
    told = settings.read(Outside)
    assert (told.webhook_networks, told.smtp_host) == (LOOPBACK, "")
    assert told.webhook_key() == told.webhook_key()
    assert len(told.webhook_key()) == 32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATON_SMTP_HOST", "mail.example.com"),
        ("BATON_SMTP_FROM", "not an address"),
        ("BATON_SMTP_TLS", "perhaps"),
        ("BATON_WEBHOOK_NETWORKS", "127.0.0.0/99"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BATON_KEYS", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="BATON_SMTP_FROM" if name == "BATON_SMTP_HOST" else name):
        settings.read(Outside)
