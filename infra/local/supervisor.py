"""Keeps a started platform running: a part that died is started again, ever more slowly while it keeps dying.

`baton up` leaves it behind as `python -m infra.local.supervisor <state>`. It knows the parts by their records, so it
may itself be killed and started again at any time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.local import processes
from infra.local.errors import PlatformError
from infra.local.parts import Part
from infra.local.platform import Platform, project_root
from infra.local.processes import Running

LOOK_SECONDS = 0.2
BACKOFF_SECONDS_MIN = 0.2
BACKOFF_SECONDS_MAX = 10.0
STEADY_SECONDS = 30.0
"""Alive this long, a part's next death starts again at the shortest backoff."""
STOP_SECONDS_MAX = 15.0


@dataclass
class Watched:
    """What is told about a part in `baton status`."""

    restarts: int = 0
    last_restart: str = ""
    trouble: str = ""


class Supervisor:
    def __init__(self, parts: Mapping[str, Part], report: Path) -> None:
        self._parts = parts
        self._report = report
        self._watched = {name: Watched() for name in parts}
        self._writing = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> None:
        """Watches every part in a thread of its own until `end` is called."""
        self._write()
        threads = [threading.Thread(target=self._watch, args=(name,), name=name) for name in self._parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def end(self) -> None:
        self._ended.set()

    def _watch(self, name: str) -> None:
        part, backoff, alive_since = self._parts[name], BACKOFF_SECONDS_MIN, time.monotonic()
        while not self._ended.wait(LOOK_SECONDS):
            if part.running is not None:
                if time.monotonic() - alive_since > STEADY_SECONDS:
                    backoff = BACKOFF_SECONDS_MIN
                continue
            if not part.wanted:
                continue
            say(f"{name} has died; starting it again in {backoff:.1f} s")
            if self._ended.wait(backoff):
                return
            backoff = min(backoff * 2, BACKOFF_SECONDS_MAX)
            alive_since = time.monotonic()
            self._restart(name, part)

    def _restart(self, name: str, part: Part) -> None:
        watched = self._watched[name]
        trouble = ""
        try:
            if part.wanted:
                part.start()
        except (PlatformError, OSError) as failed:  # told in the status and tried again after the next backoff
            trouble = str(failed)
            say(f"{name} could not be started: {failed}")
        watched.restarts += 1
        watched.last_restart = datetime.now(UTC).isoformat(timespec="seconds")
        watched.trouble = trouble
        self._write()

    def _write(self) -> None:
        with self._writing:
            draft = self._report.with_suffix(".tmp")
            draft.write_text(json.dumps({name: asdict(watched) for name, watched in self._watched.items()}))
            draft.replace(self._report)


def say(text: str) -> None:
    print(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}", flush=True)


def record_of(state: Path) -> Path:
    return state / "run" / "supervisor.json"


def report_of(state: Path) -> Path:
    return state / "run" / "supervision.json"


def told(state: Path) -> dict[str, Watched]:
    try:
        return {name: Watched(**told) for name, told in json.loads(report_of(state).read_text()).items()}
    except FileNotFoundError:
        return {}


def leave_behind(platform: Platform) -> Running:
    """Starts the supervisor of a started platform as a process of its own."""
    return processes.spawn(
        [sys.executable, "-m", "infra.local.supervisor", str(platform.state)],
        record=record_of(platform.state),
        log=platform.state / "logs" / "supervisor.log",
        env=os.environ,
        cwd=project_root(),
    )


def running(state: Path) -> Running | None:
    found = processes.recorded(record_of(state))
    return found if processes.alive(found) else None


def dismiss(state: Path) -> None:
    """Ends the supervisor, so that stopping the parts is not taken for their death."""
    found = running(state)
    if found is not None:
        processes.end(found, signal.SIGTERM, STOP_SECONDS_MAX)
    record_of(state).unlink(missing_ok=True)


def main() -> None:
    platform = Platform.at(Path(sys.argv[1]))
    supervisor = Supervisor(platform.parts, report_of(platform.state))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.end())
    say(f"watching {', '.join(platform.parts)}")
    supervisor.run()


if __name__ == "__main__":
    main()
