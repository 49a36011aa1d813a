"""A second, stricter look at a digest: every number, name and path against the data itself.

It shares no code with Sparky's own check. That one reads what the engine was shown; this one reads
the whole messages, the paths and the very diffs of what a point cites, and wants each number, each
name and each capitalised word of the point to stand there, whole.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sparky.model import Digest, Kind

_TOKEN = re.compile(r"`[^`]+`|\"[^\"]+\"|\S+")
_NUMBER = re.compile(r"v?\d+(?:[.,]\d+)*")
_NAME = re.compile(r"[_/\\=$<>@~^|#&{}\[\]]|\w[.:(]\w|\(\)|^--?\w|[a-z][A-Z]|[A-Za-z]\d|\d[A-Za-z]")
_EDGES = "()[]{}\"'`,;:!?.\u2026"
_COUNTED = re.compile(
    r"^\d+ (?:changes?|commits?|dependency updates?|versions?|automatic changes?|formatting)"
)
_FACTS = re.compile(
    r"\(\+\d+ -\d+\)|(?<![\w.])\d[\d,]* (?:more|files?|commits?|releases?|pull requests?|issues?|people"
    r"|person|versions?)\b|\bin this window\b"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a text says and the data does not."""

    text: str
    claim: str
    cites: tuple[str, ...]


class Data:
    """What a clone holds of the commits and tags that are cited."""

    def __init__(self, clone: Path) -> None:
        self._clone = clone
        self._known: dict[str, str] = {}

    def of(self, keys: Iterable[str]) -> str:
        """Messages, people, paths and diffs of some activities, in one text."""
        return "\n".join(map(self._one, keys))

    def _one(self, key: str) -> str:
        if key not in self._known:
            kind, _, name = key.partition(":")
            self._known[key] = name + "\n" + self._show(kind, name)
        return self._known[key]

    def _show(self, kind: str, name: str) -> str:
        revision = f"refs/tags/{name}" if kind == Kind.RELEASE else name
        done = subprocess.run(
            ["git", "-C", str(self._clone), "show", "--first-parent", "--format=fuller", "-M",
             "--diff-merges=first-parent", revision, "--"],
            capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.decode("utf-8", "replace")


def look(digest: Digest, data: Data) -> Iterator[Finding]:
    """Every claim of the headline and of the points that the data does not bear out."""
    texts = [(point.text, point.cites) for point in digest.points]
    for text, cites in [(digest.headline, digest.headline_cites), *texts]:
        for claim in unfounded(text, data.of(cites)):
            yield Finding(text, claim, cites)


def unfounded(text: str, source: str) -> list[str]:
    """The numbers, names and capitalised words of a text that a source does not hold."""
    plain = _FACTS.sub(" ", _COUNTED.sub("", text))
    known = source.casefold()
    found = []
    begins = True
    for token in _TOKEN.findall(plain):
        quoted = token[0] in '`"'
        bare = token.strip('`"') if quoted else token.strip(_EDGES)
        ends = token[-1] in ".:;!?"
        if bare and not _holds(bare, quoted=quoted, first=begins, known=known):
            found.append(bare)
        begins = ends
    return found


def _holds(bare: str, *, quoted: bool, first: bool, known: str) -> bool:
    number = _NUMBER.fullmatch(bare)
    named = quoted or _NAME.search(bare) is not None
    capital = bare[:1].isupper() and not first
    if not (number or named or capital):
        return True
    wanted = bare.casefold()
    forms = {wanted, wanted.removesuffix("'s"), wanted.removesuffix("()"), wanted.removeprefix("v")}
    forms |= {wanted.removesuffix("s")} if capital else set()
    parts = [part for part in re.split(r"[/\u2192]", wanted) if part] if not number else []
    return any(_stands(form, known) for form in forms if form) or (
        len(parts) > 1 and all(_stands(part, known) for part in parts)
    )


def _stands(wanted: str, known: str) -> bool:
    before = r"(?<![\w.])" if wanted[0].isalnum() else ""
    after = r"(?!\w)(?!\.\d)" if wanted[-1].isalnum() else ""
    pattern = before + r"\s+".join(map(re.escape, wanted.split())) + after
    return re.search(pattern, known) is not None
