"""How the platform stands now: every part asked at the same time, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from infra.local import Platform, supervisor
from infra.local.ports import HOST

ASKED_AT_ONCE = 12


@dataclass(frozen=True)
class PartStanding:
    name: str
    address: str
    pid: int | None
    ready: bool
    restarts: int
    trouble: str


@dataclass(frozen=True)
class Standing:
    platform: Platform
    parts: tuple[PartStanding, ...]
    supervisor_pid: int | None

    def rows(self) -> Iterator[tuple[str, ...]]:
        for part in self.parts:
            state = "yes" if part.ready else "no" if part.pid else "down"
            yield part.name, part.address, str(part.pid or "–"), part.trouble or state, str(part.restarts)

    def for_programs(self) -> dict[str, Any]:
        """The shape that `baton status --json` promises; database addresses carry their passwords."""
        by_name = {part.name: part for part in self.parts}
        platform, kafka, postgres = self.platform, by_name["kafka"], by_name["postgres"]
        return {
            "state": str(platform.state),
            "port_base": platform.ports.base,
            "clock": platform.wishes.clock,
            "supervisor": {"pid": self.supervisor_pid},
            "services": [
                {
                    "name": name,
                    "url": service.url,
                    "pid": by_name[name].pid,
                    "ready": by_name[name].ready,
                    "restarts": by_name[name].restarts,
                }
                for name, service in platform.services.items()
            ],
            "kafka": {
                "bootstrap": platform.kafka.bootstrap,
                "pid": kafka.pid,
                "ready": kafka.ready,
                "restarts": kafka.restarts,
            },
            "traces": _page(platform, by_name),
            "postgres": {
                "host": HOST,
                "port": platform.postgres.port,
                "pid": postgres.pid,
                "ready": postgres.ready,
                "restarts": postgres.restarts,
                "databases": {
                    name: {
                        "name": database.name,
                        "url": database.url,
                        "reader_url": database.reader_url,
                        "owner_url": database.owner_url,
                    }
                    for name, database in platform.databases.items()
                },
            },
        }


def _page(platform: Platform, by_name: dict[str, PartStanding]) -> dict[str, Any] | None:
    """Where traces can be looked at, None when it was not wished for."""
    if not platform.wishes.traces:
        return None
    zipkin = by_name["zipkin"]
    return {"url": platform.zipkin.url, "pid": zipkin.pid, "ready": zipkin.ready, "restarts": zipkin.restarts}


def standing(platform: Platform) -> Standing:
    parts = platform.parts
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        ready = dict(
            zip(parts, pool.map(lambda part: part.running is not None and part.ready(), parts.values()), strict=True)
        )
    addresses = {
        "kafka": platform.kafka.bootstrap,
        "postgres": platform.postgres.address,
        "zipkin": platform.zipkin.url,
    }
    told = supervisor.told(platform.state)
    watcher = supervisor.running(platform.state)
    return Standing(
        platform,
        tuple(
            PartStanding(
                name,
                addresses.get(name) or f"http://{HOST}:{part.port}",
                part.pid,
                ready[name],
                told[name].restarts if name in told else 0,
                told[name].trouble if name in told else "",
            )
            for name, part in parts.items()
        ),
        watcher.pid if watcher else None,
    )
