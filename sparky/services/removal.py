"""Remove everything that the services keep for a state folder."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from sparky.errors import ServiceError
from sparky.services.cluster import ROOT_HOME
from sparky.services.layout import prepare


def remove(state: Path) -> None:
    """Delete the database, the logs and the sockets of `state`, and `state` if nothing else is there.

    Raises:
        ServiceError: the services of `state` are in use, or it is not this user's.
    """
    if not state.exists():
        return
    layout = prepare(state)
    with layout.keeper_lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(
                f"the services of {layout.state} are in use",
                remedy="End every Sparky that uses them, then try again.",
            ) from None
        if layout.postgres.is_symlink():  # root's database
            home = layout.postgres.readlink()
            if home.parent == ROOT_HOME:
                shutil.rmtree(home, ignore_errors=True)
            layout.postgres.unlink()
        for folder in (layout.postgres, layout.run, layout.logs):
            shutil.rmtree(folder, ignore_errors=True)
        layout.start_lock.unlink(missing_ok=True)
        layout.keeper_lock.unlink()
    if not any(layout.state.iterdir()):
        layout.state.rmdir()
