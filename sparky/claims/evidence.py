"""What activities say, in the forms in which a claim can be looked up: words, names, numbers, pairs.

Evidence is the title, the part of the body that an engine is shown, all paths, labels, people, the
state, and the counts that code knows. A longer body would let almost any sentence pass. What a
message says to its reader, and its links and code, may be named, but say nothing of what was done.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sparky import paths, plain, points
from sparky.claims import implied, message
from sparky.claims.lexicon import FUNCTION, NUMBERS, act
from sparky.claims.stems import stem
from sparky.model import Activity, Change, Kind, Role
from sparky.paths import Sort
from sparky.words import parse

PIECE = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+(?:['’][a-z]+)?|[A-Z]+|\d+|[^\W\d_a-zA-Z]+")
_TOKEN = re.compile(r"[\w'’]+")
# A number is its own word: `v1.2`, `30s` and `80%` are, `sha1` and `#12` are not.
NUMBER = re.compile(
    r"(?<![\w.#])v?(\d+(?:[.,]\d+)*)(?=(?:%|\+|[a-zµ]{1,3})?(?:[^\w]|$)|[-.]\w)", re.IGNORECASE
)
_GLUED = re.compile(r"(?<=[a-z])\d+(?:\.\d+)+(?![\w.])")  # the version in `py3.14`
_CLAUSE = re.compile(r"\n\s*\n|\n\s*[*+-]\s|[;:!?]\s|\.\s|\n|,\s(?:and|but)\s|\s(?:and|but)\s")


def fold(text: str) -> str:
    """Text for comparison: one case, plain quotes, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(text.translate(_QUOTES).split())


_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d«»", "''" + 4 * '"')


def words(text: str) -> list[str]:
    """Words in lower case, identifiers taken apart: `HTTPAdapter.send` → http, adapter, send."""
    return [piece for token in _TOKEN.findall(text) for piece in _pieces(token)]


@lru_cache(maxsize=8192)
def _pieces(token: str) -> tuple[str, ...]:
    return tuple(piece.casefold().replace("’", "'") for piece in PIECE.findall(token))


def stems(text: str) -> frozenset[str]:
    """Stems of all words of a text, and of its compounds: `lookup_dict` → lookup, dict."""
    found = {stem(word) for word in words(text)}
    found |= {stem(token) for token in _TOKEN.findall(text) if "_" not in token}
    return frozenset(found)


def numbers(text: str) -> frozenset[str]:
    """Numbers and versions of a text as bare digits, number words among them."""
    found = {number(match.group(1)) for match in NUMBER.finditer(text)}
    found |= set(_GLUED.findall(text))
    found |= {NUMBERS[word] for word in words(text) if word in NUMBERS}
    return frozenset(found)


def number(digits: str) -> str:
    """`10,000` → `10000`; `v1.2` → `1.2`."""
    return re.sub(r",(?=\d{3}\b)", "", digits.casefold().removeprefix("v"))


def clauses(text: str) -> list[str]:
    """The parts of a text that each say one thing."""
    return [part.strip() for part in _CLAUSE.split(text) if part and part.strip()]


def of_path(path: str) -> frozenset[str]:
    """Stems of a path, and of what it stands for."""
    return stems(" ".join((path, *implied.of_path(path))))


@dataclass(frozen=True, slots=True)
class Pair:
    """Something that became something else: the stems of what was and of what is."""

    old: frozenset[str]
    new: frozenset[str]

    def same(self, other: Pair) -> bool:
        return bool(self.old & other.old and self.new & other.new)

    def reversed(self, other: Pair) -> bool:
        return bool(self.old & other.new and self.new & other.old)


