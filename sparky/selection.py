"""Which of the repositories that there are somebody wants. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase

from sparky.facts import Facts, Listed


class Keep(StrEnum):
    """What is to become of repositories of a sort."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    ONLY = "only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters; a repository must pass all of them."""

    archived: Keep = Keep.INCLUDE
    forks: Keep = Keep.INCLUDE
    private: Keep = Keep.INCLUDE
    pushed_since: datetime | None = None
    languages: tuple[str, ...] = ()
    """Main languages, in any case; none: all."""
    names: tuple[str, ...] = ()
    """Patterns such as `api-*` for the name, `acme/api-*` with the owner; none: all."""
    but_not: tuple[str, ...] = ()
    """Patterns of those that are not wanted."""
    at_least: int = 0
    """Bytes, by the forge's count."""
    at_most: int | None = None

    def refuses(self, one: Listed) -> str:
        """Why it is not wanted, in a word or two; empty if it is."""
        facts = one.facts or Facts()
        sorts = (
            (self.archived, facts.archived, "archived"),
            (self.forks, facts.fork, "a fork"),
            (self.private, facts.private, "private"),
        )
        for keep, holds, word in sorts:
            if keep is Keep.EXCLUDE and holds:
                return word
            if keep is Keep.ONLY and not holds:
                return f"not {word}"
        if self.pushed_since and (facts.pushed_at is None or facts.pushed_at < self.pushed_since):
            return "not pushed to since"
        if self.languages and not _among(facts.language, self.languages):
            return "in another language"
        if self.names and not _fits(one.repo.name, self.names):
            return "named otherwise"
        if _fits(one.repo.name, self.but_not):
            return "excluded by name"
        if facts.bytes < self.at_least:
            return "too small"
        return "too large" if self.at_most is not None and facts.bytes > self.at_most else ""


def _among(word: str, words: tuple[str, ...]) -> bool:
    return word.casefold() in {one.casefold() for one in words}


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    """A pattern with a slash is for owner and name, another one for the name alone."""
    whole = name.casefold()
    bare = whole.rpartition("/")[2]
    return any(fnmatchcase(whole if "/" in p else bare, p.casefold()) for p in patterns)
