"""Why a digest says what it says: each point with the activities that prove it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparky.activity import traits
from sparky.model import Activity, Digest, Point


def explanation(digest: Digest, activities: Mapping[str, Activity]) -> str:
    """The digest's points with their proof and rank, and what no point speaks of.

    Args:
        activities: key → activity, for the cites that are still known.
    """
    return "\n".join(_lines(digest, activities))


def cites(digest: Digest) -> tuple[str, ...]:
    """The keys of all activities that the digest's points cite, each once."""
    return tuple(dict.fromkeys(key for point in digest.points for key in point.cites))


def _lines(digest: Digest, activities: Mapping[str, Activity]) -> Iterator[str]:
    yield digest.headline
    for point in digest.points:
        yield from _point(point, activities)
    omitted = [one for entry in digest.ledger for one in entry.omitted]
    if omitted:
        yield "\nNot spoken of:"
        for omission in omitted:
            yield f"  {short(omission.key)}: {omission.reason}"


def _point(point: Point, activities: Mapping[str, Activity]) -> Iterator[str]:
    yield f"\n{point.text}"
    yield f"  {point.section}, by {point.origin}, significance {point.significance:.2f}"
    for key in point.cites:
        activity = activities.get(key)
        if activity is None:
            yield f"  {short(key)}: not stored any more"
            continue
        found = traits(activity)
        yield f"  {short(key)}: {activity.title}"
        yield f"    significance {found.significance:.2f}: {'; '.join(found.reasons)}"


def short(key: str) -> str:
    """A key with a commit's oid cut to twelve digits."""
    kind, _, oid = key.partition(":")
    return f"{kind} {oid[:12] if kind == 'commit' else oid}"
