"""How long something took, for people: nobody divides 4,320 minutes in the head."""

from __future__ import annotations

HOURS_FROM_MIN = 120
"""Below, minutes alone are read at a glance, as limits are given in them."""


def length(minutes: float) -> list[tuple[float, str]]:
    """Amounts with their units, `d` (of 24 hours), `h` and `min`, the largest first; none that is 0. Below a minute
    whole seconds, `s`; below HOURS_FROM_MIN minutes to a tenth.
    """
    if (seconds := round(minutes * 60)) < 60:
        return [(seconds, "s")]
    if minutes < HOURS_FROM_MIN:
        return [(round(minutes, 1), "min")]
    hours, rest = divmod(round(minutes), 60)
    days, hours = divmod(hours, 24)
    return [(amount, unit) for amount, unit in ((days, "d"), (hours, "h"), (rest, "min")) if amount]
