"""How long `baton` takes until it begins with what it was asked: mostly what it loads."""

from __future__ import annotations

import subprocess
import sys

OF_SERVICES_ALONE = ("fastapi", "opentelemetry.exporter", "prometheus_client", "services")


def test_the_command_line_does_not_load_what_only_running_services_need() -> None:
    code = "import sys, cli.main; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    loaded = done.stdout.splitlines()
    assert [name for name in loaded if name in OF_SERVICES_ALONE] == []
