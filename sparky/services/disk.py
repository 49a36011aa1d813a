"""Files and the room for them: lengths, hashes, and a clear error when the disk runs full."""

from __future__ import annotations

import errno
import hashlib
import shutil
from pathlib import Path

from sparky.errors import ServiceError
from sparky.services.progress import Progress, Report

RESERVE_BYTES = 50_000_000
"""What is left free for everything else."""


def check_space(folder: Path, needed: int) -> None:
    """Check that `needed` bytes fit into `folder`, and leave room for everything else.

    Raises:
        ServiceError: they do not.
    """
    free, wanted = shutil.disk_usage(folder).free, needed + RESERVE_BYTES
    if free < wanted:
        raise ServiceError(
            f"not enough disk space in {folder}: {_mega(wanted)} are needed, {_mega(free)} are free",
            remedy="Free some space, then start again.",
        )


def length(file: Path) -> int:
    """The file's bytes; 0 if it is not there."""
    return file.stat().st_size if file.exists() else 0


def sha256(file: Path, report: Report, step: str = "checking") -> str:
    """The file's hash, in hexadecimal; large files take a while, so how far it is is reported."""
    total = file.stat().st_size
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 22):
            digest.update(block)
            report(Progress(step, stream.tell(), total))
    return digest.hexdigest()


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
