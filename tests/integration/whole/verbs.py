"""The command line, run as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.platform import project_root

ENDS_WITHIN_S = 240.0


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """What it printed, as JSON."""
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True)
class Verbs:
    """`baton("replay", "--case", "STORY1")` of the platform with this state."""

    state: Path
    ends_within_s: float = ENDS_WITHIN_S

    def __call__(self, *arguments: str) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=project_root(),
            env={**os.environ, "BATON_STATE": str(self.state), "COLUMNS": "400"},
            capture_output=True,
            text=True,
            timeout=self.ends_within_s,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)
