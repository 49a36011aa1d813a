"""Takes secrets out of text before an engine, a log or a row sees it.

The rules are data: `redact_ported.toml` (from betterleaks, origin and licence in its head) and
`redact_rules.toml` (Sparky's own). A rule is tried only on a text that holds one of its keywords.
A secret goes to the end of the word it stands in, and leaves a mark such as
`[redacted:github-pat]`. What comes out holds nothing more to take out.
"""

from __future__ import annotations

import math
import re
import string
import threading
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from sparky.model import Activity

ASSIGNMENT = (
    r"""(?i:{name})[ \t\w.-]{{0,20}}+[\s'"]{{0,3}}+"""
    r"""(?:=|>|:{{1,3}}=|\|\||:|=>|\?=|,)[\x60'"\s=]{{0,5}}+({value})(?![\w-])"""
)
"""What a rule with a `name` and a `value` looks for. Possessive, so that it never backtracks far."""

PASSES = 5
"""A text that still yields secrets after so many passes is hostile, and goes whole."""

MARK = re.compile(r"(\[redacted:[a-z0-9-]+\])")
WORD = frozenset(string.ascii_letters + string.digits + "_")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of secret looks like."""

    id: str
    pattern: str
    """Its first group that took part is the secret; without a group, the whole match."""
    keywords: tuple[str, ...]
    """In lower case; a text without any of them cannot match."""
    entropy: float = 0.0
    """Bits a character that the secret must exceed."""
    digit: bool = False
    """Whether the secret must hold a digit."""
    mixed: bool = False
    """Whether the secret must hold a digit, or letters of both cases behind its first."""
    guess: bool = False
    """Whether only its place speaks for it, so that it must not look plain."""
    words: bool = False
    """Whether a guess may be a plain word, for a password often is."""

    def accepts(self, secret: str) -> bool:
        """Whether a match of the pattern is a secret."""
        digit = any(character in "0123456789" for character in secret)
        if self.digit and not digit:
            return False
        if self.mixed and not digit and (secret[1:].islower() or secret[1:].isupper()):
            return False
        if self.guess and (_placeholder(secret) if self.words else _plain(secret)):
            return False
        return _entropy(secret) > self.entropy


def redact(text: str) -> tuple[str, int]:
    """The text without secrets, and how many were taken out; redacting twice changes nothing."""
    total = 0
    for _ in range(PASSES):
        # Marks stay as they are, ours or somebody's, and keep their neighbours apart.
        pieces = [_taken_out(piece) for piece in MARK.split(text)]
        count = sum(count for _, count in pieces)
        if count == 0:
            return text, total
        total += count
        text = "".join(piece for piece, _ in pieces)
    return "[redacted:text]", total


def _taken_out(text: str) -> tuple[str, int]:
    """One pass over a text without marks, or over a mark."""
    spans = [] if MARK.fullmatch(text) else _spans(text)
    kept, at = [], 0
    for start, end, rule in spans:
        kept += [text[at:start], f"[redacted:{rules()[rule].id}]"]
        at = end
    return "".join(kept) + text[at:], len(spans)


def clean(activity: Activity) -> Activity:
    """The activity with its title, body, file names and labels redacted, and the count added."""
    taken = 0

    def safe(text: str) -> str:
        nonlocal taken
        text, count = redact(text)
        taken += count
        return text

    return replace(
        activity,
        title=safe(activity.title),
        body=safe(activity.body),
        labels=tuple(safe(label) for label in activity.labels),
        files=tuple(
            replace(
                file,
                path=safe(file.path),
                renamed_from=safe(file.renamed_from) if file.renamed_from else file.renamed_from,
            )
            for file in activity.files
        ),
        redacted=activity.redacted + taken,
    )


SECRET_PARAMETER = re.compile(
    r"(?i)(?:^|[_.-])(?:(?:access|api|auth|id|private|refresh)?(?:token|key)|sig|signature|auth"
    r"|authorization|password|passwd|pwd|secret|credentials?|session|jwt|code)$"
)


def scrub_url(url: str) -> str:
    """The URL without user, password and secret parameters; what is left is redacted as text.

    The user of ssh stays (`ssh://git@host/…`, `git@host:…`): it is needed, and no secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return redact(re.sub(r"//[^/?#\s]*@", "//", url))[0]
    user, _, host = parts.netloc.rpartition("@")
    if user and "ssh" in parts.scheme:
        host = f"{user.partition(':')[0]}@{host}"
    parts = parts._replace(
        netloc=host, query=_harmless(parts.query), fragment=_harmless(parts.fragment)
    )
    return redact(urlunsplit(parts))[0]


