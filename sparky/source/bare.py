"""An empty bare repository, without the hooks and samples that `git init` copies."""

from __future__ import annotations

from pathlib import Path

_CONFIG = {
    "sha1": "[core]\n\trepositoryFormatVersion = 0\n\tbare = true\n",
    "sha256": "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n"
    "[extensions]\n\tobjectFormat = sha256\n",
}


def create(folder: Path, kind: str = "sha1") -> None:
    """Make it in a folder that is empty or does not exist.

    Args:
        folder: becomes the git directory.
        kind: what oids are: `sha1` or `sha256`.
    """
    for name in ("objects", "refs"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/default\n")
    (folder / "config").write_text(_CONFIG[kind])
