"""Real prompts for `bench/saturation.py`: `python bench/prompts.py REPOSITORY… --out FILE`.

Each repository's history since `--since` is read, packed into chunks and put into prompts as a run
does it, of each the first question. Those of all repositories are dealt out in turn, so that any
part of the file is a mix. Writes a JSON list; tokens are taken for three bytes each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky import activity, chunks, redact, rules, summaries
from sparky.errors import BadAnswer
from sparky.model import Activity, Chunk, Traits, Window
from sparky.pipeline import CHUNK_TOKENS
from sparky.ports import Answer, Engine, Prompt
from sparky.source.gitrepo import GitSource

Prompts = Mapping[str, Prompt]
"""A prompt for the key of each chunk."""
SYSTEM = "You are an editor. " * 100
ENGINE = Engine(name="bench", model="bench", context=8192, slots=1)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("repositories", nargs="+", help="folders with git histories")
    options.add_argument("--since", type=date.fromisoformat, default=date(2020, 1, 1))
    options.add_argument("--most", type=int, default=1000, help="prompts in all")
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    since = datetime.combine(given.since, time(), UTC)
    window = Window(since, datetime.now(UTC))
    with tempfile.TemporaryDirectory() as cache:
        source = GitSource(Path(cache))
        piles = [prompts(source, location, window) for location in given.repositories]
        dealt = (p for turn in itertools.zip_longest(*piles) for p in turn if p is not None)
        made = [asdict(prompt) for prompt in itertools.islice(dealt, given.most)]
    given.out.write_text(json.dumps(made) + "\n", encoding="utf-8")
    print(f"{len(made)} prompts")


def prompts(source: GitSource, location: str, window: Window) -> Iterator[Prompt]:
    """The first question about each chunk of a repository's window."""
    found = source.activities(source.identify(location), window)
    happened = activity.arrange([redact.clean(one) for one in found])
    traits = {one.key: activity.traits(one) for one in happened}
    known = {one.key: one for one in happened}
    rest = rules.apply(happened, traits).rest
    for chunk in chunks.pack(rest, traits, budget=CHUNK_TOKENS, count=_count):
        yield from _first(chunk, known, traits)


def read(path: Path, count: int) -> Prompts:
    """The first `count` of a file of prompts; fewer where it has fewer."""
    found = json.loads(path.read_text(encoding="utf-8"))[:count]
    return {f"k{number}": Prompt(**fields) for number, fields in enumerate(found)}


def made_up(count: int) -> Prompts:
    """800 to 2500 tokens each, the same in each run."""
    chance = random.Random(7)
    words = (f"{number}\n" + "word " * chance.randint(240, 1600) for number in range(count))
    return {f"k{number}": Prompt(SYSTEM, text, 512) for number, text in enumerate(words)}


def _first(
    chunk: Chunk, known: Mapping[str, Activity], traits: Mapping[str, Traits]
) -> Iterator[Prompt]:
    asked: list[Prompt] = []

    def ask(prompt: Prompt) -> Answer:
        asked.append(prompt)
        raise BadAnswer("nobody answers here")

    members = {item.key: known[item.key] for item in chunk.items}
    of = {key: traits[key] for key in members}
    summaries.summarize(chunk, members, of, engine=ENGINE, ask=ask)
    yield from asked[:1]


def _count(text: str) -> int:
    return len(text.encode("utf-8", "replace")) // 3 + 1


if __name__ == "__main__":
    main()
