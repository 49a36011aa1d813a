"""The repositories of a topic, by GitHub's search, which shows a thousand results and no more.

What is larger is cut into times of creation, which never change, until each part is small enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from sparky.errors import UsageError
from sparky.selection import Keep, Selection
from sparky.source.githubparse import Node
from sparky.source.githubwire import Said
from sparky.source.lister import Found, Lister, Page, Tell
from sparky.source.queries import LISTED

SHOWN: Final = 1000
"""So many results of a search GitHub shows."""
FIRST: Final = datetime(2007, 1, 1, tzinfo=UTC)
"""No repository on GitHub is older."""
_SECOND: Final = timedelta(seconds=1)
_TOPIC: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")


def check(topic: str) -> None:
    """Raise UsageError unless it can be a topic: nothing else may slip into a search."""
    if not _TOPIC.fullmatch(topic):
        raise UsageError(
            f"{topic!a} is not a topic", remedy="Topics are small letters, digits and dashes"
        )


def queries(topic: str, selection: Selection, *, public: bool) -> tuple[str, ...]:
    """Searches that together find what of a topic may pass the selection, as GitHub can tell.

    Args:
        public: whether what is public is wanted; somebody else may have found it.
    """
    words = [f"topic:{topic}"]
    words += {Keep.EXCLUDE: ["archived:false"], Keep.ONLY: ["archived:true"]}.get(
        selection.archived, []
    )
    # Without a word about them, a search leaves forks out.
    words += {Keep.INCLUDE: ["fork:true"], Keep.ONLY: ["fork:only"]}.get(selection.forks, [])
    if selection.pushed_since is not None:
        words.append(f"pushed:>={_text(selection.pushed_since)}")
    if len(selection.languages) == 1:
        words.append(f'language:"{selection.languages[0].translate(_NO_QUOTES)}"')
    if selection.private is Keep.EXCLUDE:
        sorts = ["is:public"] if public else []
    elif selection.private is Keep.ONLY or not public:
        sorts = ["is:private", "is:internal"]
    else:
        sorts = [""]
    return tuple(" ".join([*words, sort]).strip() for sort in sorts)


def search(found: Found, lister: Lister, query: str, *, until: datetime, tell: Tell) -> None:
    """Keep all that a search finds; what GitHub does not show is told in `found.gaps`."""
    parts = [(FIRST, until.replace(microsecond=0))]
    while parts:
        low, high = parts.pop()
        said = f"{query} created:{_text(low)}..{_text(high)}"
        pages = lister.pages("search", {"query": said}, _results)
        small = low >= high
        seen, total = found.take(pages if small else _unless_large(pages), tell, f"of {query}")
        if seen >= total:
            continue
        if not small and total > LISTED:
            middle = (low + (high - low) / 2).replace(microsecond=0)
            parts += [(middle + _SECOND, high), (low, middle)]
        else:
            found.gaps.append(f"GitHub's search counts {total:,} for {said!r}, shows {seen:,}")


def _unless_large(pages: Iterator[Page]) -> Iterator[Page]:
    """All pages; of what is too large to be shown only the first, for its count."""
    for page in pages:
        yield page
        if page.total > SHOWN:
            return


def _results(said: Said) -> Node:
    found: Node = said.data["search"]
    return found


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_NO_QUOTES: Final = {ord('"'): None, ord("\\"): None}
