"""Points that say the same become one, with the union of their cites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sparky import claims
from sparky.model import Activity, Kind, Origin, Point, Section

SAME = 0.8
"""Share of telling words from which two texts say the same."""
NEAR = 0.6
"""The same for two texts about one pull request."""

_ORIGINS = (Origin.ENGINE, Origin.RULE, Origin.EXTRACTIVE)
_SECTIONS = tuple(Section)


def ranked(points: Iterable[Point]) -> list[Point]:
    """The most significant first; ties in the order of sections, then of text and cites."""
    return sorted(
        points, key=lambda p: (-p.significance, _SECTIONS.index(p.section), p.text, p.cites)
    )


def united(text: str, origin: Origin, points: Sequence[Point]) -> Point:
    """One point for several: all their cites, the first of their sections, the highest weight."""
    return Point(
        text=text,
        section=min((point.section for point in points), key=_SECTIONS.index),
        cites=tuple(dict.fromkeys(key for point in points for key in point.cites)),
        origin=origin,
        significance=max(point.significance for point in points),
    )


def merge_same(points: Iterable[Point], activities: Mapping[str, Activity]) -> list[Point]:
    """Points in rank, those that say the same as one. Every cite is kept."""
    kept: list[Point] = []
    words: list[frozenset[str]] = []
    holding: dict[str, list[int]] = defaultdict(list)
    for point in ranked(points):
        said = claims.telling(point.text)
        shared = Counter(index for word in said for index in holding[word])
        for index, number in shared.most_common(8):
            if _same(point, kept[index], number / len(said | words[index]), activities):
                both = _better(kept[index], point, activities)
                if both is not None:
                    kept[index] = both
                    break
        else:
            for word in said:
                holding[word].append(len(kept))
            kept.append(point)
            words.append(said)
    return ranked(kept)


def _same(one: Point, other: Point, alike: float, activities: Mapping[str, Activity]) -> bool:
    if one.section is not other.section or claims.figures(one.text) != claims.figures(other.text):
        return False
    request = _requests(one, activities) & _requests(other, activities)
    return alike >= (NEAR if request else SAME)


def _requests(point: Point, activities: Mapping[str, Activity]) -> set[str]:
    keys = {key for cite in point.cites for key in (cite, *activities[cite].references)}
    return {key for key in keys if key.startswith(f"{Kind.PULL_REQUEST}:")}


def _better(one: Point, other: Point, activities: Mapping[str, Activity]) -> Point | None:
    """Both in one: the text of the better origin that holds for all that is cited, if any does."""
    cited = [activities[key] for key in dict.fromkeys((*one.cites, *other.cites))]
    for point in sorted((one, other), key=lambda p: _ORIGINS.index(p.origin)):
        if point.origin is not Origin.ENGINE or not claims.problems(point.text, cited):
            return united(point.text, point.origin, [one, other])
    return None
