"""By how much a service is behind, part by part, and which of that keeps it from being ready."""

from __future__ import annotations

from collections.abc import Mapping

LAG_ENTRIES_MAX = 5_000
ONLY_TOLD = frozenset({"timer_lateness", "timer_overdue", "send_overdue", "send_retrying", "send_unknown", "parked"})
"""For alarms. A timer whose sources are silent, a slow mail server, or what waits for a person while all else flows are
no reason to take requests elsewhere: every process of the service would say the same.
"""

Lags = Mapping[str, float]


def late(lags: Lags, lag_max: int = LAG_ENTRIES_MAX) -> Lags:
    """The parts that are too far behind for a service to be ready."""
    return {part: lag for part, lag in lags.items() if lag > lag_max and part not in ONLY_TOLD}
