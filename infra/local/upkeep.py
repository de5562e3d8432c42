"""Bringing a checkout's platform up and down, as `baton up`, `baton down` and the demo do, and restarting its services
one after another, as `baton restart` does."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import ports, supervisor
from infra.local.errors import AlreadyUp, NotUp, PlatformError
from infra.local.platform import Platform, Wishes
from infra.local.progress import Progress
from infra.local.services import Handover


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


def restart(state: Path, services: Sequence[str], progress: Progress) -> Iterator[Handover]:
    """Each of these services (when none is named: all that were started) hands over to a new process; the next one only
    when this one is ready again.
    """
    with _only_one(state):
        platform = Platform.at(state, progress)
        for name in services:
            if name not in platform.services:
                there = ", ".join(platform.services) or "none"
                raise PlatformError(f"there is no service {name!r}: choose from {there}")
        chosen = services or [name for name, service in platform.services.items() if service.wanted]
        if not chosen:
            raise NotUp("no service runs: `baton up` first")
        require_parts(platform, "a new process", "postgres", "kafka")
        for name in chosen:
            with progress.step(f"{name}: a new process takes over"):
                done = platform.services[name].hand_over()
                platform.services[name].wait_ready()
            yield done


def require_parts(platform: Platform, what: str, *names: str) -> None:
    """Raises NotUp where one of these was stopped by hand: `what` would wait for it in vain."""
    for name in names:
        if not platform.parts[name].wanted:
            raise NotUp(f"{what} needs {name}, which does not run: `baton start {name}` first")


@contextmanager
def _only_one(state: Path) -> Iterator[None]:
    """Two who bring the same platform up or down at once would end each other's parts."""
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise PlatformError(f"{state} cannot be made ({wrong.strerror}): name another folder in BATON_STATE") from wrong
    with (state / "upkeep.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise AlreadyUp(f"another `baton up`, `down` or `restart` is at work on {state}: wait for it") from held
        yield


def _refuse_other_wishes(known: Platform, wishes: Wishes, port_base: int | None) -> None:
    if port_base not in (None, known.ports.base) or wishes not in (Wishes(), known.wishes):
        raise AlreadyUp(
            f"already up from port {known.ports.base} on, started with clock {known.wishes.clock} and"
            f" {', '.join(known.services) or 'no services'}: `baton down` first"
        )
