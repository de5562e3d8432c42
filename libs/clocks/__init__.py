"""Clocks, pure: when a limit warns and is due, and who had a case from when to when.

The same functions serve running timers, questions about the past, what-if and whoever verifies an export.
"""

from libs.clocks.legs import TURNS, Turn, case_legs, legs, legs_minutes, turn_of
from libs.clocks.lengths import length
from libs.clocks.limits import CALENDARS, Instants, Limit, instants, instants_until

__all__ = [
    "CALENDARS",
    "TURNS",
    "Instants",
    "Limit",
    "Turn",
    "case_legs",
    "instants",
    "instants_until",
    "legs",
    "legs_minutes",
    "length",
    "turn_of",
]
