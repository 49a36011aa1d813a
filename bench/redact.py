"""Measures redaction: recall on planted secrets, speed and marks on real commit messages.

    python bench/redact.py REPOSITORY… [--shown 20]

Prints one JSON object; with --shown also lines that were changed, to judge false alarms by eye.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky.redact import redact, rules
from tests import planted
from tests.planted import Planted

SEED = 7


def recall(texts: Iterable[Planted]) -> dict[str, float]:
    """How many planted secrets there were, and the share of them that is gone."""
    gone = [text.secret not in redact(text.text)[0] for text in texts]
    return {"planted": len(gone), "recall": round(sum(gone) / len(gone), 5)}


def messages(repository: Path) -> list[str]:
    """Every commit message that the repository's refs reach."""
    command = ["git", "-C", str(repository), "log", "--all", "--format=%B%x00"]
    log = subprocess.run(command, check=True, capture_output=True).stdout
    return [message.strip() for message in log.decode("utf-8", "replace").split("\0")]


def changed(before: str, after: str) -> Iterator[str]:
    """The lines of a message that redaction changed, as far as it kept their number."""
    for old, new in zip(before.splitlines(), after.splitlines(), strict=False):
        if old != new:
            yield new.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repositories", nargs="*", type=Path)
    parser.add_argument("--shown", type=int, default=0)
    given = parser.parse_args()
    result: dict[str, object] = {
        "rules": len(rules()),
        "from_rules": recall(planted.from_rules(rules(), each=50, seed=SEED)),
        "from_vendors": recall(planted.from_vendors(each=200, seed=SEED)),
    }
    texts = [text for repository in given.repositories for text in messages(repository)]
    if texts:
        start = time.process_time()
        cleaned = [redact(text) for text in texts]
        seconds = time.process_time() - start
        marks = Counter(
            mark
            for after, count in cleaned
            if count
            for mark in re.findall(r"\[redacted:([a-z0-9-]+)\]", after)
        )
        result["messages"] = {
            "count": len(texts),
            "characters": sum(map(len, texts)),
            "seconds": round(seconds, 2),
            "seconds_per_10000": round(seconds / len(texts) * 10_000, 3),
            "changed": sum(1 for _, count in cleaned if count),
            "marks": dict(marks.most_common()),
        }
        pairs = ((old, new) for old, (new, count) in zip(texts, cleaned, strict=True) if count)
        lines = [line for old, new in pairs for line in changed(old, new)]
        for line in lines[: given.shown]:
            print(line[:200], file=sys.stderr)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
