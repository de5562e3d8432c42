"""How the platform stands now: every part asked at the same time, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from infra.local import Platform, PlatformError, supervisor
from infra.local.doors import open_doors
from infra.local.parts import Part
from infra.local.ports import HOST
from infra.local.services import Service
from libs.service.lags import late

ASKED_AT_ONCE = 12
COLUMNS = ("part", "address", "pid", "ready", "parked", "restarts")


@dataclass(frozen=True)
class PartStanding:
    """`why`: the first reason why it is not ready; "" when it is, or was stopped. `attention`: what works, but not
    without a person. `parked`: None where nothing can be parked, or nobody answers.
    """

    name: str
    address: str
    pid: int | None
    ready: bool
    restarts: int
    why: str = ""
    parked: int | None = None
    attention: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standing:
    platform: Platform
    parts: tuple[PartStanding, ...]
    supervisor_pid: int | None
    clock: str | None
    """What instant it is for the services, as the first of them says that is ready."""

    def rows(self) -> Iterator[tuple[str, ...]]:
        for part in self.parts:
            state = "yes" if part.ready else "no" if part.pid else "down"
            parked = "–" if part.parked is None else str(part.parked)
            yield part.name, part.address, str(part.pid or "–"), state, parked, str(part.restarts)

    @property
    def ready(self) -> bool:
        """Whether everything with which the platform was started is there and serves."""
        return all(part.ready for part in self.parts)

    @property
    def down(self) -> bool:
        return not any(part.pid for part in self.parts)

    def remarks(self) -> Iterator[str]:
        """What stands below the table: why a part is not ready, what needs a person, what instant it is."""
        for part in self.parts:
            if part.why:
                yield f"{part.name} is not ready: {part.why}"
            elif part.pid is None and not self.down:
                yield f"{part.name}: stopped by hand; `baton start {part.name}`"
            for what in part.attention:
                yield f"{part.name} needs a person: {what}"
            if part.parked:
                yield f"{part.name}: {part.parked} set aside; `baton parked list`"
        if self.down:
            yield "nothing runs: `baton up`"
        elif self.supervisor_pid is None:
            yield "nobody starts again what dies: `baton down`, then `baton up`"
        if self.clock is not None:
            yield f"domain clock: {self.clock}"

    def for_programs(self) -> dict[str, Any]:
        """The shape that `baton status --json` promises; database addresses carry the passwords
        of the service's own role and of the reader, never that of the owner."""
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
                    "parked": by_name[name].parked,
                    "why": by_name[name].why,
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
    restarts = supervisor.told(platform.state)
    watcher = supervisor.running(platform.state)

    def look(name: str) -> PartStanding:
        watched = restarts.get(name, supervisor.Watched())
        return _part(platform, name, parts[name], watched)

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        found = tuple(pool.map(look, parts))
    return Standing(platform, found, watcher.pid if watcher else None, _clock(platform, found))


def _part(platform: Platform, name: str, part: Part, watched: supervisor.Watched) -> PartStanding:
    addresses = {
        "kafka": platform.kafka.bootstrap,
        "postgres": platform.postgres.address,
        "zipkin": platform.zipkin.url,
    }
    address, pid = addresses.get(name) or f"http://{HOST}:{part.port}", part.pid
    if pid is None:
        return PartStanding(name, address, None, False, watched.restarts, watched.trouble or _died(part))
    if not isinstance(part, Service):
        ready = part.ready()
        why = "" if ready else f"it does not answer; `baton logs {name}`"
        return PartStanding(name, address, pid, ready, watched.restarts, why)
    told = part.readiness()
    if told is None:
        return PartStanding(name, address, pid, False, watched.restarts, f"it does not answer; `baton logs {name}`")
    attention = tuple(f"{what}: {text}" for what, text in told["attention"].items())
    parked = told["lags"].get("parked")
    return PartStanding(
        name,
        address,
        pid,
        told["ready"],
        watched.restarts,
        "" if told["ready"] else _why(told),
        None if parked is None else int(parked),
        attention,
    )


def _died(part: Part) -> str:
    return f"it has died; `baton logs {part.name}` says of what" if part.wanted else ""


def _why(told: Mapping[str, Any]) -> str:
    """The first reason: what is down, else what is too far behind."""
    reasons = [f"{what}: {text}" for what, text in told["down"].items()]
    behind = late(told["lags"], told["lag_max"])
    reasons += [f"{what} is {lag:.0f} behind, more than {told['lag_max']}" for what, lag in behind.items()]
    more = f" (and {len(reasons) - 1} more: /readyz)" if len(reasons) > 1 else ""
    return reasons[0] + more if reasons else "it does not say why; see /readyz"


def _clock(platform: Platform, parts: tuple[PartStanding, ...]) -> str | None:
    """What the first service says that is ready; None when there is none, or it does not say."""
    ready = next((part.name for part in parts if part.ready and part.name in platform.services), None)
    if ready is None:
        return None
    try:
        with open_doors(platform) as doors:
            told = doors.as_("ops", "baton-cli").get(ready, "/v1/clock")
    except PlatformError:
        return None  # it has gone since it was asked: the table says so next time
    return f"{told['now']} {'held' if told['held_at'] else 'running'}"
