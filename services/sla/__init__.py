"""sla owns time limits and ladders of escalation (data), clocks, breaches and escalations.

It hears tasks (steps begin and end, a case changes hands, conflicts open and are ruled) and directory (who is asked).
A step that begins starts a clock; timers warn and breach it at their instants; a breach, or a conflict, climbs a
ladder until somebody rules or accepts. A case of an import runs on its source's event time, and wakes nobody.
"""
