"""`baton publish`: send again what a topic has lost, from the journal that decided it."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from cli.parked import PartName
from cli.platform import AsJson, require_service, running_platform
from cli.rebuild import declared
from infra.local import Platform, PlatformError, upkeep
from libs.events.errors import Unavailable
from libs.events.journal import Journal
from libs.events.publisher import Publisher


def register(app: typer.Typer) -> None:
    app.command()(publish)


def publish(
    service: PartName,
    sequence: Annotated[int, typer.Option("--from", min=1, help="the first sequence to send again")],
    as_json: AsJson = False,
) -> None:
    """Send a service's facts to its topic again; who heard them already hears nothing new. 重新发布服务的事件。"""
    platform = running_platform()
    require_service(service, platform.databases)
    upkeep.require_parts(platform, "publishing", "postgres", "kafka")
    try:
        asyncio.run(_send_again(platform, service, sequence))
    except Unavailable as away:
        raise PlatformError(f"{service}: {away}") from away
    if as_json:
        print(json.dumps({"service": service, "from": sequence}))
    else:
        print(f"{service} has sent again what it decided from sequence {sequence} on")


async def _send_again(platform: Platform, service: str, sequence: int) -> None:
    """Written down for the process that publishes; this one only waits until it is done."""
    dsn = platform.databases[service].url
    journal = await Journal.open(dsn, service=service)
    try:
        if not await journal.read_decided(sequence - 1, 1):
            raise PlatformError(f"{service} has decided nothing from sequence {sequence} on: choose a lower --from")
        publisher = Publisher(declared(service).contract, journal, dsn=dsn, kafka=platform.kafka.bootstrap)
        await publisher.publish_from(sequence)
    finally:
        await journal.close()
