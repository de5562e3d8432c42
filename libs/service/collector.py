"""Python's garbage collector, set for programs that make many short-lived objects and few cycles."""

from __future__ import annotations

import gc

YOUNG_MAX = 50_000
"""Objects made, and not freed, before the collector looks at the young ones (Python's own figure is 700)."""


def calm() -> None:
    """Look less often, and never again at what is there by now: modules, routes, schemas. Call when all is imported.

    A page of a journal makes thousands of objects at once, none of them in a cycle; with Python's own figures looking
    at them took longer than reading them (bench/reads.py: 130,000 entries a second instead of 270,000).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX)
