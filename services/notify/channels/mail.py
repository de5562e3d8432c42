"""E-mail by SMTP. Its Message-ID is that of the delivery, the same in every attempt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP as CRLF
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from aiosmtplib import SMTP, SMTPDataError, SMTPException, SMTPRecipientRefused, SMTPResponseException

from libs.events.effects import NotSent
from services.notify.channels.outside import Outside
from services.notify.domain.letter import Letter

SUBJECT_CHARS_MAX = 120
OFFER_WITHIN_S = 20.0
"""Until the server is ready to take the message; nothing has been sent by then."""
QUIT_WITHIN_S = 2.0
REFUSED, FINAL = 400, 500
_log = logging.getLogger(__name__)


class Email:
    """Hands letters to the mail server that the settings name."""

    def __init__(self, outside: Callable[[], Outside]) -> None:
        self._outside = outside

    async def send(self, letter: Letter, key: str) -> str:
        """What the server said when it took it. Lost between the message's end and the answer to it, it is unknown."""
        told = self._outside()
        if not told.smtp_host:
            raise NotSent("no mail server is set: BATON_SMTP_HOST")
        message = composed(letter, told.smtp_from)
        server = _server(told)
        try:
            await _offer(server, told.smtp_from, letter.address)
            said = await _hand_over(server, message)
            await _quit(server)
        finally:
            server.close()
        return said


def composed(letter: Letter, sender: str) -> bytes:
    """The message as it goes over the wire, in Chinese and English."""
    en, zh = letter.in_words(ZoneInfo(letter.zone))
    message = EmailMessage(policy=CRLF)
    message["From"] = f"Baton <{sender}>"
    message["To"] = letter.address
    message["Subject"] = _subject(letter)
    message["Date"] = format_datetime(letter.posted_at)
    message["Message-ID"] = f"<{letter.delivery}@{_domain(sender)}>"
    message["Auto-Submitted"] = "auto-generated"
    why = f"收件原因 Why you get this: {letter.message.because}"
    message.set_content(f"{zh}\n\n{en}\n\n{why}\n时区 Time zone: {letter.zone}\n")
    return message.as_bytes()


def _subject(letter: Letter) -> str:
    return f"Baton: {letter.about}"[:SUBJECT_CHARS_MAX]


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2]


def _server(told: Outside) -> SMTP:
    return SMTP(
        hostname=told.smtp_host,
        port=told.smtp_port,
        username=told.smtp_user or None,
        password=told.smtp_password.get_secret_value() or None,
        local_hostname=_domain(told.smtp_from),
        use_tls=told.smtp_tls == "tls",
        start_tls=told.smtp_tls == "starttls",
        timeout=None,  # bounded as a whole
    )


async def _offer(server: SMTP, sender: str, address: str) -> None:
    """Everything before the message itself: whatever goes wrong, nothing was sent."""
    try:
        async with asyncio.timeout(OFFER_WITHIN_S):
            await server.connect()
            await server.mail(sender)
            await server.rcpt(address)
    except SMTPRecipientRefused as error:
        raise NotSent(f"the mail server refuses the address: {_said(error)}", final=error.code >= FINAL) from error
    except SMTPResponseException as error:
        raise NotSent(f"the mail server refuses: {_said(error)}") from error
    except TimeoutError as error:
        raise NotSent(f"the mail server was not ready within {OFFER_WITHIN_S:g} s") from error
    except (SMTPException, OSError) as error:
        raise NotSent(f"the mail server is away: {error}") from error


async def _hand_over(server: SMTP, message: bytes) -> str:
    """Only a refusal is certain; what ends without an answer (anything else that this raises) is unknown."""
    try:
        answer = await server.data(message)
    except SMTPDataError as error:
        if error.code < REFUSED:
            raise
        raise NotSent(f"the mail server refuses the message: {_said(error)}", final=error.code >= FINAL) from error
    return f"{answer.code} {answer.message}"


async def _quit(server: SMTP) -> None:
    """Polite, and no more: the message is taken."""
    try:
        async with asyncio.timeout(QUIT_WITHIN_S):
            await server.quit()
    except (SMTPException, OSError, TimeoutError) as error:
        _log.info("the mail server did not say good-bye: %s", error)


def _said(error: SMTPResponseException) -> str:
    return f"{error.code} {error.message}"