def _harmless(parameters: str) -> str:
    """The parameters of a query or a fragment whose names do not speak of a secret."""
    return "&".join(
        parameter
        for parameter in parameters.split("&")
        if "=" not in parameter or not SECRET_PARAMETER.search(unquote(parameter.partition("=")[0]))
    )


@cache
def rules() -> tuple[Rule, ...]:
    """All rules; where two find the same secret, the mark names the earlier one."""
    return tuple(
        _rule(entry)
        for name in ("redact_ported.toml", "redact_rules.toml")
        for entry in _data(name)["rule"]
    )


def _data(name: str) -> dict[str, Any]:
    return tomllib.loads(files("sparky").joinpath(name).read_text("utf-8"))


def _rule(entry: dict[str, Any]) -> Rule:
    fields = {key: value for key, value in entry.items() if key not in ("name", "value")}
    if "name" in entry:
        fields["pattern"] = ASSIGNMENT.format(name=entry["name"], value=entry["value"])
    return Rule(**(fields | {"keywords": tuple(entry["keywords"])}))


_MAKING = threading.Lock()


def _prefilter() -> tuple[re.Pattern[str], dict[str, tuple[int, ...]]]:
    """What `_made_prefilter` makes, made once however many threads ask for it at first."""
    with _MAKING:
        return _made_prefilter()


@cache
def _made_prefilter() -> tuple[re.Pattern[str], dict[str, tuple[int, ...]]]:
    """A pattern that finds every keyword in one scan, and the rules (by number) that each calls.

    A keyword that begins with a shorter one is found as the shorter one, and so calls its rules.
    """
    keywords = {keyword for rule in rules() for keyword in rule.keywords}
    called: dict[str, set[int]] = {keyword: set() for keyword in keywords}
    for number, rule in enumerate(rules()):
        for keyword in rule.keywords:
            for end in range(1, len(keyword) + 1):
                if keyword[:end] in keywords:
                    called[keyword[:end]].add(number)
    # The lookahead consumes nothing, so that keywords that overlap are all found.
    pattern = re.compile(f"(?=({_any_of_words(keywords)}))")
    return pattern, {keyword: tuple(sorted(numbers)) for keyword, numbers in called.items()}


def _any_of_words(words: Collection[str]) -> str:
    """A pattern for any of the words that tries each first letter once: a tree, not a list."""
    if "" in words:
        return ""
    tails: dict[str, set[str]] = {}
    for word in words:
        tails.setdefault(word[0], set()).add(word[1:])
    return f"(?:{'|'.join(re.escape(a) + _any_of_words(b) for a, b in sorted(tails.items()))})"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


@cache
def _any_of(name: str) -> re.Pattern[str]:
    lines = _data("redact_rules.toml")[name]
    return re.compile("|".join(f"(?:{line})" for line in lines), re.ASCII)


def _placeholder(secret: str) -> bool:
    return _any_of("placeholders").fullmatch(secret) is not None


def _plain(secret: str) -> bool:
    return _placeholder(secret) or _any_of("plain").fullmatch(secret) is not None


def _entropy(text: str) -> float:
    """Shannon entropy in bits a character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())


def _matches(text: str) -> Iterator[tuple[int, int, int]]:
    """Start, end and rule (by number) of every secret, in no order; they may overlap."""
    pattern, called = _prefilter()
    keywords = set(pattern.findall(text.lower()))
    for number in {number for keyword in keywords for number in called[keyword]}:
        rule, at = rules()[number], 0
        while match := _compiled(rule.pattern).search(text, at):
            start, end = match.span(match.lastindex or 0)
            if rule.accepts(text[start:end]):
                yield start, end, number
                at = match.end()
            else:
                # A short value that is none may be the next one's name: `secret = password = …`.
                at = start if match.start() < start and end - start < 64 else match.end()


def _spans(text: str) -> list[tuple[int, int, int]]:
    """Start, end and rule of every secret, in order and apart, each to the end of its word."""
    spans: list[tuple[int, int, int]] = []
    for start, end, rule in sorted(_matches(text)):
        if spans and start < spans[-1][1]:
            start, known, rule = spans.pop()
            end = max(end, known)
        spans.append((start, _end_of_word(text, end), rule))
    return spans


def _end_of_word(text: str, at: int) -> int:
    while at < len(text) and text[at] in WORD:
        at += 1
    return at
