"""What a mail server and a receiver of webhooks may answer, and what is then known: sent, not sent, or unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from libs.events.effects import NotSent
from services.notify.channels import webhook
from services.notify.channels.mail import Email
from services.notify.channels.outside import Outside
from services.notify.channels.webhook import Gone, Webhooks, secret_of
from services.notify.domain.letter import Letter
from services.notify.tests.test_channels import CHOICE, DELIVERY, letter
from tests.integration.receivers import (
    ENDLESS,
    HOST,
    MUTE,
    MailServer,
    Receiver,
    certificate,
    mail_server,
    outside,
    receiver,
)

ANSWER_WITHIN_S = 5.0
NOBODY = 9  # the port of the discard service, which nobody runs


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with mail_server() as found:
        yield found


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as found:
        yield found


@pytest.fixture
def authorities() -> Iterator[None]:
    """Whom we trust is read anew."""
    webhook._authorities.cache_clear()
    yield
    webhook._authorities.cache_clear()


async def by_mail(told: Outside, address: str = "service-1@example.com") -> str:
    async with asyncio.timeout(ANSWER_WITHIN_S):
        return await Email(lambda: told).send(replace(letter(), address=address), "")


async def by_webhook(told: Outside, address: str) -> str:
    async with asyncio.timeout(ANSWER_WITHIN_S):
        return await Webhooks(lambda: told).send(posted_to(address), "")


def posted_to(address: str) -> Letter:
    return replace(letter(), address=address)


async def test_a_mail_server_takes_the_message_and_says_so(mail: MailServer, tmp_path: Path) -> None:
    assert await by_mail(outside(tmp_path, mail.port)) == "250 taken"
    (message,) = mail.came
    assert message["Message-ID"] == f"<{DELIVERY}@example.org>"
    assert "veneer blisters" in message.get_content()


@pytest.mark.parametrize(
    ("answer", "final"), [("550 no such user", True), ("552 mailbox full", True), ("450 greylisted", False)]
)
async def test_a_refused_recipient_is_final_when_the_server_says_so(
    answer: str, final: bool, mail: MailServer, tmp_path: Path
) -> None:
    mail.refuses["service-1@example.com"] = answer
    with pytest.raises(NotSent, match=answer) as caught:
        await by_mail(outside(tmp_path, mail.port))
    assert (caught.value.final, mail.came) == (final, [])


@pytest.mark.parametrize(("answer", "final"), [("554 looks like spam", True), ("451 try later", False)])
async def test_a_refused_message_is_known_not_to_be_sent(
    answer: str, final: bool, mail: MailServer, tmp_path: Path
) -> None:
    mail.answers = [answer]
    with pytest.raises(NotSent, match=answer) as caught:
        await by_mail(outside(tmp_path, mail.port))
    assert caught.value.final is final


async def test_a_connection_that_ends_before_the_answer_leaves_it_unknown(mail: MailServer, tmp_path: Path) -> None:
    mail.answers = [MUTE]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await Email(lambda: outside(tmp_path, mail.port)).send(letter(), "")
    assert len(mail.came) == 1


async def test_a_mail_server_that_is_away_or_not_set_got_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="is away") as away:
        await by_mail(outside(tmp_path, NOBODY))
    with pytest.raises(NotSent, match="BATON_SMTP_HOST") as unset:
        await by_mail(outside(tmp_path))
    assert not away.value.final
    assert not unset.value.final


async def test_mail_goes_encrypted_and_only_to_a_server_that_we_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, tls = certificate(tmp_path)
    async with mail_server(tls) as mail:
        told = outside(tmp_path, mail.port, smtp_tls="starttls")
        with pytest.raises(NotSent, match="certificate"):
            await by_mail(told)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        assert await by_mail(told) == "250 taken"
    async with mail_server() as bare:
        with pytest.raises(NotSent, match=r"refuses|away"):
            await by_mail(outside(tmp_path, bare.port, smtp_tls="starttls"))
    assert (len(mail.came), bare.came) == (1, [])


async def test_a_receiver_verifies_what_came_with_its_own_library(hook: Receiver, tmp_path: Path) -> None:
    told = outside(tmp_path)
    assert await by_webhook(told, f"http://localhost:{hook.port}/hook?team=1") == "answered 200"
    ((headers, body),) = hook.came
    assert headers["host"] == f"localhost:{hook.port}"
    read = Webhook(secret_of(told.webhook_key(), CHOICE)).verify(body, headers)
    assert read["data"]["to"] == "service-1"
    assert hook.ids == [str(DELIVERY)]


@pytest.mark.parametrize("answer", ["500 no", "503 busy", "429 slowly", "404 not here", "401 who", "302 elsewhere"])
async def test_any_answer_but_a_success_is_tried_again(answer: str, hook: Receiver, tmp_path: Path) -> None:
    hook.answers = [answer]
    hook.headers = f"Location: http://{HOST}:{hook.port}/other\r\n"
    with pytest.raises(NotSent, match=answer[:3]) as caught:
        await by_webhook(outside(tmp_path), f"http://{HOST}:{hook.port}/")
    assert not caught.value.final
    assert len(hook.came) == 1, "a redirect is not followed"


async def test_gone_is_final_and_says_what_is_gone(hook: Receiver, tmp_path: Path) -> None:
    hook.answers = ["410 Gone"]
    with pytest.raises(Gone) as caught:
        await by_webhook(outside(tmp_path), f"http://{HOST}:{hook.port}/")
    assert (caught.value.final, caught.value.choice) == (True, CHOICE)


async def test_an_endless_answer_is_not_read(hook: Receiver, tmp_path: Path) -> None:
    hook.answers = [ENDLESS]
    assert await by_webhook(outside(tmp_path), f"http://{HOST}:{hook.port}/") == "answered 200"


async def test_nobody_at_the_address_got_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="nobody answers"):
        await by_webhook(outside(tmp_path), f"http://{HOST}:{NOBODY}/")


async def test_our_own_network_is_not_reached_unless_allowed(hook: Receiver, tmp_path: Path) -> None:
    for host in (HOST, "localhost"):
        with pytest.raises(NotSent, match="is not public") as caught:
            await by_webhook(outside(tmp_path, webhook_networks=()), f"http://{host}:{hook.port}/")
        assert caught.value.final
    assert hook.came == []


@pytest.mark.usefixtures("authorities")
async def test_the_name_in_the_certificate_is_checked_though_the_address_is_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, tls = certificate(tmp_path)
    async with receiver(tls) as hook:
        with pytest.raises(NotSent, match="certificate"):
            await by_webhook(outside(tmp_path), f"https://localhost:{hook.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        webhook._authorities.cache_clear()
        assert await by_webhook(outside(tmp_path), f"https://localhost:{hook.port}/") == "answered 200"
        with pytest.raises(NotSent, match="certificate"):
            await by_webhook(outside(tmp_path), f"https://127.1:{hook.port}/")  # the same machine by another name
    assert len(hook.came) == 1
