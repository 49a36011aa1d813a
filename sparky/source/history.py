"""The history of one repository on this machine: its tip, and what lies in a window."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from sparky.errors import SourceError
from sparky.model import Activity, Window
from sparky.source import bare
from sparky.source.git import Git
from sparky.source.parse import FORMAT, commits, tokens
from sparky.source.people import People

_LOG = (
    *("log", "-z", "--no-color", "--no-decorate", "--no-notes", "--no-show-signature"),
    *("--no-ext-diff", "--no-textconv", "--encoding=UTF-8", "--diff-merges=off"),
)
_COUNTED = ("-M", "-l1000", "--numstat")
_NAMED = ("--no-renames", "--raw")
"""Needs no contents of files."""

_BATCH = 20_000
"""Contents asked for at once."""


@dataclass(frozen=True)
class History:
    """What can be reached from HEAD, as it is when this is made."""

    git: Git
    tip: str
    """The full oid of the newest commit."""
    has_contents: bool = True
    """Whether the contents of files are here: without them, no lines are counted."""

    @classmethod
    def of(cls, git: Git) -> History:
        """The history of a repository; SourceError if it has none."""
        tip = git.ask("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        if tip is None:
            raise SourceError(
                f"{git.subject} has no commits yet", remedy="Commit something, then try again"
            )
        return cls(git, tip)

    def without_contents(self) -> History:
        """The same, read without the contents of files."""
        return replace(self, has_contents=False)

    @property
    def mailmap(self) -> str:
        """The object that holds the mailmap; a bare repository's own default."""
        return f"{self.tip}:.mailmap" if self.has_contents else ""

    @cached_property
    def cut(self) -> frozenset[str]:
        """The oids at which a shallow clone is cut off; empty for a whole history."""
        path = self._path("shallow")
        return frozenset(path.read_text("ascii").split()) if path.is_file() else frozenset()

    @property
    def is_detached(self) -> bool:
        """Whether HEAD names a commit in place of a branch."""
        return self.git.ask("symbolic-ref", "--quiet", "HEAD") is None

    def root(self) -> str | None:
        """The oid of the oldest commit along first parents; None where a shallow clone lacks it.

        First parents alone: a merge of another history would change the set of all roots.
        """
        if self.cut:
            return None
        return self.git.ask("rev-list", "--first-parent", "--max-parents=0", self.tip, "--")

    def cut_at(self) -> datetime | None:
        """The newest date at which history is cut off; None for a whole history."""
        if not self.cut:
            return None
        said = self.git.run("rev-list", "--max-parents=0", "--timestamp", self.tip, "--")
        ends = [line.split() for line in said.decode().splitlines()]
        dates = [int(date) for date, oid in ends if oid in self.cut]
        return datetime.fromtimestamp(max(dates), UTC) if dates else None

    def count(self, window: Window) -> int:
        """How many commits lie in a window."""
        return int(self.git.ask("rev-list", "--count", *_span(window), self.tip, "--") or 0)

    def commits(self, window: Window, people: People) -> Generator[Activity, None, None]:
        """The commits in a window, newest first but where clocks went wrong."""
        shown = _COUNTED if self.has_contents else _NAMED
        arguments = (*_LOG, *shown, f"--format={FORMAT}", *_span(window), self.tip, "--")
        with closing(self.git.stream("-c", f"mailmap.blob={self.mailmap}", *arguments)) as blocks:
            yield from commits(blocks, people, self.git.limits, self.cut)

    def missing(self, window: Window) -> Generator[list[bytes], None, None]:
        """Oids of contents that counting a window's lines needs and a partial clone lacks.

        They come in batches, which may repeat what an earlier batch had, so that memory does not
        grow with the window.
        """
        partial = r"^(remote\..*\.promisor|extensions\.partialclone)$"
        if self.git.ask("config", "--get-regexp", partial) is None:
            return
        objects = self._path("objects")
        mailmap = self.git.ask("rev-parse", "--quiet", "--verify", self.mailmap)
        wanted = {mailmap.encode()} if mailmap else set()
        # Without `--no-mailmap`, git would want the mailmap before anybody has brought it.
        shown = (*_NAMED, "--no-abbrev", "--no-mailmap", "--format=")
        arguments = (*_LOG, *shown, *_span(window), self.tip, "--")
        with closing(self.git.stream(*arguments)) as blocks:
            for token in tokens(blocks, self.git.limits.text_bytes):
                if token.startswith(b":"):
                    wanted.update(_contents(token))
                if len(wanted) >= _BATCH:
                    yield from self._absent(wanted, objects)
                    wanted = set()
        yield from self._absent(wanted, objects)

    def _absent(self, wanted: set[bytes], objects: Path) -> Iterator[list[bytes]]:
        """Those that are not here, if any, as one batch."""
        if not wanted:
            return
        # In the partial clone itself git would bring what it is asked about, or fail on it; an
        # empty repository has no remote to think of.
        with TemporaryDirectory() as empty:
            bare.create(Path(empty), "sha1" if len(self.tip) == 40 else "sha256")
            said = replace(self.git, folder=Path(empty)).run(
                "cat-file", "--batch-check=%(objectname)",
                given=b"\n".join(sorted(wanted)) + b"\n", objects=objects,
            )  # fmt: skip
        absent = [line.split()[0] for line in said.splitlines() if line.endswith(b" missing")]
        if absent:
            yield absent

    def _path(self, name: str) -> Path:
        return self.git.folder / (self.git.ask("rev-parse", "--git-path", name) or name)


def _span(window: Window) -> tuple[str, ...]:
    """Options for the commits in [since, until): git's own dates are whole seconds, both inclusive.

    Unlike `--since`, this filter does not stop at the first commit that seems too old.
    """
    first, last = ceil(window.since.timestamp()), ceil(window.until.timestamp()) - 1
    if last < max(first, 0):
        return ("--max-count=0",)
    # Without a zone, git takes short numbers for something else than seconds.
    return (f"--since-as-filter=@{max(first, 0)} +0000", f"--until=@{last} +0000")


def _contents(token: bytes) -> Iterator[bytes]:
    """The oids of both sides of a `:mode mode oid oid status`, where they are files or links."""
    modes = token[1:].split(b" ", 4)
    for mode, oid in zip(modes[:2], modes[2:4], strict=True):
        # A submodule's commit is another repository's.
        if mode not in {b"000000", b"160000"}:
            yield oid
