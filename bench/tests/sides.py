"""Sides that do not end well, and one that does, for `python -m bench.side`."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.installed import need_package
from bench.measuring import Ground, Sample

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


async def well(ground: Ground) -> Sample:
    return Sample(1, 1.0)


def broken(ground: Ground) -> Sample:
    raise ImportError("cannot import name 'Peer' from 'peer'")


def absent(ground: Ground) -> Sample:
    need_package("a_peer_that_nobody_has")
    raise AssertionError


def unmade(ground: Ground) -> Sample:
    return Sample(len(ground.stock("database")), 1.0)


def stuck(ground: Ground) -> Sample:
    """With a process of its own and one in another session; says on standard output who they are."""
    with subprocess.Popen(SLEEP) as beside, subprocess.Popen(SLEEP, start_new_session=True) as apart:
        print(beside.pid, apart.pid, flush=True)
        time.sleep(60)
    raise AssertionError


SIDES = {"well": well, "broken": broken, "absent": absent, "unmade": unmade, "stuck": stuck}
