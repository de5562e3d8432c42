"""Shows that something is happening: a live line on a terminal, plain lines elsewhere, nothing in tests."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

REMINDER_SECONDS = 5.0
"""In plain output a step that lasts longer says so this often."""

Advance = Callable[[int, int], None]
"""Called with (done, total) by a step that can count."""


class Progress:
    """Steps may run in several threads at once."""

    def __init__(self, out: TextIO | None = None, *, quiet: bool = False) -> None:
        self._out = out or sys.stderr
        self._quiet = quiet
        self._lock = threading.Lock()
        self._rich: RichProgress | None = None
        self._open_steps = 0

    def say(self, text: str) -> None:
        if self._quiet:
            return
        with self._lock:
            if self._rich is not None:
                self._rich.console.print(text, highlight=False, markup=False)
            else:
                print(text, file=self._out, flush=True)

    @contextmanager
    def step(self, text: str) -> Iterator[Advance]:
        if self._quiet:
            yield lambda done, total: None
        elif self._out.isatty():
            with self._live(text) as advance:
                yield advance
        else:
            with self._plain(text) as advance:
                yield advance

    @contextmanager
    def _live(self, text: str) -> Iterator[Advance]:
        with self._lock:
            if self._rich is None:
                self._rich = RichProgress(
                    SpinnerColumn(finished_text="[green]✓"),
                    TextColumn("{task.description}"),
                    BarColumn(bar_width=24),
                    TimeElapsedColumn(),
                    console=Console(file=self._out),
                )
                self._rich.start()
            bars = self._rich
            self._open_steps += 1
            task = bars.add_task(text, total=None)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        try:
            yield advance
        except BaseException:
            bars.update(task, description=f"[red]{text}: failed")
            raise
        else:
            bars.update(task, completed=1, total=1)
        finally:
            with self._lock:
                self._open_steps -= 1
                if self._open_steps == 0:
                    bars.stop()
                    self._rich = None

    @contextmanager
    def _plain(self, text: str) -> Iterator[Advance]:
        began = time.monotonic()
        counted = ""
        ended = threading.Event()

        def advance(done: int, total: int) -> None:
            nonlocal counted
            counted = f" ({done} of {total})"

        def remind() -> None:
            while not ended.wait(REMINDER_SECONDS):
                self.say(f"    … {text}{counted}, {time.monotonic() - began:.0f} s so far")

        self.say(f"  → {text}")
        reminder = threading.Thread(target=remind, daemon=True)
        reminder.start()
        try:
            yield advance
        except BaseException:
            self.say(f"  ✗ {text}: failed after {time.monotonic() - began:.1f} s")
            raise
        else:
            self.say(f"  ✓ {text} ({time.monotonic() - began:.1f} s)")
        finally:
            ended.set()
            reminder.join()
