"""A farm without an outside: `celery -A bench.instant worker …`.

It is Sparky's own app with its own tasks, but its source and its engine are stand-ins in the same
process that answer at once, so that what is measured is what the farm itself costs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sparky.farm import context
from sparky.farm.app import app
from sparky.farm.context import Context
from sparky.model import Activity, Credit, Kind, Person, Repo, Role, Window
from sparky.ports import Answer, Census, Engine, Prompt
from sparky.settings import Settings

__all__ = ["app"]

COMMITS = 5
"""What happened in each repository."""
GIANT = int(os.environ.get("BENCH_GIANT", "0"))
"""What happened in the one named `giant`."""
DELAY = float(os.environ.get("BENCH_DELAY", "0"))
"""Seconds that the engine takes for an answer."""
_FIRST = re.compile(r"^\[p1\]\n(.*)$", re.MULTILINE)
_VERBS = ("Add", "Speed up", "Document", "Simplify", "Guard")
_THINGS = ("parser", "cache", "request buffer", "window list", "retry queue")


class InstantSource:
    """Repositories in which a few commits have always just happened."""

    def identify(self, location: str) -> Repo:
        return Repo(f"bench:{location}", location, "git", f"/bench/{location}")

    def refresh(self, repo: Repo) -> None: ...

    def census(self, repo: Repo, window: Window) -> Census:
        return Census({Kind.COMMIT: _commits(repo)})

    def activities(self, repo: Repo, window: Window) -> Iterator[Activity]:
        for number in range(_commits(repo)):
            oid = hashlib.sha1(f"{repo.id} {number}".encode(), usedforsecurity=False).hexdigest()
            place = int(oid[:4], 16)
            yield Activity(
                key=f"commit:{oid}",
                kind=Kind.COMMIT,
                at=window.until - timedelta(seconds=10 * (number + 1)),
                title=f"{_VERBS[number % 5]} the {_THINGS[place % 5]} of module {place}",
                body=f"It was asked for by those who work on {repo.name}.",
                credits=(Credit(Person("Ada Byron", "ada@example.org"), Role.AUTHOR),),
                additions=place % 80,
                deletions=place % 20,
            )


def _commits(repo: Repo) -> int:
    return GIANT if repo.name == "giant" else COMMITS


class InstantEngine:
    """An engine that says each activity's title again, which every check passes."""

    _engine = Engine("instant", "instant-1", context=8192, slots=64)

    def engine(self) -> Engine:
        return self._engine

    def count(self, text: str) -> int:
        return len(text) // 4 + 1

    def count_all(self, texts: Sequence[str]) -> list[int]:
        return [self.count(text) for text in texts]

    def complete(self, prompt: Prompt) -> Answer:
        if DELAY:
            time.sleep(DELAY)
        said = self._said(prompt)
        asked = self.count(prompt.system) + self.count(prompt.user)
        text = json.dumps(said)
        return Answer(text, self._engine.model, asked, self.count(text), engine="instant")

    def _said(self, prompt: Prompt) -> dict[str, Any]:
        properties = (prompt.schema or {}).get("properties", {})
        if "points" not in properties:
            first = _FIRST.search(prompt.user)
            return {"text": first[1] if first else "Nothing."}
        entries = [entry["properties"] for entry in properties["points"]["prefixItems"]]
        return {
            "points": [
                {
                    "cites": entry["cites"]["const"],
                    "about": entry["about"]["const"],
                    "text": entry["about"]["const"].partition(" / ")[0],
                }
                for entry in entries
            ]
        }

    def forget(self) -> None: ...

    def close(self) -> None: ...


def _instant(settings: Settings) -> Context:
    return replace(context.of(settings), source=InstantSource(), backend=InstantEngine())


context.made_by(_instant)
