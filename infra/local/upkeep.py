"""Bringing a checkout's platform up and down, as `baton up`, `baton down` and the demo do."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import ports, supervisor
from infra.local.errors import AlreadyUp
from infra.local.platform import Platform, Wishes
from infra.local.progress import Progress


@dataclass(frozen=True)
class Brought:
    platform: Platform
    was_up: bool


def bring_up(state: Path, wishes: Wishes, progress: Progress, *, port_base: int | None = None) -> Brought:
    """Starts everything and leaves the supervisor behind; a platform that is up already is left as it is.

    Raises AlreadyUp when it is up, but not as wished.
    """
    with _only_one(state):
        known = Platform.at(state, progress)
        if known.running():
            if supervisor.running(state) is not None:
                _refuse_other_wishes(known, wishes, port_base)
                return Brought(known, was_up=True)
            progress.say("found parts without a supervisor, ending them first")
            known.stop()
        block, origin = ports.choose(state, port_base)
        if origin not in ("asked", "remembered", "default"):
            progress.say(f"{origin}; taking the block from {block.base} on, for good (--port-base N changes it)")
        platform = Platform(state, block, wishes=wishes, progress=progress)
        platform.start()
        supervisor.leave_behind(platform)
        return Brought(platform, was_up=False)


def bring_down(state: Path, progress: Progress) -> None:
    """Ends everything that `bring_up` started, whoever started it again since; facts stay."""
    with _only_one(state):
        supervisor.dismiss(state)
        platform = Platform.at(state, progress)
        were = platform.running()
        if not were:
            progress.say("nothing was running")
            platform.stop()  # what an interrupted stop has left behind
            return
        with progress.step(f"stopping {', '.join(reversed(were))}"):
            killed = platform.stop()
        if killed:
            progress.say(f"killed, since they did not end in time: {', '.join(killed)}")


@contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Two who bring the same platform up or down at once would end each other's parts."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "upkeep.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise AlreadyUp(f"another `baton up` or `baton down` is at work on {state}: wait for it") from held
        yield


def _refuse_other_wishes(known: Platform, wishes: Wishes, port_base: int | None) -> None:
    if port_base not in (None, known.ports.base) or wishes not in (Wishes(), known.wishes):
        raise AlreadyUp(
            f"already up from port {known.ports.base} on, with clock {known.wishes.clock} and"
            f" {', '.join(known.services) or 'no services'}: `baton down` first"
        )