_WORD = r"[`'\"]?[^\s,;:()`'\"]+[`'\"]?(?:\(\))?"
_STOP = r"(?!(?:to|with|by|into|from|and|in|for|on|instead|rather)\b)"
_PHRASE = rf"{_WORD}(?:[ \t]+{_STOP}{_WORD}){{0,2}}"
_REPLACE = r"(?:replac|swap|substitut)\w*"
_RENAME = r"(?:renam|mov|chang|switch|convert|migrat|upgrad|updat|bump|rais|lower|increas|reduc)\w*"
_PAIRS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\bfrom[ \t]+(?P<old>{_PHRASE})[ \t]+(?:back[ \t]+)?(?:to|into)[ \t]+(?P<new>{_PHRASE})",
        rf"(?P<old>{_WORD})[ \t]*(?:->|=>|→|⇒)[ \t]*(?P<new>{_WORD})",
        rf"\b{_REPLACE}[ \t]+(?P<old>[^,;\n]{{1,60}}?)[ \t]+(?:with|by)[ \t]+(?P<new>[^,;\n]{{1,60}})",
        rf"\b{_RENAME}[ \t]+(?P<old>{_PHRASE})[ \t]+(?:to|into)[ \t]+(?P<new>{_PHRASE})",
        rf"(?P<new>{_PHRASE})[ \t]+(?:instead of|rather than|in place of)[ \t]+(?P<old>{_PHRASE})",
        rf"\b(?:updat|upgrad|bump|rais)\w*[^,;\n]{{0,40}}?[ \t]to[ \t]+(?P<new>{_PHRASE})[ \t]+from[ \t]+(?P<old>{_PHRASE})",
    )
)


# What must stand somewhere in a text for the pattern of that place to find anything: most texts
# have none of it, and a look for a word is a hundred times quicker than the patterns.
_HINTS: tuple[tuple[str, ...], ...] = (
    ("from",),
    ("->", "=>", "→", "⇒"),
    ("replac", "swap", "substitut"),
    ("to ", "to\t"),
    ("instead of", "rather than", "in place of"),
    ("from",),
)


def pairs(text: str) -> list[Pair]:
    """What a text says that it became what: `from 30 to 60`, `replaced x by y`, `a -> b`."""
    found = []
    lowered = text.lower()
    for pattern, hints in zip(_PAIRS, _HINTS, strict=True):
        if not any(hint in lowered for hint in hints):
            continue
        for match in pattern.finditer(text):
            old, new = _core(match["old"]), _core(match["new"])
            if old - new and new - old:
                found.append(Pair(old - new, new - old))
    return found


def _core(phrase: str) -> frozenset[str]:
    whole = {token.strip("`'\".") for token in fold(phrase).split()}
    plain_words = {stem(word) for word in words(phrase) if not word.isdigit()}
    return frozenset(plain_words | whole) - FUNCTION | numbers(phrase)


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of a source: its stems, and the acts that it names."""

    stems: frozenset[str]
    acts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one activity says. Stems, numbers and folded text are ready to be looked up."""

    activity: Activity
    folded: str
    """Title, body, paths, labels and people in one case."""
    paths: tuple[str, ...]
    spoken: str
    """The title as far as it says what was done; what stands below a title that says nothing."""
    title: frozenset[str]
    """Stems of its words that are not grammar."""
    message: frozenset[str]
    """Stems of title, body and labels, as far as they say what was done."""
    stems: frozenset[str]
    """Stems of everything, with those that paths and counts imply."""
    implied: frozenset[str]
    numbers: frozenset[str]
    clauses: tuple[Clause, ...]
    pairs: tuple[Pair, ...]
    title_words: tuple[str, ...]
    """Words of the title in order, in lower case, without its prefix."""
    sorts: frozenset[Sort]
    """What its files are: code, tests, documentation."""
    about: Change | None
    """What the title's prefix says that it is about, such as tests."""


