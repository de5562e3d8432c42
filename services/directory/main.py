"""Wiring of directory, and only wiring."""

from __future__ import annotations

from libs import organisation
from libs.events.contracts import directory
from libs.events.service import Service
from services.directory.api import router
from services.directory.domain.organisation import COMMANDS

SERVICE = Service(
    name="directory",
    contract=directory.CONTRACT,
    commands=COMMANDS,
    views=organisation.VIEWS,
)

if __name__ == "__main__":
    from libs.service.program import run  # the declaration above needs no machinery

    run(SERVICE, router)
