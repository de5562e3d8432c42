"""`baton rebuild`: every read model of every service folded anew from its journal, and compared with the live one."""

from __future__ import annotations

import importlib

import asyncpg
import pytest

from infra.local import Platform
from services.tasks.views.cases import CASES
from tests.integration.whole.verbs import Verbs

pytestmark = pytest.mark.platform


def test_every_view_is_rebuilt_and_equals_the_live_one(baton: Verbs, platform_told: Platform, case: str) -> None:
    rebuilt = baton("rebuild", "--check", "--json").told
    seen = {(each["service"], each["view"]) for each in rebuilt}
    declared = {
        (name, view.name)
        for name in platform_told.services
        for view in importlib.import_module(f"services.{name}.main").SERVICE.views
    }
    assert seen == declared
    assert not [each for each in rebuilt if each["differing"]]
    assert all(len(each["digest"]) == 64 for each in rebuilt)
    rows = {(each["service"], each["view"]): each["rows"] for each in rebuilt}
    assert all(
        rows[view] for view in (("tasks", "cases"), ("sla", "clocks"), ("notify", "messages"), ("audit", "ledger"))
    )


async def test_a_corrupted_row_is_found_named_and_mended(baton: Verbs, platform_told: Platform, case: str) -> None:
    connection = await asyncpg.connect(platform_told.database("tasks").url)
    try:
        table = f"views.cases_v{CASES.version}"
        done = await connection.execute(f"update {table} set holder = 'sales' where case_id = $1", case)
    finally:
        await connection.close()
    assert done == "UPDATE 1"
    found = baton("rebuild", "--check", "--service", "tasks")
    assert found.code == 1
    assert "tasks.cases differs at" in found.err
    assert case in found.err
    (mended,) = baton("rebuild", "--service", "tasks", "--view", "cases", "--json").told
    (key,) = mended["differing"]
    assert case in key
    after = baton("rebuild", "--check", "--service", "tasks", "--json").told
    assert not [each for each in after if each["differing"]]


@pytest.mark.parametrize(
    ("narrowed", "said"),
    [
        (("--view", "nonsense"), "there is no view 'nonsense' of directory, goals, tasks,"),
        (
            ("--service", "audit", "--view", "clocks"),
            "there is no view 'clocks' of audit: choose one of cases, ledger,",
        ),
        (("--service", "nobody"), "there is no service 'nobody': choose one of directory, goals, tasks,"),
    ],
)
def test_that_nothing_was_compared_is_a_failure_that_names_what_there_is(
    baton: Verbs, case: str, narrowed: tuple[str, ...], said: str
) -> None:
    nothing = baton("rebuild", "--check", *narrowed)
    assert (nothing.code, nothing.out) == (1, "")
    assert said in nothing.err
