"""Which repositories there are on GitHub: those of an account, of a topic, of some ids or names.

Each credential may see others, so each is asked, and what they see is put together. What could not
be had is told in `gaps` and never left out silently.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, TypeVar

from sparky.errors import SourceError, SparkyError, Throttled, Transient, UsageError
from sparky.facts import Listed, Missing
from sparky.selection import Selection
from sparky.source import queries, topics
from sparky.source.credentials import Credential
from sparky.source.githubparse import Node
from sparky.source.githubwire import Said, Wire
from sparky.source.lister import Found, Lister, Pause, Tell
from sparky.source.listing import listed, missing
from sparky.source.location import Remote, understand

Kind = Literal["Organization", "User"]
Name = tuple[str, str]
"""Owner and name."""
K = TypeVar("K", str, Name)

_LOGIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Directory:
    """Errors: SourceError, UsageError, Throttled, Transient.

    Args:
        wire: the way to GitHub.
        clock: the time in UTC.
        root: where its web pages are, such as `https://github.com`.
        pause: waits before another attempt.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        clock: Callable[[], datetime],
        root: str = "https://github.com",
        pause: Pause = time.sleep,
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._root = root
        self._pause = pause

    def close(self) -> None:
        self._wire.close()

    # lists

    def account(self, login: str, kind: Kind, tell: Tell) -> Found:
        """All repositories that an account owns, as far as the credentials see them."""
        if not _LOGIN.fullmatch(login):
            raise UsageError(f"{login!a} is not the name of an account on GitHub")

        def take(found: Found, who: Credential, *, public: bool) -> None:
            variables = {"login": login, "privacy": None if public else "PRIVATE"}
            pages = self._lister(who).pages("owned", variables, partial(_owned, login, kind))
            seen, total = found.take(pages, tell, f"of {login}")
            if seen < total:
                found.gaps.append(
                    f"GitHub counts {total:,} repositories of {login}, shows {seen:,}"
                )

        return self._together(self._wire.keyring.for_owner(login), take)

    def topic(self, topic: str, selection: Selection, tell: Tell) -> Found:
        """The repositories of a topic that may pass the selection; others are not asked for.

        GitHub's search shows a thousand results at most, so larger ones are cut into times of
        creation until each is small enough.
        """
        topics.check(topic)

        def take(found: Found, who: Credential, *, public: bool) -> None:
            for query in topics.queries(topic, selection, public=public):
                topics.search(found, self._lister(who), query, until=self._clock(), tell=tell)

        return self._together(self._wire.keyring.everybody(), take)

    # lookups

    def of_ids(self, ids: Sequence[str], owner: str = "") -> dict[str, Listed | Missing]:
        """What ids lead to, wherever the repositories are now; left out: nobody can say now.

        Args:
            owner: the account whose credentials are asked first.
        """

        def ask(lister: Lister, part: Sequence[str]) -> Iterator[tuple[str, Listed | Missing]]:
            for some, said in lister.in_parts("listed", part, lambda some: {"ids": list(some)}):
                wrong = _at(said, 1)
                for place, (key, node) in enumerate(zip(some, said.data["nodes"], strict=True)):
                    if one := _what(node, wrong.get(place, ())):
                        yield key, one

        first = self._wire.keyring.for_owner(owner)
        rest = [who for who in self._wire.keyring.everybody() if who not in first]
        return self._found(list(dict.fromkeys(ids)), (*first, *rest), queries.LISTED, ask)

    def of_names(self, names: Sequence[Name]) -> dict[Name, Listed | Missing]:
        """What names lead to, former ones as well; left out: nobody can say now."""

        def ask(lister: Lister, part: Sequence[Name]) -> Iterator[tuple[Name, Listed | Missing]]:
            for some, said in lister.in_parts("named", part, _slots):
                wrong = _at(said, 0)
                for slot, key in enumerate(some):
                    at = f"at{slot}"
                    if one := _what(said.data.get(at), wrong.get(at, ())):
                        yield key, one

        # Names that the same credentials may see are asked for together.
        together: dict[tuple[Credential, ...], list[Name]] = {}
        for key in dict.fromkeys(names):
            together.setdefault(self._wire.keyring.for_owner(key[0]), []).append(key)
        found: dict[Name, Listed | Missing] = {}
        for credentials, some in together.items():
            found |= self._found(some, credentials, queries.NAMED, ask)
        return found

    def name_of(self, location: str) -> Name | None:
        """Owner and name, if the location is one of GitHub's. Raises SourceError if it is none."""
        path = ""
        if location.startswith(f"{self._root}/"):
            path = location.removeprefix(f"{self._root}/").removesuffix(".git")
        else:
            place = understand(location)
            host = self._root.partition("://")[2].partition(":")[0]
            if isinstance(place, Remote) and place.host == host:
                path = place.path
        owner, slash, name = path.strip("/").partition("/")
        return (owner, name) if slash and name and "/" not in name else None

    # one after another

    def _lister(self, who: Credential) -> Lister:
        return Lister(self._wire, who, pause=self._pause)

    def _together(self, credentials: Sequence[Credential], take: Callable[..., None]) -> Found:
        """What all credentials see; what is public once that one has seen all of it."""
        found, public, failed = Found(), True, list[tuple[Credential, SparkyError]]()
        for who in credentials:
            try:
                take(found, who, public=public)
                public = False
            except (SourceError, Throttled, Transient) as error:
                failed.append((who, error))
        if public and not found.listed and failed:
            raise failed[0][1]
        found.gaps += [f"{who.label} saw less: {error.message}" for who, error in failed]
        found.gaps = list(dict.fromkeys(found.gaps))
        return found

    def _found(
        self,
        keys: Sequence[K],
        credentials: Sequence[Credential],
        most: int,
        ask: Callable[[Lister, Sequence[K]], Iterator[tuple[K, Listed | Missing]]],
    ) -> dict[K, Listed | Missing]:
        """Ask credential after credential, until each key has led to something."""
        found: dict[K, Listed | Missing] = {}
        left, failed, heard = list(keys), list[SparkyError](), False
        for who in credentials:
            if not left:
                break
            try:
                for start in range(0, len(left), most):
                    for key, one in ask(self._lister(who), left[start : start + most]):
                        # What one may not read, another may.
                        if isinstance(one, Listed) or key not in found:
                            found[key] = one
                heard = True
            except (SourceError, Throttled, Transient) as error:
                failed.append(error)
            left = [key for key in left if not isinstance(found.get(key), Listed)]
        if failed and not heard:
            raise failed[0]
        if failed:
            # Somebody who might have seen them was not heard.
            found = {key: one for key, one in found.items() if isinstance(one, Listed)}
        return found


