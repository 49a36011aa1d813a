"""What real titles make of the check: told with another verb, with their own, and with tokens.

    python -m bench.quality.titles CLONE…

Titles that begin with a verb, at most 300 of each history, are told with seven other verbs in front
of the same words (these sentences are wrong), and in their own past tense (these are right). Words in
-ed within such titles are told as done: `Use cached answers` as `Cached answers.`; few of these
sentences are right. Titles of fixes that say what is done now (`fix: avoid leaks`) are told as the
fault, `Fixed the issue of avoiding leaks.` (wrong), and those that name what was wrong (`Fix leaks`) as
`Fixed the issue with leaks.` (right). Of all titles, those are counted that cleaning changes because
something in them looks like a special token.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sparky import claims, plain
from sparky.claims import verbs
from sparky.model import Activity, Change, Kind
from sparky.words import parse

OTHERS = ("Added", "Fixed", "Removed", "Changed", "Updated", "Improved", "Replaced")
EACH = 300
LATEST = 6000
SEED = 3
_PAST = {
    word: past
    for pair in (
        "break broke|bring brought|build built|catch caught|choose chose|cut cut|do did|fall fell"
        "|find found|forbid forbade|get got|give gave|have had|hide hid|keep kept|leave left|let let"
        "|make made|override overrode|put put|read read|rebuild rebuilt|reset reset|rewrite rewrote"
        "|run ran|see saw|send sent|set set|show showed|speed sped|split split|take took|teach taught"
        "|tell told|throw threw|undo undid|write wrote"
    ).split("|")
    for word, past in [pair.split()]
}
_DOUBLED = frozenset(
    "defer drop emit log map omit permit pin plug prefer refer ship skip stop strip stub swap trim"
    " unpin wrap".split()
)
_SHORT = frozenset("cut get let put reset run set split".split())


def past(verb: str) -> str:
    """The past tense of a verb of titles."""
    if verb in _PAST:
        return _PAST[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}{verb[-1] if verb in _DOUBLED else ''}ed"


def gerund(verb: str) -> str:
    """The form of a verb of titles that ends in -ing."""
    if verb.endswith("e") and not verb.endswith(("ee", "oe")):
        return f"{verb[:-1]}ing"
    return f"{verb}{verb[-1] if verb in _DOUBLED | _SHORT else ''}ing"


def titles(clone: Path) -> list[str]:
    """The titles of the latest commits that are no merges."""
    command = ["git", "-C", str(clone), "log", "--no-merges", f"-{LATEST}", "--format=%s"]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    return shown.decode("utf-8", "replace").splitlines()


def _begun(found: list[str]) -> Iterator[tuple[Activity, str, str]]:
    """Some titles that begin with a verb: the commit, the verb, and what stands behind it."""
    number = 0
    for title in random.Random(SEED).sample(found, len(found)):
        verb, _, rest = parse(title).text.partition(" ")
        if verb.casefold() in verbs.BARE and len(rest.split()) > 2 and number < EACH:
            number += 1
            at = datetime(2026, 1, 1, tzinfo=UTC)
            key = f"commit:{number:040x}"
            yield Activity(key=key, kind=Kind.COMMIT, at=at, title=title), verb.casefold(), rest


def _within(found: list[str]) -> Iterator[tuple[Activity, str]]:
    """Titles that begin with a verb, and what they say from a word in -ed on."""
    for number, title in enumerate(found, start=1):
        words = parse(title).text.split()
        if words and verbs.is_verb(words[0]):
            at = datetime(2026, 1, 1, tzinfo=UTC)
            commit = Activity(key=f"commit:{number:040x}", kind=Kind.COMMIT, at=at, title=title)
            for index, word in enumerate(words[1:-1], start=1):
                if len(word) > 4 and word.endswith("ed") and word.isalpha() and word.islower():
                    yield commit, " ".join((word.capitalize(), *words[index + 1 :]))


def _fixes(found: list[str]) -> Iterator[tuple[Activity, str, bool]]:
    """Fixes told as an issue: the commit, the sentence, and whether it is right."""
    for number, title in enumerate(found, start=1):
        subject = parse(title)
        verb, _, rest = subject.text.rstrip(".").partition(" ")
        at = datetime(2026, 1, 1, tzinfo=UTC)
        commit = Activity(key=f"commit:{number:040x}", kind=Kind.COMMIT, at=at, title=title)
        if len(rest.split()) < 2:
            continue
        if verb.casefold() == "fix" and rest.partition(" ")[0] not in verbs.BARE:
            if " to " not in rest:
                yield commit, f"Fixed the issue with {rest}.", True
        elif subject.change is Change.FIX and verb.casefold() in verbs.BARE - {"do"}:
            yield commit, f"Fixed the issue of {gerund(verb.casefold())} {rest}.", False


def measure(clones: list[Path]) -> dict[str, int]:
    """Counts of titles, of sentences made of them, and of those that pass."""
    counts: Counter[str] = Counter()
    for clone in clones:
        found = titles(clone)
        counts["titles"] += len(found)
        counts["titles_changed"] += sum(plain.TOKEN.search(one) is not None for one in found)
        for commit, verb, rest in _begun(found):
            own = claims.problems(f"{past(verb).capitalize()} {rest}.", [commit])
            counts["own_verb"] += 1
            counts["own_verb_passed"] += not own
            for other in OTHERS:
                if verbs.same(other.casefold(), verb):
                    continue
                problems = claims.problems(f"{other} {rest}.", [commit])
                counts["other_verb"] += 1
                counts["other_verb_passed"] += not problems
                counts["other_verb_refused_for_it_alone"] += bool(problems) and all(
                    problem.startswith("puts ") for problem in problems
                )
        for commit, text, right in _fixes(found):
            sort = "fault" if right else "remedy_as_fault"
            counts[sort] += 1
            counts[f"{sort}_passed"] += not claims.problems(text, [commit])
        for commit, text in _within(found):
            counts["within"] += 1
            counts["within_passed"] += not claims.problems(f"{text.rstrip('.')}.", [commit])
    return dict(counts)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("clones", nargs="+", type=Path)
    print(json.dumps(measure(options.parse_args().clones), indent=2))


if __name__ == "__main__":
    main()
