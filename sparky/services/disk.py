"""Disk space: asked for before, and a clear error when it runs out all the same."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from sparky.errors import ServiceError

RESERVE_BYTES = 50_000_000
"""What is left free for everything else."""


def check_space(folder: Path, needed: int) -> None:
    """Check that `needed` bytes fit into `folder`.

    Raises:
        ServiceError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE_BYTES:
        raise ServiceError(
            f"not enough disk space in {folder}: {_mega(needed)} are needed, {_mega(free)} are free",
            remedy="Free some space, then start again.",
        )


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no space left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def no_space(folder: Path) -> ServiceError:
    """The error for a disk that ran full in the middle."""
    return ServiceError(
        f"no disk space left for {folder}", remedy="Free some space, then start again."
    )


def _mega(size: int) -> str:
    return f"{max(0, size) / 1e6:.0f} MB"
