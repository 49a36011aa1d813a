"""Real histories: the commits of a git repository on disk, as `git log` tells them."""

from __future__ import annotations

import re
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.github.history import History
from tests.github.items import Commit, GitActor

if TYPE_CHECKING:
    from tests.github.repository import Repository

FORMAT = "%x1e%H%x1f%P%x1f%an%x1f%ae%x1f%aI%x1f%cn%x1f%ce%x1f%cI%x1f%B%x1f"
CO_AUTHOR = re.compile(r"^co-authored-by:\s*(.*?)\s*<([^>]*)>\s*$", re.IGNORECASE | re.MULTILINE)
SHORTSTAT = re.compile(r"(\d+) (file|insertion|deletion)")


def read(repository: Repository, path: Path, revision: str = "HEAD") -> History:
    """Every commit that the default branch reaches; merges are counted against their first parent."""
    command = ["git", "-C", str(path), "log", f"--format={FORMAT}", "--shortstat"]
    command += ["--diff-merges=first-parent", revision, "--"]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    entries = output.decode(errors="replace").split("\x1e")[1:]
    history = History(commits=[_commit(repository, entry) for entry in reversed(entries)])
    history.index()
    return history


def _commit(repository: Repository, entry: str) -> Commit:
    oid, parents, name, email, at, c_name, c_email, c_at, message, stat = entry.split("\x1f")
    counts = {word: int(number) for number, word in SHORTSTAT.findall(stat)}
    author = GitActor(name, email, datetime.fromisoformat(at))
    return Commit(
        repository=repository,
        oid=oid,
        message=message.rstrip("\n"),
        author=author,
        committer=GitActor(c_name, c_email, datetime.fromisoformat(c_at)),
        parents=tuple(parents.split()),
        co_authors=tuple(
            GitActor(other, address, author.date) for other, address in CO_AUTHOR.findall(message)
        ),
        additions=counts.get("insertion", 0),
        deletions=counts.get("deletion", 0),
        files=counts.get("file", 0),
    )


def extent(path: Path, revision: str = "HEAD") -> tuple[datetime, datetime, int]:
    """Earliest and latest committer date, and the number of commits."""
    command = ["git", "-C", str(path), "log", "--format=%cI", revision, "--"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    dates = [datetime.fromisoformat(line) for line in output.split()]
    return min(dates), max(dates), len(dates)