def _owned(login: str, kind: Kind, said: Said) -> Node:
    """The list of an account's repositories in an answer."""
    owner = said.data.get("repositoryOwner")
    if not owner and said.errors:
        raise SourceError(
            f"GitHub does not show {login}: {said.errors[0].get('message', '')}",
            remedy="docs/github.md tells what a credential needs",
        )
    if not owner:
        raise SourceError(f"there is no account {login} on GitHub", remedy="Check its spelling")
    if owner["__typename"] != kind:
        found, option = ("a user", "user") if kind == "Organization" else ("an organization", "org")
        raise UsageError(f"{login} is {found}", remedy=f"Use --{option} {login}")
    if not owner.get("repositories"):
        why = said.errors[0].get("message", "") if said.errors else "it does not say why"
        raise SourceError(f"GitHub does not show the repositories of {login}: {why}")
    found_list: Node = owner["repositories"]
    return found_list


def _slots(names: Sequence[Name]) -> dict[str, Any]:
    """Names in all slots of the query: the last one fills up what is free."""
    filled = [*names, *[names[-1]] * (queries.NAMED - len(names))]
    return {
        f"{what}{slot}": word
        for slot, name in enumerate(filled)
        for what, word in zip(("owner", "name"), name, strict=True)
    }


def _at(said: Said, depth: int) -> Mapping[Any, list[Mapping[str, Any]]]:
    """Errors by the place in which they stand, at a depth of their path."""
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for error in said.errors:
        path: Sequence[Any] = error.get("path") or ()
        if len(path) > depth:
            found.setdefault(path[depth], []).append(error)
    return found


def _what(node: Node | None, errors: Sequence[Mapping[str, Any]]) -> Listed | Missing | None:
    """What stands in a place; None: GitHub stumbled over it."""
    return listed(node) if node else missing(errors)
