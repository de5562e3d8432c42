"""goals owns company goals and the KPIs that departments share.

It hears sla: every met and every broken limit is a sample of the KPIs that measure it, with that event as evidence.
"""
