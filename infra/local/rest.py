"""When a platform has come to rest, and a held domain clock that is advanced through every due instant on the way.

At rest: nothing unpublished, unheard, unfolded, unreacted, no timer due, nothing being sent into the world; seen twice
in a row, the same both times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from infra.local.doors import Doors
from infra.local.errors import PlatformError

REST_SECONDS_MAX = 120.0
PAUSE_SECONDS = 0.02
STEPS_MAX = 10_000
OPERATOR = "baton-cli"
Positions = dict[str, Any]


def positions(doors: Doors) -> dict[str, Positions]:
    """What each service says of itself, all asked at once."""
    ops = doors.as_("ops", OPERATOR)
    with ThreadPoolExecutor(len(doors.urls), thread_name_prefix="positions") as pool:
        return dict(zip(doors.urls, pool.map(lambda name: ops.get(name, "/v1/positions"), doors.urls), strict=True))


def unrest(services: Mapping[str, Positions]) -> list[str]:
    """Why these positions are not at rest; empty when they are."""
    found = []
    for name, at in services.items():
        if at["queued"]:
            found.append(f"{name} has {at['queued']} appends in its queue")
        if at["published"] < at["sequence"]:
            found.append(f"{name} has published {at['published']} of {at['sequence']}")
        for what in ("folded", "reacted"):
            if at[what] < at["position"]:
                found.append(f"{name} has {what} {at[what]} of {at['position']}")
        if at["inbound_lag"]:
            found.append(f"{name} has {at['inbound_lag']} records of baton.inbound to read")
        if at["timers"]["waiting"]:
            found.append(f"{name} has {at['timers']['waiting']} timers due")
        if at["effects"]["waiting"] or at["effects"]["under_way"]:
            found.append(f"{name} has {at['effects']['waiting']} to send and {at['effects']['under_way']} on the way")
        for owner, heard in at["heard"].items():
            for partition, sequence in services.get(owner, {}).get("announced", {}).items():
                if heard.get(partition, 0) < sequence:
                    found.append(f"{name} has heard {owner}/{partition} up to {heard.get(partition, 0)} of {sequence}")
    return found


def wait_rest(
    doors: Doors, seconds_max: float = REST_SECONDS_MAX, advance: Callable[[int, int], None] | None = None
) -> dict[str, Positions]:
    """The positions at rest. Raises PlatformError with what still moves after `seconds_max`.

    `advance` is told how many of all entries are folded and reacted to, while that grows.
    """
    deadline = time.monotonic() + seconds_max
    before: dict[str, Positions] = {}
    while True:
        now = positions(doors)
        moving = unrest(now)
        if advance is not None:
            done = sum(min(at["folded"], at["reacted"], at["position"]) for at in now.values())
            advance(done, sum(at["position"] for at in now.values()))
        if not moving and _marks(now) == _marks(before):
            return now
        if time.monotonic() > deadline:
            raise PlatformError(f"not at rest after {seconds_max:.0f} s: {'; '.join(moving) or 'positions still move'}")
        before = now
        if moving:
            time.sleep(PAUSE_SECONDS)


def _marks(services: Mapping[str, Positions]) -> object:
    """What must stand still, without the clocks and the lags."""
    marks = ("position", "sequence", "published", "folded", "reacted", "heard")
    return {name: [at[mark] for mark in marks] for name, at in services.items()}


def advance(doors: Doors, to: datetime) -> int:
    """Move every service's held clock to `to`, stopping at each due instant on the way; how many instants those were.

    At each stop all clocks are moved first and only then may timers fire, so that no service is told of an instant
    that it has not reached. Returns at rest.
    """
    ops = doors.as_("ops", OPERATOR)
    for step in range(STEPS_MAX):
        services = wait_rest(doors)
        _require_held(services, to)
        due = [
            datetime.fromisoformat(at[what]["next_due"])
            for at in services.values()
            for what in ("timers", "effects")
            if at[what]["next_due"]
        ]
        target = min([to, *(instant for instant in due if instant <= to)])
        for name in doors.urls:
            if datetime.fromisoformat(services[name]["clock"]["held_at"]) <= target:  # else an advance was interrupted
                ops.post(name, "/v1/clock", {"hold": target.isoformat()})
        for name in doors.urls:
            ops.post(name, "/v1/clock", {"fire": True})
        wait_rest(doors)
        if target == to:
            return step
    raise PlatformError(f"more than {STEPS_MAX} due instants before {to.isoformat()}; advance in smaller steps")


def run_on(doors: Doors) -> None:
    """Let every service's held clock run on in real time from where it stands."""
    ops = doors.as_("ops", OPERATOR)
    for name in doors.urls:
        ops.post(name, "/v1/clock", {"run_on": True})


def _require_held(services: Mapping[str, Positions], to: datetime) -> None:
    for name, at in services.items():
        held = at["clock"]["held_at"]
        if held is None:
            raise PlatformError(
                f"the domain clock of {name} runs in real time; only a held one can be advanced: "
                "`baton down`, then `baton up --clock held:<instant>`"
            )
        if datetime.fromisoformat(held) > to:
            raise PlatformError(
                f"the domain clock of {name} stands at {held}, after {to.isoformat()}: it moves forward"
            )
