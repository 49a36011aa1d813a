"""How well the check of claims tells true sentences from false ones on commits that it never saw.

    python -m bench.quality.claims --clones FOLDER [--shown]

Reads `claims.toml` and the commits that it names from bare clones called `owner__name.git`. Precision:
of the sentences that pass, the share that is true. Recall: of the true ones, the share that passes.
"""

from __future__ import annotations

import argparse
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from sparky import claims
from sparky.model import Activity, Window
from sparky.source.gitrepo import GitSource

DATA = Path(__file__).parent / "claims.toml"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A labelled sentence, and why the check refuses it."""

    commit: str
    text: str
    true: bool
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.problems


def verdicts(clones: Path) -> Iterator[Verdict]:
    """What the check says of each labelled sentence."""
    for case in tomllib.loads(DATA.read_text(encoding="utf-8"))["commit"]:
        clone = clones / f"{case['repository'].replace('/', '__')}.git"
        activity = commit(clone, case["oid"])
        for label in ("true", "false"):
            for text in case[label]:
                yield Verdict(case["oid"], text, label == "true", claims.problems(text, [activity]))


def commit(clone: Path, oid: str) -> Activity:
    """A commit as Sparky's own source reads it."""
    command = ["git", "-C", str(clone), "show", "-s", "--format=%cI", oid, "--"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True)
    at = datetime.fromisoformat(shown.stdout.strip())
    source = GitSource(clone)
    window = Window(at, at + timedelta(seconds=1))
    found = source.activities(source.identify(str(clone)), window)
    return next(one for one in found if one.oid.startswith(oid))


@dataclass(frozen=True, slots=True)
class Figures:
    """How many sentences of each label there are, and how many of them pass."""

    true: int
    true_passed: int
    false: int
    false_passed: int

    @property
    def precision(self) -> float:
        return self.true_passed / max(1, self.true_passed + self.false_passed)

    @property
    def recall(self) -> float:
        return self.true_passed / max(1, self.true)

    @property
    def caught(self) -> float:
        """The share of the false sentences that is refused."""
        return 1 - self.false_passed / max(1, self.false)


def figures(found: Iterable[Verdict]) -> Figures:
    """Verdicts, counted."""
    counts = Counter((one.true, one.passed) for one in found)
    return Figures(
        true=counts[True, True] + counts[True, False],
        true_passed=counts[True, True],
        false=counts[False, True] + counts[False, False],
        false_passed=counts[False, True],
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--clones", type=Path, required=True)
    options.add_argument("--shown", action="store_true", help="print what was judged wrongly")
    given = options.parse_args()
    found = list(verdicts(given.clones))
    made = figures(found)
    console = Console(highlight=False)
    console.print(
        f"{made.true} true sentences, {made.true_passed} pass; {made.false} false ones,"
        f" {made.false_passed} pass: precision {made.precision:.2f}, recall {made.recall:.2f},"
        f" {made.caught:.0%} of the false ones caught"
    )
    for one in found if given.shown else ():
        if one.true is not one.passed:
            why = "; ".join(one.problems) or "passes"
            console.print(f"{one.true!s:5} {one.commit} {one.text}  — {why}", markup=False)


if __name__ == "__main__":
    main()
