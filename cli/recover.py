"""`baton recover`: a journal that was restored from a backup, completed from the topics."""

from __future__ import annotations

import asyncio
import json

import msgspec
import typer
from aiokafka.errors import KafkaError

from cli.parked import PartName
from cli.platform import AsJson, require_service, running_platform
from cli.rebuild import declared
from infra.local import PlatformError
from libs.events.line import TRANSIENT
from libs.events.recovering import NotRecoverable
from libs.events.recovering import recover as recover_journal


def register(app: typer.Typer) -> None:
    app.command()(recover)


def recover(service: PartName, as_json: AsJson = False) -> None:
    """Take back from the topics what a service's restored journal lacks; the service is stopped. 由 Kafka 补全数据。"""
    platform = running_platform()
    require_service(service, platform.databases)
    database, kafka = platform.databases[service], platform.kafka.bootstrap
    try:
        done = asyncio.run(
            recover_journal(declared(service), dsn=database.url, owner_dsn=database.owner_url, kafka=kafka)
        )
    except NotRecoverable as refused:
        raise PlatformError(str(refused)) from refused
    except (KafkaError, *TRANSIENT) as away:
        raise PlatformError(
            f"{service}: Kafka or PostgreSQL does not answer ({away!r}); everything is taken back in one commit: ask"
            " again, and should it have been made, that says that nothing is lacking"
        ) from away
    if as_json:
        print(json.dumps(msgspec.to_builtins(done)))
    else:
        print(
            f"{service}: {done.own} of its own facts and {done.heard} that it had heard were taken back; epoch"
            f" {done.epoch} begins: `baton start {service}`"
        )
