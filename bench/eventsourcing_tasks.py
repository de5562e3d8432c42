"""The same tasks, written with `eventsourcing`; it reads its settings when it is imported."""

from __future__ import annotations

from datetime import datetime

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Task(Aggregate):
    @event("Created")
    def __init__(self) -> None:
        self.assignee = ""

    @event("Assigned")
    def assign(
        self,
        task: str,
        case: str,
        department: str,
        assignee: str,
        raci: str,
        due_at: datetime,
        priority: int,
        note: str,
        about: str,
    ) -> None:
        self.department, self.assignee, self.due_at = department, assignee, due_at


class Tasks(Application):
    pass
