"""A relay: stands between a client and a server. What the server says is passed on; that it hung up is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

READ_BYTES_MAX = 65_536


@dataclass
class Relay:
    port: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def relayed(host: str, port: int, own_port: int = 0) -> AsyncIterator[Relay]:
    """Reaches this server through `own_port` (0: any free one)."""
    relay = Relay()
    visits: set[asyncio.Task[None]] = set()
    over = False

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(READ_BYTES_MAX):
            sink.write(data)
            await sink.drain()

    async def answers(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        await pump(source, sink)
        relay.hung_up.set()

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            visits.add(task)
        ends = [writer]
        try:
            if not over:  # a driver comes at the very end, too, to cancel what it asked for
                from_server, to_server = await asyncio.open_connection(host, port)
                ends.append(to_server)
                await asyncio.gather(pump(reader, to_server), answers(from_server, writer), return_exceptions=True)
        finally:
            for end in ends:
                end.close()
            await asyncio.gather(*(end.wait_closed() for end in ends), return_exceptions=True)

    server = await asyncio.start_server(visit, "127.0.0.1", own_port)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        over = True
        for task in visits:
            task.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