@lru_cache(maxsize=512)  # some 10 KB each: more than a point cites, not more than a night has
def of(activity: Activity) -> Evidence:
    """The evidence that one activity gives."""
    title = plain.line(activity.title)
    spoken = message.of_title(message.unaddressed(title, points.title(activity) or title))
    body = plain.body(activity.body)
    files = [path for file in activity.files for path in (file.path, file.renamed_from) if path]
    people = [
        f"{credit.person.name} {f'@{credit.person.login}' if credit.person.login else ''}"
        for credit in activity.credits
    ]
    prose = f"{title}\n{body}"
    facts = stems(" ".join(implied.of(activity)))
    everything = "\n".join([prose, *files, *activity.labels, *people, activity.key])
    own = message.of_title(message.unaddressed(title, title))
    heard = f"{own}\n{message.of_body(body)}" if spoken.strip() else ""
    said = stems("\n".join([heard, *activity.labels]))
    parts = (spoken, *clauses(heard))
    return Evidence(
        activity=activity,
        folded=fold(everything),
        paths=tuple(files),
        spoken=spoken,
        title=content(spoken),
        message=said,
        stems=said | stems("\n".join([*files, *people, activity.key])) | facts,
        implied=facts,
        numbers=numbers(f"{prose} {' '.join(activity.labels)} {' '.join(files)}")
        | ({number(activity.oid)} if activity.kind is Kind.RELEASE else set()),
        clauses=tuple(
            Clause(found, frozenset(a for one in found if (a := act(one))))
            for found in map(stems, parts)
        ),
        pairs=(
            *pairs(prose),
            *(
                Pair(old - new, new - old)
                for file in activity.files
                if file.renamed_from
                for old, new in [(stems(file.renamed_from), stems(file.path))]
            ),
        ),
        title_words=tuple(words(parse(spoken).text)),
        sorts=frozenset(paths.sort(file.path) for file in activity.files),
        about=parse(title).change,
    )


def content(text: str) -> frozenset[str]:
    """Stems of a text's words that are not grammar."""
    return frozenset(stem(word) for word in words(text) if word not in FUNCTION)


def stands(token: str, evidence: Iterable[Evidence]) -> bool:
    """Whether a token (an identifier, a path, a quote) stands whole in one of the activities."""
    wanted = fold(token)
    pattern = re.compile(
        (r"(?<![\w-])" if wanted[:1] == "-" else r"(?<!\w)" if wanted[:1].isalnum() else "")
        + re.escape(wanted)
        + (r"(?!\w)" if wanted[-1:].isalnum() else "")
    )
    return any(wanted in one.folded and pattern.search(one.folded) for one in evidence)


def beside(digits: str, unit: str, evidence: Iterable[Evidence]) -> bool:
    """Whether a number stands before its unit, at most three words apart: `from 30 to 60 s`."""
    pattern = re.compile(rf"(?<![\w.]){re.escape(digits)}((?:\W*\w+){{1,4}})")
    return any(
        unit in map(stem, words(match[1]))
        for one in evidence
        for match in pattern.finditer(one.folded)
    )


def counts(evidence: Sequence[Evidence]) -> dict[str, frozenset[int]]:
    """Stems of nouns → the numbers of them that code knows."""
    activities = [one.activity for one in evidence]
    kinds = {kind: sum(1 for a in activities if a.kind is kind) for kind in Kind}
    files = {file.path for a in activities for file in a.files}
    authors = {c.person.key for a in activities for c in a.credits if c.role is not Role.MERGER}
    known = {
        "commit change": {len(activities), kinds[Kind.COMMIT]},
        "pull request pr": {kinds[Kind.PULL_REQUEST]},
        "issue": {kinds[Kind.ISSUE]},
        "release": {kinds[Kind.RELEASE]},
        "file": {len(files), sum(max(a.files_total, len(a.files)) for a in activities)},
        "line addition insertion": {sum(a.additions for a in activities)},
        "deletion": {sum(a.deletions for a in activities)},
        "people person author contributor": {len(authors)},
    }
    table = {stem(noun): frozenset(ns) for nouns, ns in known.items() for noun in nouns.split()}
    lines = table[stem("line")] | {sum(a.deletions for a in activities)}
    return table | {stem("line"): lines | {sum(a.additions + a.deletions for a in activities)}}
