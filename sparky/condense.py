"""More points than a reader can take become fewer: neighbours are told together, round by round.

The most significant points stay as they are. Of the others, those of one section and directory are
put together in batches, the least significant first, and only as many as must be: in the first
round of narrow directories, then of wider ones, in the end of whatever is left. Every step makes
fewer points, so it ends, and no cite is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sparky import paths
from sparky.merging import ranked, united
from sparky.model import Activity, Origin, Point, Section

BATCH = 8
"""Points that are told together at most."""
NAMED = 3
"""Points that a line made by rule quotes."""
_QUOTE = 80
"""Characters of a quoted point."""

_GRAVE = frozenset({Section.BREAKING, Section.SECURITY})
"""Sections that a point keeps, whatever it is told together with."""

Say = Callable[[Sequence[str], Sequence[Activity]], str | None]
"""One sentence for some texts, that holds for the activities; None if there is none."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A point on its way: what it says without its count."""

    point: Point
    core: str

    @property
    def changes(self) -> int:
        return len(self.point.cites)


Each = Callable[[Callable[[list["_Node"]], "_Node"], list[list["_Node"]]], Iterable["_Node"]]
"""`map`, or what does the same for several at a time."""


def condense(
    points: Sequence[Point],
    activities: Mapping[str, Activity],
    *,
    most: int,
    say: Say,
    each: Each = map,
) -> list[Point]:
    """At most `most` points (at least 1) in rank, with the cites of all of them.

    What is told together in a round does not depend on what is said of it, so `each` may ask side
    by side.
    """
    nodes = {point: _Node(point, point.text) for point in points}
    for level in (2, 1, 0, None):
        while len(nodes) > most:
            left, round_ = len(nodes), []
            for batch in _batches(list(nodes), most, level, activities):
                if left <= most:
                    break
                # No more than is needed to come down to `most`.
                batch = batch[-(left - most + 1) :]
                round_.append([nodes.pop(point) for point in batch])
                left -= len(batch) - 1
            if not round_:
                break
            for made in each(lambda batch: _told(batch, activities, say), round_):
                nodes[made.point] = made
    return ranked(nodes)


def _batches(
    points: Sequence[Point], most: int, level: int | None, activities: Mapping[str, Activity]
) -> Iterator[list[Point]]:
    """Neighbours among all but the most significant, the least significant neighbours first."""
    groups: dict[tuple[str, ...], list[Point]] = {}
    for point in ranked(points)[most // 2 :]:
        place = () if level is None else (point.section, _place([point], level, activities))
        groups.setdefault(place, []).append(point)
    for group in sorted(groups.values(), key=lambda g: (g[0].significance, g[0].text, g[0].cites)):
        for start in range(0, len(group), BATCH):
            if len(batch := group[start : start + BATCH]) > 1:
                yield batch


def _place(points: Sequence[Point], level: int, activities: Mapping[str, Activity]) -> str:
    """The directory that all files of all points are in, at most `level` deep; "" is the root."""
    files = (file.path for p in points for key in p.cites for file in activities[key].files)
    return paths.directory(files, levels=level)


def _told(nodes: Sequence[_Node], activities: Mapping[str, Activity], say: Say) -> _Node:
    """Some nodes as one: the engine's sentence, or the first of them quoted."""
    members = [node.point for node in nodes]
    union = united("", Origin.RULE, members)
    cited = [activities[key] for key in union.cites]
    said = say([node.core for node in nodes], cited)
    core = said or _quoted(nodes)
    where = _place(members, 2, activities)
    head = f"{len(cited)} changes{f' in {where}' if where else ''}"
    mixed = len({point.section for point in members}) > 1 and union.section not in _GRAVE
    point = Point(
        text=f"{head}: {_inner(core)}",
        section=Section.OTHER if mixed else union.section,
        cites=union.cites,
        origin=Origin.ENGINE if said or _engines(nodes[:NAMED]) else Origin.RULE,
        significance=union.significance,
    )
    return _Node(point, core)


def _engines(nodes: Sequence[_Node]) -> bool:
    """Whether a line that quotes them holds words of an engine."""
    return any(node.point.origin is Origin.ENGINE for node in nodes)


def _quoted(nodes: Sequence[_Node]) -> str:
    quotes = [_short(node.core.rstrip(".")) for node in nodes[:NAMED]]
    more = sum(node.changes for node in nodes[NAMED:])
    return "; ".join(quotes) + (f" and {more} more" if more else "")


def _short(text: str) -> str:
    return text if len(text) <= _QUOTE else text[:_QUOTE].rpartition(" ")[0].rstrip(" ,;:") + " …"


def _inner(text: str) -> str:
    """A sentence as it goes on after a colon."""
    first = text.partition(" ")[0]
    return text[:1].lower() + text[1:] if first.isalpha() and first[1:].islower() else text
