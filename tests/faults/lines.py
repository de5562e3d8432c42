"""HTTP/1.1 over kept connections, as little as it takes to ask and to read the answer: on a small machine the load must
not be the greater part of the load.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit

ANSWER_BYTES_MAX = 1024 * 1024


class Lost(Exception):
    """The connection broke, or no answer came in time: whether it was taken is not known."""


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class Lines:
    """Connections to one address; as many as are asked on at the same time."""

    def __init__(self, url: str, within_s: float) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._within_s = str(parts.hostname), int(parts.port or 80), within_s
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, method: str, path: str, headers: str, body: bytes = b"") -> Answer:
        """`headers`: their lines, each with its end. Raises Lost."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(self._within_s):
                reader, writer = await self._line()
                about = f"Host: {self._host}\r\nContent-Length: {len(body)}\r\n{headers}"
                writer.write(f"{method} {path} HTTP/1.1\r\n{about}\r\n".encode() + body)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                said = await reader.readexactly(length)
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError) as error:
            if writer is not None:
                writer.close()
            raise Lost(f"{method} {path}: {error!r}") from error
        except asyncio.CancelledError:
            if writer is not None:
                writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._free.append((reader, writer))
        return Answer(int(head[9:12]), said)

    async def _line(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A kept connection that the other end has not closed meanwhile, or a new one."""
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port, limit=ANSWER_BYTES_MAX)

    def close(self) -> None:
        for _, writer in self._free:
            writer.close()
        self._free.clear()
