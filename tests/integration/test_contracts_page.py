"""The page of the contracts, as an integrator sees it in a browser, without any server."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from infra.contracts import page as contracts_page
from infra.contracts.document import document

SHOWN_WITHIN_MS = 30_000
EVENTS = ("tasks.TaskAssigned", "tasks.HandoffOffered", "sla.SlaBreached", "notify.MessagePosted")


def test_the_page_shows_every_channel_and_the_fields_of_an_event(page: Page, tmp_path: Path) -> None:
    told = document()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.goto(contracts_page.write(told, tmp_path / "page").as_uri())
    shown = page.locator("asyncapi-component")
    expect(shown).to_contain_text(told["info"]["title"], timeout=SHOWN_WITHIN_MS)
    for channel in told["channels"].values():
        expect(shown).to_contain_text(channel["address"])
    for event in EVENTS:
        expect(shown).to_contain_text(event)
    expect(shown).to_contain_text("ce_previous")
    assert page.screenshot(path=tmp_path / "contracts.png")
    assert wrong == []
