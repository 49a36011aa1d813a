"""Many small repositories with different histories, the same each time, made in seconds."""

from __future__ import annotations

import random
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from sparky.model import Window

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = Window(datetime(2015, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC))
"""Holds all that ever happened in them."""
_VERBS = "Add Fix Remove Rename Document Simplify Guard Split".split()
_PARTS = "parser cache queue client retry buffer index stream header cursor window plugin".split()


def write_histories(folder: Path, count: int) -> list[Path]:
    """Make so many bare repositories: most with a few commits, one in twenty with many."""
    folder.mkdir(parents=True)
    return [_write(folder / f"r{number:05}.git", number) for number in range(count)]


def _write(path: Path, number: int) -> Path:
    lots = random.Random(number)
    commits = lots.randint(60, 120) if number % 20 == 7 else lots.randint(1, 8)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
    parts = [_commit(number, place, lots) for place in range(commits)]
    done = subprocess.run(
        ["git", "-C", path, "fast-import", "--quiet", "--date-format=raw"],
        input=b"".join(parts),
        check=True,
    )
    assert done.returncode == 0
    return path


def _commit(number: int, place: int, lots: random.Random) -> bytes:
    part = lots.choice(_PARTS)
    title = f"{lots.choice(_VERBS)} the {part} of shelf {number}x{place}"
    body = f"The {part} came up when shelf {number}x{place} was looked at by its readers."
    message = f"{title}\n\n{body}\n".encode()
    at = int(BEGIN.timestamp()) + place * 3600
    who = f"Writer {place % 5} <w{place % 5}@example.org> {at} +0000"
    text = f"{part} = {lots.randrange(10**6)}\n".encode()
    return b"".join(
        [
            f"commit refs/heads/main\nauthor {who}\ncommitter {who}\n".encode(),
            b"data %d\n%s\n" % (len(message), message),
            f"M 100644 inline src/{part}/{place % 7}.py\n".encode(),
            b"data %d\n%s\n\n" % (len(text), text),
        ]
    )
