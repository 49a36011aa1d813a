"""A history to measure on: like a real project's, the same on every machine, made in seconds.

Hundreds of files in nested folders that grow and move; side branches that are merged; messages
with paragraphs, pull request numbers and co-authors; a mailmap; a tag now and then.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

_START = 1_577_836_800
"""2020-01-01."""
_PEOPLE = 60
_FIRST_FILES = 300
_TAG_EVERY = 500
_WORDS = (
    "cache parser token queue worker config server client retry buffer index stream request"
    " response header timeout signal thread socket record schema cursor window plugin module"
    " handler event loop memory string number branch filter result engine"
).split()
_VERBS = "Add Fix Remove Rename Document Test Simplify Guard Move Split Speed Check".split()
_FOLDERS = [f"{top}/{below}" for top in ("src", "lib", "tests", "docs") for below in _WORDS[:9]]


def write_history(repo: Path, commits: int) -> None:
    """Make a bare repository whose branch `main` has so many commits, or up to four more.

    Args:
        repo: a path that does not exist yet.
        commits: how many; they begin in 2020 and are about twenty minutes apart.
    """
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", repo], check=True)
    fast_import = "git -c core.compression=0 fast-import --quiet --date-format=raw"
    importing = subprocess.Popen(fast_import.split(), cwd=repo, stdin=subprocess.PIPE)
    assert importing.stdin is not None
    for part in _History(commits).parts():
        importing.stdin.write(part)
    importing.stdin.close()
    if importing.wait() != 0:
        raise SystemExit("git fast-import failed")
    # As a clone would be: packed with deltas between the versions of a file.
    subprocess.run(["git", "-C", repo, "repack", "-adfq", "--window=5"], check=True)


class _History:
    def __init__(self, commits: int) -> None:
        self._random = random.Random(7)
        self._commits = commits
        self._files: dict[str, list[str]] = {}
        self._names: list[str] = []
        self._mark = 0
        self._date = _START

    def parts(self) -> Iterator[bytes]:
        """What `git fast-import` reads."""
        mailmap = [f"Writer {n} <w{n}@example.org> <w{n}@old.example>" for n in range(_PEOPLE)]
        first = [_write(".mailmap", mailmap), *(self._create() for _ in range(_FIRST_FILES))]
        yield self._commit("Begin", [], first)
        tagged = 0
        while self._mark < self._commits:
            tip = self._mark
            if self._random.random() < 0.1:
                done: list[bytes] = []
                for _ in range(self._random.randint(1, 3)):
                    edits = self._edits()
                    yield self._commit(self._message(), [self._mark], edits)
                    done += edits
                message = f"Merge pull request #{tip} from writer/topic\n\n{self._title()}"
                yield self._commit(message, [tip, self._mark], done)
            else:
                yield self._commit(self._message(), [tip], self._edits())
            if self._mark // _TAG_EVERY > tagged:
                tagged = self._mark // _TAG_EVERY
                yield b"tag v%d.0\nfrom :%d\ntagger %s\n" % (tagged, self._mark, self._who())
                yield _data(f"Version {tagged}.0\n\nIt has what came since the last.\n")

    def _commit(self, message: str, parents: list[int], edits: list[bytes]) -> bytes:
        self._mark += 1
        self._date += self._random.randint(1, 2400)
        head = b"commit refs/heads/main\nmark :%d\n" % self._mark
        people = b"author %s\ncommitter %s\n" % (self._who(), self._who())
        links = b"".join(
            b"%s :%d\n" % (word, parent)
            for word, parent in zip((b"from", b"merge"), parents, strict=False)
        )
        return head + people + _data(message + "\n") + links + b"".join(edits) + b"\n"

    def _edits(self) -> list[bytes]:
        """Mostly changed lines in one to four files, now and then a new or moved one."""
        chance = self._random.random()
        edits = []
        if chance < 0.04:
            edits.append(self._create())
        elif chance < 0.06:
            edits.append(self._move())
        for name in {self._pick() for _ in range(self._random.choice((1, 1, 1, 2, 2, 3, 4)))}:
            lines = self._files[name]
            at = self._random.randrange(len(lines))
            lines[at : at + self._random.randint(0, 6)] = self._lines(self._random.randint(1, 8))
            del lines[120:]
            edits.append(_write(name, lines))
        return edits

    def _create(self) -> bytes:
        name = f"{self._random.choice(_FOLDERS)}/{self._word()}_{len(self._names)}.py"
        self._names.append(name)
        self._files[name] = self._lines(self._random.randint(20, 80))
        return _write(name, self._files[name])

    def _move(self) -> bytes:
        old = self._pick()
        new = f"{self._random.choice(_FOLDERS)}/{self._word()}_moved_{self._mark}.py"
        self._names[self._names.index(old)] = new
        self._files[new] = self._files.pop(old)
        return f"R {old} {new}\n".encode()

    def _pick(self) -> str:
        """Some files change much more often than others."""
        return self._names[int(len(self._names) * self._random.random() ** 3)]

    def _lines(self, count: int) -> list[str]:
        return [
            f"    {self._word()}.{self._word()}({self._word()}, {self._random.randrange(10**6)})"
            for _ in range(count)
        ]

    def _message(self) -> str:
        title = f"{self._title()} (#{self._mark})" if self._random.random() < 0.4 else self._title()
        paragraphs = [
            "\n".join(" ".join(self._word() for _ in range(10)) for _ in range(3))
            for _ in range(self._random.choice((0, 0, 1, 2, 3)))
        ]
        if self._random.random() < 0.1:
            paragraphs.append(f"Fixes #{self._random.randrange(1, 9999)}")
        if self._random.random() < 0.1:
            someone = self._random.randrange(_PEOPLE)
            paragraphs.append(f"Co-authored-by: W. {someone} <w{someone}@old.example>")
        return "\n\n".join([title, *paragraphs])

    def _title(self) -> str:
        return f"{self._random.choice(_VERBS)} the {self._word()} of the {self._word()}"

    def _who(self) -> bytes:
        n = self._random.randrange(_PEOPLE)
        return b"Writer %d <w%d@example.org> %d +0000" % (n, n, self._date)

    def _word(self) -> str:
        return self._random.choice(_WORDS)


def _write(name: str, lines: list[str]) -> bytes:
    return f"M 100644 inline {name}\n".encode() + _data("\n".join(lines) + "\n")


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)
