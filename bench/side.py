"""The process of one side: `python -m bench.side MODULE SIDE`, its ground as JSON on standard input, one line out."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Awaitable
from typing import Any

import msgspec
import uvloop

from bench.measuring import ABSENT_EXIT, Absent, Ground, Sample
from libs.service import collector


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a bench in the background hands on that it is ignored
    module, side = sys.argv[1:3]
    run = importlib.import_module(module).SIDES[side]
    ground = msgspec.json.decode(sys.stdin.buffer.read(), type=Ground, dec_hook=lambda kind, told: kind(told))
    collector.calm()  # as every service does; for all sides alike
    try:
        done = run(ground)
        sample: Sample = uvloop.run(_awaited(done)) if isinstance(done, Awaitable) else done
    except Absent as error:
        print(error, file=sys.stderr)
        sys.exit(ABSENT_EXIT)
    sys.stdout.buffer.write(msgspec.json.encode(sample) + b"\n")


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


if __name__ == "__main__":
    main()
