"""Where the files of the services lie.

STATE/keeper.lock     held by the keeper while it lives
STATE/start.lock      held by a client while it looks for the keeper or starts one
STATE/run/            the sockets (0700)
STATE/logs/           a bounded log for each service
STATE/postgres/       the database; for root a link into /var/lib/sparky
STATE/valkey/         the broker's working folder
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from sparky.errors import ServiceError

SOCKET_PATH_MAX = 107
"""Bytes that the kernel allows in the path of a Unix socket."""

LONGEST_SOCKET = ".s.PGSQL.5432.lock"


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of one set of services, made by `prepare`."""

    state: Path
    run: Path

    @property
    def keeper_lock(self) -> Path:
        return self.state / "keeper.lock"

    @property
    def start_lock(self) -> Path:
        return self.state / "start.lock"

    @property
    def keeper_socket(self) -> Path:
        return self.run / "keeper.sock"

    @property
    def valkey_socket(self) -> Path:
        return self.run / "valkey.sock"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def postgres(self) -> Path:
        return self.state / "postgres"


def prepare(state: Path) -> Layout:
    """Make the folders of `state`, for this user alone.

    Raises:
        ServiceError: a folder cannot be made, or another user has one of that name.
    """
    try:
        state = state.resolve()
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if state.stat().st_uid != os.getuid():
            raise ServiceError(
                f"the state folder {state} belongs to another user",
                remedy="Run as that user, or name another folder with SPARKY_STATE_DIR.",
            )
        layout = Layout(state=state, run=run_folder(state))
        for folder in (layout.logs, layout.run):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServiceError(
            f"cannot write to the state folder {state}: {error.strerror}",
            remedy="Make it writable for you, or name another with SPARKY_STATE_DIR.",
        ) from error
    _check_private(layout.run)
    return layout


def run_folder(state: Path) -> Path:
    """The folder of the sockets: in `state`, or in /tmp where that is too deep or too odd a path.

    Odd are characters that mean something in a list of hosts, a URL or a configuration file.
    """
    inside = state / "run"
    longest = os.fsencode(inside / LONGEST_SOCKET)
    if len(longest) <= SOCKET_PATH_MAX and re.fullmatch(rb"[\w./+@-]+", longest):
        return inside
    name = hashlib.sha256(os.fsencode(state)).hexdigest()[:16]
    return Path("/tmp") / f"sparky-{os.getuid()}-{name}"  # noqa: S108 (checked by _check_private)


def _check_private(folder: Path) -> None:
    """Refuse a folder that somebody else could have made, or can open."""
    seen = folder.lstat()
    if stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.getuid() and not seen.st_mode & 0o077:
        return
    raise ServiceError(
        f"the socket folder {folder} is not a folder that only you can open",
        remedy="Remove it, then start again.",
    )
