"""The stage on which a story is played: named people at public doors, under a held domain clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from demo.sources.cloudevent import CloudEvent
from infra.local.doors import Doors
from infra.local.rest import advance, wait_rest

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 11, 2, tzinfo=ZONE)
Say = Callable[[str], None]


class StoryFailed(Exception):
    """The story did not come out as it is told: what was expected, and what was seen."""


@dataclass
class Stage:
    """`at("09:40")` moves the clock, `at("13:40", day=1)` to Tuesday; `person("prod-1")` acts in that name."""

    doors: Doors
    say: Say
    checks: list[str] = field(default_factory=list)

    def instant(self, time: str, day: int = 0) -> datetime:
        hour, minute = map(int, time.split(":"))
        return MONDAY + timedelta(days=day, hours=hour, minutes=minute)

    def at(self, time: str, told: str, day: int = 0) -> datetime:
        """Advance the clock to this instant, at rest, and say what happens now."""
        instant = self.instant(time, day)
        advance(self.doors, instant)
        self.say(f"{instant:%a %H:%M}  {told}")
        return instant

    def person(self, code: str) -> Person:
        return Person(self, code)

    def ops(self) -> Person:
        return Person(self, "ops-1", role="ops")

    def auditor(self) -> Person:
        return Person(self, "auditor-1", role="auditor")

    def integration(self, source: str) -> Person:
        return Person(self, source, role="integration")

    def expect(self, what: str, seen: Any, wanted: Any) -> None:
        """Check one thing that the story must show; raises StoryFailed."""
        if seen != wanted:
            raise StoryFailed(f"{what}: expected {wanted!r}, seen {seen!r}")
        self.checks.append(what)


@dataclass(frozen=True)
class Person:
    """Somebody with a token of their own. After every act the stage comes to rest."""

    stage: Stage
    code: str
    role: str = "frontend"

    def post(self, service: str, path: str, body: Any = None) -> Any:
        answer = self.stage.doors.as_(self.role, self.code).post(service, path, {} if body is None else body)
        wait_rest(self.stage.doors)
        return answer

    def send(self, event: CloudEvent) -> Any:
        """Send a CloudEvent to the gateway."""
        visitor = self.stage.doors.as_(self.role, self.code)
        answer = visitor.post("gateway", "/events", event, content_type="application/cloudevents+json")
        wait_rest(self.stage.doors)
        return answer

    def get(self, service: str, path: str, **params: Any) -> Any:
        return self.stage.doors.as_(self.role, self.code).get(service, path, **params)

    def rows(self, service: str, path: str, **params: Any) -> list[Any]:
        return list(self.stage.doors.as_(self.role, self.code).rows(service, path, **params))
