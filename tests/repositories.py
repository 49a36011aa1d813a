"""Real git repositories for tests, with dates, people and contents as the test says."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

DAY_1 = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When things happen unless a test says otherwise."""
ADA = "Ada Byron <ada@example.org>"


class Repository:
    """A git repository with a work tree, made on a branch `main`."""

    def __init__(self, path: Path, *options: str) -> None:
        self.path = path
        subprocess.run(["git", "init", "-q", "-b", "main", *options, path], check=True)

    def git(
        self, *arguments: str | Path, given: bytes = b"", env: Mapping[str, str] | None = None
    ) -> str:
        """What a git command prints; it must end well."""
        done = subprocess.run(
            ["git", "-C", self.path, *arguments],
            input=given,
            env={**os.environ, **(env or {})},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def commit(
        self,
        message: str | bytes = "Change something",
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        at: datetime = DAY_1,
        author: str = ADA,
        committer: str | None = None,
        options: tuple[str, ...] = (),
    ) -> str:
        """Commit files (None deletes one) and return the full oid."""
        for name, content in (files or {}).items():
            file = self.path / name
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        text = message.encode() if isinstance(message, str) else message
        command = ("commit", "-q", "--allow-empty", "--allow-empty-message", "-F", "-", *options)
        self.git(*command, given=text, env=who(author, committer, at))
        return self.tip

    def merge(self, branch: str, message: str = "Merge a branch", *, at: datetime = DAY_1) -> str:
        """Merge a branch into the current one, also where that could be skipped."""
        self.git("merge", "-q", "--no-ff", "-m", message, branch, env=who(ADA, None, at))
        return self.tip

    def tag(self, name: str, message: str | None = None, *, at: datetime = DAY_1) -> None:
        """A light tag, or with a message an annotated one."""
        annotated = ("-a", "-F", "-") if message is not None else ()
        self.git("tag", *annotated, name, given=(message or "").encode(), env=who(ADA, None, at))

    def write(self, kind: str, content: bytes) -> str:
        """Write an object that git itself would refuse to make; returns its oid."""
        return self.git("hash-object", "-t", kind, "-w", "--literally", "--stdin", given=content)

    @property
    def tip(self) -> str:
        return self.git("rev-parse", "HEAD")

    @property
    def url(self) -> str:
        return f"file://{self.path}"


def who(author: str, committer: str | None, at: datetime) -> dict[str, str]:
    """Variables that make git believe who does something, and when."""
    date = f"@{int(at.timestamp())} +0000"
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    for role, person in (("AUTHOR", author), ("COMMITTER", committer or author)):
        name, _, email = person.rstrip(">").partition(" <")
        env |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email}
    return env
