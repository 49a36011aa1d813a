"""The test set: windows of public histories that somebody described in a changelog.

Of a changelog only what can be looked up is kept: the numbers that an entry names, the commits of
the window that name them too, and the entry's telling words in alphabetical order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sparky.model import Window

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Entry:
    """One change as a changelog tells it, reduced to what can be looked up."""

    numbers: tuple[int, ...]
    """Of pull requests and issues."""
    terms: tuple[str, ...]
    """Names and telling words, at most eight, in alphabetical order."""
    commits: tuple[str, ...]
    """Full oids of the commits of the window that the entry is about; none if none names it."""


@dataclass(frozen=True, slots=True)
class Described:
    """A window, and the changelog's entries about it."""

    name: str
    repository: str
    """Where anybody can clone it."""
    since: str
    until: str
    changelog: str
    """The file, and the revision that was read."""
    versions: tuple[str, ...]
    """The releases whose entries are here."""
    licence: str
    """Of the repository, as SPDX names it."""
    commits: int
    entries: tuple[Entry, ...]

    @property
    def window(self) -> Window:
        return Window(datetime.fromisoformat(self.since), datetime.fromisoformat(self.until))

    @property
    def clone(self) -> str:
        """How a bare clone of the repository is called: `owner__name.git`."""
        return "__".join(self.repository.removesuffix(".git").split("/")[-2:]) + ".git"


def load(names: Sequence[str] = ()) -> Iterator[Described]:
    """The windows of the test set, in order of their names; all of them, or those that are named."""
    for path in sorted(DATA.glob("*.json")):
        if not names or path.stem in names:
            yield read(path)


def read(path: Path) -> Described:
    """One window from its file."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    entries = tuple(
        Entry(tuple(entry["numbers"]), tuple(entry["terms"]), tuple(entry["commits"]))
        for entry in raw.pop("entries")
    )
    return Described(**(raw | {"versions": tuple(raw["versions"]), "entries": entries}))


def write(window: Described) -> Path:
    """One window into its file."""
    path = DATA / f"{window.name}.json"
    path.write_text(json.dumps(asdict(window), indent=1) + "\n", encoding="utf-8")
    return path
