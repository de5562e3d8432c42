"""For every test of the project: in CI a skipped test is a failure, unless it needs a Docker engine; and how many
examples a property gets (`--hypothesis-profile=long` in `make test-long`; a failure prints how to repeat it).
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=30, deadline=None, print_blob=True, derandomize=True)  # "long" dices
settings.register_profile("long", max_examples=500, deadline=None, print_blob=True)
settings.register_profile("long-platform", max_examples=200, deadline=None, print_blob=True)
settings.load_profile("quick")

CI = os.environ.get("CI", "").lower() in ("true", "1", "yes")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("docker") is None:
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself would otherwise pass unseen."""
    report = yield
    if CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped, which counts as a failure in CI: {report.longrepr}"
    return report
