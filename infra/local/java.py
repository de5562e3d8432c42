"""Runs one Java source file where no JDK is installed: on the pinned JRE, with a pinned compiler and Kafka's own jars.

python -m infra.local.java FILE [ARGUMENT …]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.local.artifacts import JAVA_COMPILER, jars_of, kafka_class_path
from infra.local.errors import PlatformError
from infra.local.kafka import java
from infra.local.progress import Progress

LANGUAGE = "17"
COMPILE_SECONDS_MAX = 120
QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


def run(source: Path, arguments: list[str], progress: Progress) -> int:
    """Compiles the file, runs its class, which is named like the file, and returns how it ended."""
    libraries = os.pathsep.join(map(str, kafka_class_path(progress)))
    (compiler,) = jars_of(JAVA_COMPILER, progress)
    with tempfile.TemporaryDirectory(prefix="baton-java-") as classes:
        options = [f"-{LANGUAGE}", "-encoding", "UTF-8", "-proc:none", "-classpath", libraries, "-d", classes]
        compiled = subprocess.run(
            [java(), "-jar", str(compiler), *options, str(source)],
            capture_output=True,
            text=True,
            timeout=COMPILE_SECONDS_MAX,
            check=False,
        )
        if compiled.returncode:
            raise PlatformError(f"{source} does not compile:\n{compiled.stdout}{compiled.stderr}")
        class_path = os.pathsep.join((classes, libraries))
        return subprocess.run([java(), QUIET, "-cp", class_path, source.stem, *arguments], check=False).returncode


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -m infra.local.java FILE [ARGUMENT …]")
    try:
        sys.exit(run(Path(sys.argv[1]), sys.argv[2:], Progress()))
    except PlatformError as refused:
        sys.exit(f"java: {refused}")


if __name__ == "__main__":
    main()
