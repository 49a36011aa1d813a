"""Lists inside an item, read to their end: nothing is cut silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sparky.model import Kind
from sparky.source.githubparse import Node
from sparky.source.githubwire import Said, Wire

LISTS: Final = {
    Kind.COMMIT: ("parents", "associatedPullRequests"),
    Kind.PULL_REQUEST: ("labels", "closingIssuesReferences", "reviews"),
    Kind.ISSUE: ("labels",),
    Kind.RELEASE: (),
}
_ALL: Final = sorted({name for names in LISTS.values() for name in names})


class Nested:
    """Completes the items of one answer, a point for each page that is missing.

    Args:
        wire: the way to GitHub.
        owner: whose repository it is.
        said: the answer that the items stand in.
    """

    def __init__(self, wire: Wire, owner: str, said: Said) -> None:
        self._wire = wire
        self._owner = owner
        self._failed = bool(said.errors)

    def whole(self, kind: Kind, node: Node) -> Node | None:
        """The item with all of its lists; None where GitHub fails on one of them."""
        lists: dict[str, Any] = {}
        for name in LISTS[kind]:
            first = node[name]
            if first is None and not self._failed:
                continue  # a repository that has no labels at all
            broken = first is None or None in first["nodes"]
            if not broken and not first["pageInfo"]["hasNextPage"]:
                continue
            nodes = [] if broken else list(first["nodes"])
            after = None if broken else first["pageInfo"]["endCursor"]
            for page in self._pages(node["id"], name, after):
                if page is None or None in page:
                    return None
                nodes += page
            lists[name] = {"nodes": nodes}
        return {**node, **lists} if lists else node

    def _pages(self, item: str, name: str, after: str | None) -> Iterator[list[Any] | None]:
        more = True
        while more:
            variables: Mapping[str, Any] = {
                "id": item,
                **{one: one == name for one in _ALL},
                f"{name}After": after,
            }
            said = self._wire.ask("rest", variables, points=1, owner=self._owner)
            page = (said.data.get("node") or {}).get(name)
            if page is None:
                yield None
                return
            yield page["nodes"]
            more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
