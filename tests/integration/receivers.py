"""The world outside of notify: a real mail server and a real receiver of webhooks, in this process's loop.

Both remember what came, and answer what a test has told them to.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.notify.channels.outside import Outside

HOST = "127.0.0.1"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
MUTE = ""
"""As an answer: it came, and nobody says so."""
ENDLESS = "endless"
TAKEN = "250 taken"


@dataclass
class MailServer:
    """`answers` to messages, the last one for all that follow, unless `whim` gives another; `refuses` is the answer to
    this recipient. `took`: those of `came` that were taken.
    """

    port: int = 0
    answers: list[str] = field(default_factory=lambda: [TAKEN])
    whim: Callable[[], str | None] = field(default=lambda: None)
    refuses: dict[str, str] = field(default_factory=dict)
    came: list[Any] = field(default_factory=list)
    took: list[Any] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.came.append(message_from_bytes(envelope.content, policy=policy.default))
        answer = self.whim() or _next(self.answers)
        if answer.startswith("2"):
            self.took.append(self.came[-1])
        if answer == MUTE:
            await asyncio.Event().wait()
        return answer


def _next(answers: list[str]) -> str:
    return answers.pop(0) if len(answers) > 1 else answers[0]


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    found = MailServer()

    def connected() -> SMTP:
        return SMTP(found, hostname="mail.test", ident="test", tls_context=tls, require_starttls=tls is not None)

    server = await asyncio.get_running_loop().create_server(connected, HOST, 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


@dataclass
class Receiver:
    """`answers` to posts, the last one for all that follow, unless `whim` gives another: the rest of a status line,
    such as `200 OK`. `took`: the ids of those that were taken.
    """

    port: int = 0
    answers: list[str] = field(default_factory=lambda: ["200 OK"])
    whim: Callable[[], str | None] = field(default=lambda: None)
    headers: str = ""
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    took: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.came]

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            self.came.append((headers, await reader.readexactly(int(headers["content-length"]))))
            await self._answer(reader, writer, headers.get("webhook-id", ""))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # who asked has gone, or only looked in
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, id_: str) -> None:
        answer = self.whim() or _next(self.answers)
        if answer.startswith("2"):
            self.took.append(id_)
        if answer == MUTE:
            await reader.read()  # until who asked has gone
            return
        if answer != ENDLESS:
            writer.write(f"HTTP/1.1 {answer}\r\n{self.headers}Content-Length: 2\r\n\r\nhi".encode())
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()


@asynccontextmanager
async def receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    found = Receiver()
    server = await asyncio.start_server(found.connected, HOST, 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


def outside(keys: Path, mail: int | None = None, **further: Any) -> Outside:
    """Settings with this mail server, that allow webhooks to the loopback unless told otherwise."""
    server = {} if mail is None else {"smtp_host": HOST, "smtp_port": mail, "smtp_from": "baton@example.org"}
    return Outside(**{"keys": keys, "smtp_tls": "none", "webhook_networks": LOOPBACK, **server, **further})


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """One that signs itself, for `localhost` and 127.0.0.1: the file to trust, and what a server shows."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address(HOST))]), critical=True
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "trusted.pem", folder / "private.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trusted, private)
    return trusted, context
