"""Small services for the bench, as programs: `python -m bench.programs tasks|board|bare`.

`tasks` takes assignments, and echoes them through the same token check, middleware and tracing; `board` hears them.
`bare` echoes them with FastAPI alone.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from uuid import UUID

import uvicorn
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from bench.events import CONTRACT, SERVICE, TASKS, TaskAssigned, TaskFact
from libs.events.contract import Contract
from libs.events.deciding import Asked, Command, Decider, Handle
from libs.events.entries import Fact
from libs.events.service import Service
from libs.service.doors import Accepted, Ask, Read, roles


class Assigning(BaseModel):
    case: UUID
    department: str
    assignee: str
    raci: str
    due_at: datetime
    priority: int
    note: str


class AssignTask(Command):
    task: UUID
    case: UUID
    department: str
    assignee: str
    raci: str
    due_at: datetime
    priority: int
    note: str


def evolve(state: int, fact: TaskFact) -> int:
    return state + 1


def assign(state: int, command: AssignTask, asked: Asked) -> list[Fact]:
    c = command
    return [TaskAssigned(c.task, c.case, c.department, c.assignee, c.raci, c.due_at, c.priority, c.note)]


router = APIRouter(prefix="/v1")


@router.post("/tasks/{task}", dependencies=[roles("frontend")])
async def post(task: UUID, body: Assigning, ask: Ask) -> Accepted:
    return await ask(AssignTask(task=task, **body.model_dump()))


@router.post("/echo/{task}", dependencies=[roles("frontend")])
async def echo(task: UUID, body: Assigning, read: Read) -> Assigning:
    return body


SERVICES = {
    "tasks": Service(
        name="bench",
        contract=CONTRACT,
        commands=(Handle(AssignTask, Decider("task", 0, evolve), assign, lambda command: command.task),),
        views=(TASKS,),
    ),
    "board": Service(name="board", contract=Contract("board", ()), hears=(CONTRACT,), views=SERVICE.views),
}


def bare() -> None:
    """FastAPI as its documentation has it, on the same server and loop."""
    app = FastAPI()

    @app.get("/readyz")
    async def readyz() -> None:
        pass

    @app.post("/v1/bare/{task}")
    async def echo(task: UUID, body: Assigning) -> Assigning:
        return body

    uvicorn.run(app, port=int(os.environ["BATON_HTTP_PORT"]), loop="uvloop", log_config=None, access_log=False)


if __name__ == "__main__":
    from libs.service.program import run

    chosen = sys.argv[1]
    if chosen == "bare":
        bare()
    else:
        run(SERVICES[chosen], router if chosen == "tasks" else APIRouter())
