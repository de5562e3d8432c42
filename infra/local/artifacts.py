"""Jars: pinned by coordinate and SHA-256 in infra/artifacts.sha256, fetched once per machine, checked always.

A bundle is what is fetched together, when it is first needed. `python -m infra.local.artifacts` resolves the bundles
anew and rewrites the file (a change of version only).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.errors import ArtifactRefused
from infra.local.progress import Advance, Progress

if TYPE_CHECKING:
    from jgo.maven import MavenContext

KAFKA_VERSION = "4.4.0"
PINS = Path(__file__).parents[1] / "artifacts.sha256"
DOWNLOADS_AT_ONCE = 8
DOWNLOAD_TRIES_MAX = 3
DOWNLOAD_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Bundle:
    """`roots`: coordinates group:name:version[:classifier]. `alone`: a root brings what it needs in its own jar."""

    name: str
    version: str
    roots: tuple[str, ...]
    alone: bool = False

    @property
    def folder(self) -> Path:
        return cache_dir() / f"{self.name}-{self.version}"


KAFKA = Bundle(
    "kafka", KAFKA_VERSION, (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
)
JAVA_COMPILER = Bundle("java-compiler", "3.46.100", ("org.eclipse.jdt:ecj:3.46.100",), alone=True)
ZIPKIN = Bundle("zipkin", "3.5.1", ("io.zipkin:zipkin-server:3.5.1:slim",), alone=True)
KAFKA_TOOLS = Bundle("kafka-tools", "4.3.0", ("org.apache.kafka:kafka-tools:4.3.0",))
"""Kafka's own measuring producer, for the bench; the newest version of it that is published."""
BUNDLES = (KAFKA, JAVA_COMPILER, ZIPKIN, KAFKA_TOOLS)


@dataclass(frozen=True)
class Jar:
    sha256: str
    group: str
    name: str
    version: str
    classifier: str = ""

    @property
    def coordinate(self) -> str:
        return ":".join(filter(None, (self.group, self.name, self.version, self.classifier)))

    @property
    def filename(self) -> str:
        return "-".join(filter(None, (self.name, self.version, self.classifier))) + ".jar"


def cache_dir() -> Path:
    """Shared by all checkouts of a user."""
    return Path(os.environ.get("BATON_CACHE") or Path.home() / ".cache" / "baton")


def pinned(bundle: Bundle) -> list[Jar]:
    """The jars below the bundle's line `# <name>`."""
    jars, section = [], ""
    for line in PINS.read_text().splitlines():
        if line.startswith("#"):
            section = line.removeprefix("#").strip()
        elif line and section == bundle.name:
            sha256, coordinate = line.split()
            jars.append(Jar(sha256, *coordinate.split(":")))
    return jars


def jars_of(bundle: Bundle, progress: Progress) -> list[Path]:
    """The checked jars in the order of the pins, fetching those that the cache lacks."""
    folder = bundle.folder
    folder.mkdir(parents=True, exist_ok=True)
    jars = pinned(bundle)
    with _only_one(folder / ".lock", progress):
        missing = [jar for jar in jars if not _as_pinned(folder / jar.filename, jar)]
        if missing:
            with progress.step(
                f"{bundle.name} {bundle.version}: fetching {len(missing)} jars, once per machine"
            ) as advance:
                _fetch(missing, folder, advance)
    return [folder / jar.filename for jar in jars]


def kafka_class_path(progress: Progress) -> list[Path]:
    return jars_of(KAFKA, progress)


def _as_pinned(path: Path, jar: Jar) -> bool:
    return path.exists() and _digest(path) == jar.sha256


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(jars: list[Jar], folder: Path, advance: Advance) -> None:
    _maven(folder)  # imports the library once, before the threads do
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as scratch,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE, thread_name_prefix="jar") as pool,
    ):
        fetched = pool.map(lambda jar: _fetch_one(jar, folder, Path(scratch)), jars)
        for done, _ in enumerate(fetched, start=1):
            advance(done, len(jars))


def _fetch_one(jar: Jar, folder: Path, scratch: Path) -> None:
    for left in reversed(range(DOWNLOAD_TRIES_MAX)):
        try:
            fetched = _maven(Path(tempfile.mkdtemp(dir=scratch))).project(jar.group, jar.name)
            path = fetched.at_version(jar.version).artifact(jar.classifier).resolve()
        except (OSError, RuntimeError) as failed:  # the resolver raises RuntimeError, its transport OSError
            if left:
                continue
            raise ArtifactRefused(
                f"{jar.coordinate} could not be fetched in {DOWNLOAD_TRIES_MAX} tries"
                f" ({failed}). Check the way to the Maven repository; what was fetched stays in {folder}"
            ) from failed
        take(path, jar, folder)
        return


def take(fetched: Path, jar: Jar, folder: Path) -> None:
    """Moves a fetched file to its place if it is the pinned one; refuses it otherwise."""
    found = _digest(fetched)
    if found != jar.sha256:
        raise ArtifactRefused(
            f"{jar.filename} has SHA-256 {found}, pinned is {jar.sha256} (infra/artifacts.sha256):"
            " refused. Try again; if it stays so, the repository serves something else under this name"
        )
    fetched.replace(folder / jar.filename)


def _maven(repo_cache: Path) -> MavenContext:
    with warnings.catch_warnings():
        # Its import looks for a desktop session's folder and warns where there is none.
        warnings.simplefilter("ignore")
        from jgo.maven import MavenContext, PythonResolver
    return MavenContext(
        repo_cache=repo_cache, resolver=PythonResolver(), local_repos=[], timeout=DOWNLOAD_TIMEOUT_SECONDS
    )


@contextmanager
def _only_one(lock: Path, progress: Progress) -> Iterator[None]:
    """Two checkouts that start at once fetch once."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"  waiting for another checkout that is fetching into {lock.parent}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _pin_anew() -> None:
    scratch = Path(tempfile.mkdtemp())
    try:
        maven = _maven(scratch)
        sections = [f"\n# {bundle.name}\n" + "\n".join(_pins(bundle, maven)) for bundle in BUNDLES]
    finally:
        shutil.rmtree(scratch)
    PINS.write_text(
        "# Every jar, by bundle: SHA-256, Maven coordinate. Rewritten by `python -m infra.local.artifacts`.\n"
        + "\n".join(sections)
        + "\n"
    )


def _pins(bundle: Bundle, maven: MavenContext) -> list[str]:
    from jgo.maven import Dependency

    found = set()
    for root in bundle.roots:
        group, name, version, *classifier = root.split(":")
        found.add(maven.project(group, name).at_version(version).artifact(*classifier))
    if not bundle.alone:
        _, nodes = maven.resolver.get_dependency_list([Dependency(artifact) for artifact in found])
        found |= {node.dep.artifact for node in nodes}
    lines = [
        f"{_digest(a.resolve())}  " + ":".join(filter(None, (a.groupId, a.artifactId, a.version, a.classifier)))
        for a in found
    ]
    return sorted(lines, key=lambda line: line.split()[1])


if __name__ == "__main__":
    _pin_anew()
