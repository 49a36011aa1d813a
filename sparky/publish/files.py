"""Digests as files in a folder, one file a digest, written whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sparky.errors import UsageError
from sparky.model import Digest


@dataclass(frozen=True, slots=True)
class Files:
    """A Publisher that writes `<repository>.<since>.<until>.<ending>` into `folder`."""

    folder: Path
    ending: str
    render: Callable[[Digest], str]

    def publish(self, digest: Digest) -> str:
        """Write the digest, replacing an older revision's file; returns the path.

        Raises UsageError when the folder cannot be written to.
        """
        path = self.folder / f"{file_name(digest)}.{self.ending}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".sparky-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(self.render(digest))
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(0o644)
                Path(temporary).replace(path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise UsageError(
                f"cannot write {path}: {error.strerror}",
                remedy="Give --out a folder that you may write to and that has room",
            ) from error
        return str(path)


def file_name(digest: Digest) -> str:
    """A name for the digest's file, without its ending: letters, digits, dots and dashes."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", digest.repo.name.replace("/", "__")).strip("-.")
    since, until = (f"{at:%Y-%m-%d}" for at in (digest.window.since, digest.window.until))
    return f"{name or 'repository'}.{since}.{until}"
