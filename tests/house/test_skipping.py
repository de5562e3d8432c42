"""In CI nothing is skipped unseen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.rules import ROOT

SKIPPING = """
import pytest

def test_works():
    pass

@pytest.mark.{mark}
def test_is_skipped():
    pytest.skip("no reason will do")
"""


@pytest.mark.parametrize(
    ("ci", "mark", "passes"), [("true", "platform", False), ("true", "docker", True), ("", "platform", True)]
)
def test_in_ci_a_skipped_test_fails_unless_it_needs_a_docker_engine(
    tmp_path: Path, ci: str, mark: str, passes: bool
) -> None:
    shutil.copy(ROOT / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    platform\n    docker\n")
    (tmp_path / "test_one.py").write_text(SKIPPING.format(mark=mark))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "CI": ci},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is passes, done.stdout
    assert ("counts as a failure in CI" in done.stdout) is not passes
