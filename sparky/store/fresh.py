"""A store for one run that asks the engine again, and replaces what was answered before.

Without it, nothing that was made before is made again because a prompt, a model or Sparky is newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.model import Chunk, Digest, Summary, Window
from sparky.ports import Answer, Brief
from sparky.store import tables as t
from sparky.store.calls import Calls, Row
from sparky.store.codec import dump
from sparky.store.gateway import Gateway


class Fresh(Gateway):
    """Knows no summary and no answer from before `since`, which is when its run was started.

    What the run has made itself is known, so that a step that is tried again asks nothing twice.

    Args:
        store: the one for all other runs, which will know what this one makes.
    """

    def __init__(self, store: Gateway, *, since: datetime) -> None:
        super().__init__(store.engine)
        self.since = since
        self._behind = store

    def chunked(self, repo_id: str, window: Window, job_id: int) -> tuple[Chunk, ...]:
        return ()

    def brief(self, chunk: str, summary: str, repo_id: str, window: Window) -> Brief:
        return self._brief(chunk, summary, repo_id, window, self.since)

    def summaries(self, keys: Sequence[str]) -> tuple[Summary, ...]:
        found = self._all_kept(t.summaries, Summary, keys, self.since)
        return tuple(found[key] for key in keys if key in found)

    def put_summary(self, summary: Summary, chunk: str) -> None:
        self._replace(t.summaries, summary.key, summary, chunk=chunk)

    def answer(self, key: str) -> Answer | None:
        found = self._kept(t.answers, Answer, key, self.since)
        return replace(found, cached=True) if found else None

    def put_answer(self, key: str, answer: Answer, call: Row | None = None) -> None:
        self._replace(t.answers, key, answer)
        if call is not None:
            Calls(self.engine).write(call)
        # It may keep answers nearer at hand than Postgres.
        self._behind.replaced(key)

    def composed(self, repo_id: str, window: Window, inputs: str) -> Digest | None:
        return None

    def _replace(self, table: sa.Table, key: str, value: Any, **more: str) -> None:
        now = sa.func.now()
        row = {"payload": dump(value), "created_at": now, "used_at": now, **more}
        wanted = insert(table).values(key=key, **row)
        changed = {name: wanted.excluded[name] for name in row}
        with self._begin() as connection:
            connection.execute(
                wanted.on_conflict_do_update(
                    index_elements=["key"],
                    set_=changed,
                    # Two workers of this run: the first one's stays.
                    where=table.c.created_at < self.since,
                )
            )
