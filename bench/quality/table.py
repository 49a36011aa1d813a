"""The stored results, and the table that compares engines and prompts by them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from bench.quality.score import Score

RESULTS = Path(__file__).parent / "results.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One window with one engine and one version of the prompts."""

    engine: str
    model: str
    prompt: str
    window: str
    date: str
    score: Score

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.engine, self.model, self.prompt, self.window)


def load(path: Path = RESULTS) -> list[Row]:
    """All stored rows."""
    if not path.exists():
        return []
    raw = json.loads(path.read_text(encoding="utf-8"))
    return [Row(**(row | {"score": Score(**row["score"])})) for row in raw]


def store(rows: Iterable[Row], path: Path = RESULTS) -> None:
    """Add rows; one of the same engine, model, prompt and window takes the older one's place."""
    kept = {row.key: row for row in (*load(path), *rows)}
    lines = [json.dumps(asdict(kept[key])) for key in sorted(kept)]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


Maker = tuple[str, str]
"""A model and a version of the prompts."""


def together(rows: Sequence[Row]) -> tuple[dict[Maker, Score], tuple[str, ...]]:
    """The scores of each model and prompt over the windows that all of them have, and which."""
    by: dict[Maker, dict[str, Score]] = {}
    for row in rows:
        by.setdefault((row.model, row.prompt), {})[row.window] = row.score
    common = set.intersection(*(set(windows) for windows in by.values())) if by else set()
    sums = {
        maker: sum((windows[name] for name in common), Score()) for maker, windows in by.items()
    }
    return sums, tuple(sorted(common))


def table(sums: dict[Maker, Score]) -> Table:
    """A column for each model and prompt."""
    makers = sorted(sums)
    made = Table("", *(f"{model}\n{prompt}" for model, prompt in makers), box=None)
    for column in made.columns[1:]:
        column.justify = "right"
    for name, figure in FIGURES.items():
        made.add_row(name, *(figure(sums[maker]) for maker in makers))
    return made


def share(part: int, whole: int) -> str:
    """`12 (80 %)`."""
    return f"{part} ({100 * part / whole:.0f} %)" if whole else "–"


def _speed(one: Score) -> str:
    return f"{one.completion_tokens / one.seconds:.1f}" if one.calls and one.seconds else "–"


FIGURES: dict[str, Callable[[Score], str]] = {
    "entries of the changelog": lambda one: str(one.entries),
    "… cited by a point": lambda one: share(one.cited, one.entries),
    "… in the messages": lambda one: share(one.tellable, one.entries) if one.tellable else "–",
    "… told by a point": lambda one: share(one.told, one.entries),
    "points asked for": lambda one: str(one.asked),
    "… passed at first": lambda one: share(one.first, one.asked),
    "… passed after the repair": lambda one: share(one.repaired, one.asked),
    "… told by the title": lambda one: share(one.extractive, one.asked),
    "points of the digests": lambda one: str(one.points),
    "words of the digests": lambda one: str(one.words),
    "false claims, second look": lambda one: str(one.false),
    "calls": lambda one: str(one.calls),
    "prompt tokens": lambda one: f"{one.prompt_tokens:,}",
    "completion tokens": lambda one: f"{one.completion_tokens:,}",
    "completion tokens/s": _speed,
}
"""What the table says, by name."""
