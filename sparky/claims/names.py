"""Identifiers, paths, quotes, references, numbers and people stand in the activities."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sparky.claims import evidence as ev
from sparky.claims.lexicon import FUNCTION, NUMBERS, UNITS
from sparky.claims.statement import EDGES, Statement, Token
from sparky.claims.stems import stem
from sparky.model import Role

_REFERENCE = re.compile(r"(?:[\w.-]+/[\w.-]+)?(?:#|gh-)(\d+)", re.IGNORECASE)
_BY = re.compile(r"\b(merged|reviewed|approved) by (@?[\w-]+)", re.IGNORECASE)


def names(said: Statement) -> Iterator[str]:
    """Whatever has the form of a name, and every capitalised word, stands in an activity."""
    for token in said.tokens:
        if not _stands(said, token):
            yield f"names {token.text}, which the activities do not"


def _stands(said: Statement, token: Token) -> bool:
    text = token.text
    if token.quoted:
        return said.stands(text) or (token.code and _together(said, text))
    if reference := _REFERENCE.fullmatch(text):
        number = reference[1]
        keys = {
            key for one in said.evidence for key in (one.activity.key, *one.activity.references)
        }
        return said.stands(f"#{number}") or any(key.endswith(f":{number}") for key in keys)
    if token.number:
        return True
    if token.name:
        return _name(said, text)
    if text[:1].isupper() and not token.first:
        return all(word in FUNCTION or stem(word) in said.stems for word in ev.words(text))
    return True


def _together(said: Statement, code: str) -> bool:
    """Whether one activity has all parts of a piece of code, though not next to each other."""
    return any(all(ev.stands(part, [one]) for part in code.split()) for one in said.evidence)


def _name(said: Statement, text: str) -> bool:
    bare = re.sub(r"['\u2019]s$", "", text).strip(EDGES) or text
    forms = {text, bare, bare.removesuffix("()"), bare.removesuffix("s"), bare.rstrip("+*")}
    if any(form and said.stands(form) for form in forms):
        return True
    if bare.isalpha():
        return stem(bare) in said.stems
    # "read/write" and "C++/Rust" are two words each, "src/http.py" is one name.
    parts = [part for part in re.split(r"[/&]", bare) if part]
    if len(parts) < 2 or "." in bare or said.stands(f"{parts[0]}/"):
        return False
    return all(said.stands(part) or said.knows(part) for part in parts)


def files(said: Statement) -> Iterator[str]:
    """What is called a file is one."""
    for before, token, after in zip(
        said.tokens, said.tokens[1:], [*said.tokens[2:], None], strict=False
    ):
        typed = after is not None and after.text.casefold() in {"type", "types"}
        called = token.text.casefold() in {"file", "files"} and before.name and not typed
        if called and not is_file(said, before.text):
            yield f"calls {before.text} a file"


_HELD = re.compile(r"\bfiles in (?:the )?`?([\w./-]+\w)`?", re.IGNORECASE)


def held(said: Statement) -> Iterator[str]:
    """Files lie in a folder, and not in a file: `the files in src/engine.py`."""
    for match in _HELD.finditer(said.text):
        name = ev.fold(match[1])
        if any(ev.fold(path).endswith(name) for one in said.evidence for path in one.paths):
            yield f"tells of files in {match[1]}, which is one"


_GONE = re.compile(r"\b(?:remov|delet|dropp)ed (?:\w+ ){0,4}?`?([\w./-]+)`? file\b", re.IGNORECASE)


def gone(said: Statement) -> Iterator[str]:
    """A file that is said to be removed has no lines added: then it would still be there."""
    for match in _GONE.finditer(said.text):
        name = ev.fold(match[1]).rpartition("/")[2]
        touched = [
            file
            for one in said.evidence
            for file in one.activity.files
            if name in _names_of(file.path)
        ]
        if touched and all(file.additions for file in touched):
            yield f"says that the file {match[1]} is gone, which is still there"


def _names_of(path: str) -> set[str]:
    """What a file may be called: its name, with and without what stands after the dot."""
    name = ev.fold(path).rpartition("/")[2]
    return {name, name.partition(".")[0], name.rpartition(".")[2]}


def is_file(said: Statement, text: str) -> bool:
    """Whether an activity touches a file of that name, with or without what stands after its dot."""
    wanted = ev.fold(text).rpartition("/")[2]
    for one in said.evidence:
        for path in one.paths:
            dotted = wanted.startswith(".") and path.casefold().endswith(wanted)
            if dotted or wanted in _names_of(path):
                return True
    return said.stands(f"{text} file")


def numbers(said: Statement) -> Iterator[str]:
    """Numbers are given by an activity, of the same unit, or counted by code."""
    for index, token in enumerate(said.tokens):
        match = token.number
        digits = match[1] if match else NUMBERS.get(token.text.casefold())
        if digits is None or token.quoted:
            continue
        wanted = ev.number(digits)
        nouns = [stem(other.text) for other in said.tokens[index + 1 : index + 3]]
        if _counted(said, wanted, nouns):
            continue
        if not any(wanted in one.numbers for one in said.evidence):
            yield f"gives the number {digits}, which the activities do not"
        elif nouns and nouns[0] in UNITS and not _of_unit(said, wanted, nouns[0]):
            yield f"gives {digits} in another unit than the activities"


def _counted(said: Statement, wanted: str, nouns: Sequence[str]) -> bool:
    known = ev.counts(said.evidence)
    if any(wanted == str(count) for noun in nouns for count in known.get(noun, ())):
        return True
    # "three types: …" counts activities that each say "type".
    return wanted == str(len(said.evidence)) and any(
        all(noun in one.title for one in said.evidence) for noun in nouns
    )


def _of_unit(said: Statement, digits: str, unit: str) -> bool:
    """Whether the number has that unit somewhere, or stands there as a word."""
    if ev.beside(digits, unit, said.evidence):
        return True
    short = "|".join(u for u in UNITS if u != unit and unit.startswith(u) and len(u) < 3)
    bare = rf"(?<![\w.]){re.escape(digits)}"
    return any(
        (short and re.search(rf"{bare}\s?(?:{short})\b", one.folded))
        or not re.search(rf"{bare}(?!\w)", one.folded)
        for one in said.evidence
    )


def people(said: Statement) -> Iterator[str]:
    """Who is said to have reviewed or merged something had that part in it."""
    for match in _BY.finditer(said.text):
        role = Role.MERGER if match[1].casefold() == "merged" else Role.REVIEWER
        known = {
            part
            for one in said.evidence
            for credit in one.activity.credits
            if credit.role is role
            for part in ev.words(f"{credit.person.name} {credit.person.login or ''}")
        }
        if not set(ev.words(match[2])) <= known:
            yield f"says {match.group()}, which the activities do not"
