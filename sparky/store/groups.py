"""Groups: names for sets of repositories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.errors import UsageError
from sparky.model import Repo
from sparky.rosters import GROUP
from sparky.store import tables as t
from sparky.store.connection import translated


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group as a line of a list."""

    name: str
    repositories: int


def check(name: str) -> None:
    """Raise UsageError unless a group can be called so."""
    if not GROUP.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name for a group",
            remedy="Use up to 64 letters, digits, dots, dashes and underscores",
        )


class Groups:
    """Which repositories belong together. Errors: UsageError, Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        with translated(), self.engine.begin() as connection:
            yield connection

    def add(self, name: str, repo_ids: Sequence[str]) -> int:
        """Put repositories into the group, which is made if need be; how many are new to it."""
        check(name)
        rows = [
            {"group_name": name, "repository_id": repo_id} for repo_id in dict.fromkeys(repo_ids)
        ]
        with self._begin() as connection:
            connection.execute(insert(t.groups).values(name=name).on_conflict_do_nothing())
            if not rows:
                return 0
            added = insert(t.group_members).values(rows).on_conflict_do_nothing()
            return len(connection.execute(added.returning(t.group_members.c.repository_id)).all())

    def lines(self) -> tuple[GroupLine, ...]:
        """All groups by name."""
        g, m = t.groups.c, t.group_members.c
        query = (
            sa.select(g.name, sa.func.count(m.repository_id).label("repositories"))
            .join(t.group_members, m.group_name == g.name, isouter=True)
            .group_by(g.name)
            .order_by(g.name)
        )
        with self._begin() as connection:
            return tuple(GroupLine(row.name, row.repositories) for row in connection.execute(query))

    def members(self, name: str) -> tuple[Repo, ...] | None:
        """The group's repositories by name, or None if there is no such group."""
        r, m = t.repositories.c, t.group_members.c
        query = (
            sa.select(t.repositories)
            .join(t.group_members, m.repository_id == r.id)
            .where(m.group_name == name)
            .order_by(r.name, r.id)
        )
        with self._begin() as connection:
            if not connection.execute(
                sa.select(t.groups.c.name).where(t.groups.c.name == name)
            ).first():
                return None
            return tuple(
                Repo(row.id, row.name, row.source, row.location, row.url)
                for row in connection.execute(query)
            )

    def leave(self, name: str, repo_ids: Sequence[str]) -> int:
        """Take repositories out of the group, which stays; how many were in it."""
        m = t.group_members.c
        with self._begin() as connection:
            return connection.execute(
                sa.delete(t.group_members).where(
                    m.group_name == name, m.repository_id.in_(list(repo_ids))
                )
            ).rowcount

    def remove(self, name: str) -> bool:
        """Forget the group, not its repositories; whether it was there.

        UsageError when a schedule reads it.
        """
        s = t.schedules.c
        with self._begin() as connection:
            # A schedule that is written meanwhile waits for this lock.
            connection.execute(
                sa.select(t.groups.c.name).where(t.groups.c.name == name).with_for_update()
            )
            used = (
                connection.execute(sa.select(s.name).where(s.group_name == name).order_by(s.name))
                .scalars()
                .all()
            )
            if used:
                raise UsageError(
                    f"group {name} is read by schedule {', '.join(used)}",
                    remedy=f"Remove that first: sparky schedules remove {used[0]}",
                )
            return (
                connection.execute(sa.delete(t.groups).where(t.groups.c.name == name)).rowcount > 0
            )
