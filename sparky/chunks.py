"""Activities as an engine will read them, packed into chunks that stay the same when they can.

Groups of one subject are sorted so that neighbouring directories meet. Where they do not fit into
one chunk together, they are parted at the boundary whose subject has the lowest hash, and each side
again, until every part fits. So a boundary depends on the subjects, not on how full the chunks
before it are, and a late activity moves few of them. Filling chunks one after the other would make
them fuller, and every change would move all boundaries behind it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sparky import paths, plain
from sparky.errors import ContextExceeded
from sparky.model import Activity, Chunk, FileChange, Item, Kind, Traits
from sparky.paths import Sort

WRAPPING = 12
"""Tokens an item costs beside its text: its id, its fence, the line between."""

_PATHS = 6
_LABELS = 8


def describe(activity: Activity, traits: Traits | None = None) -> str:
    """What an engine sees of an activity: facts, without ids, in as few lines as they need.

    Of the traits only a breaking change is told: the kind of change is guessed from the same words
    that the engine reads, and a wrong guess would come back as a statement.
    """
    said = [activity.kind.replace("_", " ")]
    said += [plain.line(activity.state)] if activity.state else []
    said += ["breaking change"] if traits and traits.breaking else []
    title = plain.line(activity.title)
    parts = [", ".join(dict.fromkeys(said)), title, plain.body(activity.body)]
    if activity.labels:
        labels = ", ".join(plain.line(label, most=50) for label in activity.labels[:_LABELS])
        parts.append(f"labels: {labels}")
    if activity.files_total or activity.files:
        parts.append(_files(activity))
    return "\n".join(part for part in parts if part)


def _files(activity: Activity) -> str:
    total = max(activity.files_total, len(activity.files))
    heaviest = sorted(activity.files, key=lambda file: (-paths.lines(file), file.path))[:_PATHS]
    lines = [f"files: {total} (+{activity.additions} -{activity.deletions})"]
    lines += [f"  {_file(file)}" for file in heaviest]
    if total > len(heaviest):
        lines.append(f"  and {total - len(heaviest)} more")
    return "\n".join(lines)


def _file(file: FileChange) -> str:
    path = plain.line(file.path, most=120)
    if file.renamed_from:
        path = f"{path} (was {plain.line(file.renamed_from, most=120)})"
    if file.additions is None or file.deletions is None:
        return f"{path} binary"
    return f"{path} +{file.additions} -{file.deletions}"


def subject(activity: Activity) -> str:
    """What an activity is grouped by: its pull request, else the directory of its files, else kind.

    The directory is the deepest common one, at most two levels, of the code it touches, or of all
    files where it touches no code; `dir:.` is the root.
    """
    if activity.kind is Kind.PULL_REQUEST:
        return activity.key
    named = (key for key in activity.references if key.startswith(f"{Kind.PULL_REQUEST}:"))
    return next(named, None) or _place(activity)


def _place(activity: Activity) -> str:
    touched = [file.path for file in activity.files]
    code = [path for path in touched if paths.sort(path) is Sort.CODE]
    if touched:
        return f"dir:{paths.directory(code or touched) or '.'}"
    return activity.kind.value


@dataclass(frozen=True, slots=True)
class _Unit:
    """What stays together: a group of one subject, or a part of one that is too large."""

    order: tuple[str, str, int]
    """Where it stands: place, subject, number of the part."""
    items: tuple[Item, ...]
    tokens: int
    lot: str
    """Which boundary is taken first: the lowest. It depends on nothing but the order."""


def _unit(place: str, subject: str, part: int, items: Sequence[Item], tokens: int) -> _Unit:
    order = (place, subject, part)
    return _Unit(order, tuple(items), tokens, hashlib.sha256(repr(order).encode()).hexdigest())


def pack(
    activities: Sequence[Activity],
    traits: Mapping[str, Traits],
    *,
    budget: int,
    count: Callable[[str], int],
    most: int = 16,
) -> tuple[Chunk, ...]:
    """Pack all activities, each once, into chunks of at most `budget` tokens and `most` items.

    The same activities give the same chunks, in whatever order they come. `count` (tokens of a
    text) is asked once for each activity; again only where one alone is too long and is cut.
    Raises ContextExceeded if the budget is too small for any text.
    """
    arranged = sorted(activities, key=lambda one: (one.at, one.key))
    sized = {one.key: _item(one, traits.get(one.key), budget, count) for one in arranged}
    units = [
        unit
        for order, group in sorted(_groups(arranged).items())
        for unit in _units(order, [sized[one.key] for one in group], budget, most)
    ]
    return tuple(_chunk(part) for part in _parted(units, budget, most))


def unchanged(
    earlier: Sequence[Chunk],
    activities: Sequence[Activity],
    traits: Mapping[str, Traits],
    *,
    budget: int,
    count: Callable[[str], int],
) -> tuple[Chunk, ...]:
    """Those of the chunks that say what these activities say now, and fit into the budget.

    Another engine counts otherwise and would part the same activities at other places: what was
    said of the old parts would be lost for no reason.
    """
    texts = {one.key: describe(one, traits.get(one.key)) for one in activities}
    return tuple(
        chunk
        for chunk in earlier
        if all(texts.get(item.key) == item.text for item in chunk.items)
        and sum(count(item.text) + WRAPPING for item in chunk.items) <= budget
    )


def _groups(arranged: Sequence[Activity]) -> dict[tuple[str, str], list[Activity]]:
    """Activities by (place, subject). A pull request that only one names is no group of its own."""
    shared = Counter(map(subject, arranged))
    members: dict[str, list[Activity]] = {}
    for one in arranged:
        name = subject(one)
        members.setdefault(name if shared[name] > 1 else _place(one), []).append(one)
    return {(_place(group[0]), name): group for name, group in members.items()}


def _item(
    activity: Activity, traits: Traits | None, budget: int, count: Callable[[str], int]
) -> tuple[Item, int]:
    """An activity's item, cut if it must be, and its tokens with the wrapping."""
    text = describe(activity, traits)
    room = budget - WRAPPING
    tokens = count(text)
    short = text
    while tokens > room:
        # Tokens are spread unevenly over a text: aim a little below, and go on until it fits.
        shorter = plain.shorten(text, min(len(short) - 1, len(short) * room * 9 // (tokens * 10)))
        if room <= 0 or len(shorter) >= len(short):
            raise ContextExceeded(
                f"a budget of {budget} tokens is too small for one activity",
                remedy="Serve the model with a longer context",
            )
        short, tokens = shorter, count(shorter)
    return Item(id="", key=activity.key, text=short, cut=short != text), tokens + WRAPPING


def _units(
    order: tuple[str, str], group: Iterable[tuple[Item, int]], budget: int, most: int
) -> list[_Unit]:
    """The group whole, or, where it must be, in full parts by time and a last one."""
    units: list[_Unit] = []
    items: list[Item] = []
    tokens = 0
    for item, size in group:
        if items and (tokens + size > budget or len(items) == most):
            units.append(_unit(*order, len(units), items, tokens))
            items, tokens = [], 0
        items.append(item)
        tokens += size
    return [*units, _unit(*order, len(units), items, tokens)]


def _parted(units: Sequence[_Unit], budget: int, most: int) -> list[Sequence[_Unit]]:
    if not units:
        return []
    tokens = sum(unit.tokens for unit in units)
    items = sum(len(unit.items) for unit in units)
    if len(units) == 1 or (tokens <= budget and items <= most):
        return [units]
    at = min(range(1, len(units)), key=lambda index: units[index].lot)
    return [*_parted(units[:at], budget, most), *_parted(units[at:], budget, most)]


def _chunk(units: Sequence[_Unit]) -> Chunk:
    members = [item for unit in units for item in unit.items]
    items = tuple(replace(item, id=f"a{index}") for index, item in enumerate(members, start=1))
    content = json.dumps([[item.key, item.text] for item in items])
    names = list(dict.fromkeys(unit.order[1] for unit in units))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return Chunk(
        key=hashlib.sha256(content.encode()).hexdigest(),
        subject=", ".join(names[:3]) + more,
        items=items,
        tokens=sum(unit.tokens for unit in units),
    )
