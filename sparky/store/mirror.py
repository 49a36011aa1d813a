"""What a forge has shown: the Mirror of `sparky.forge`, on Postgres."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from sparky.errors import Throttled
from sparky.forge import Item, Mark, Probe, State
from sparky.model import Activity, Kind, Repo, Window
from sparky.store import tables as t
from sparky.store.codec import dump, load
from sparky.store.connection import statement, transaction, unpooled
from sparky.store.sights import Sight, record

_BUSY = timedelta(seconds=5)
"""How long a step waits when another brings the same repository up to date."""

# Repositories that nobody has looked at yet.
_NEW = sa.text("""
    INSERT INTO forge_probes (repository_id)
    SELECT r.id FROM repositories AS r
    WHERE r.source = 'github'
      AND NOT EXISTS (SELECT FROM forge_probes AS p WHERE p.repository_id = r.id)
      AND EXISTS (
          SELECT FROM jobs JOIN steps ON steps.job_id = jobs.id
          WHERE jobs.repository_id = r.id AND steps.stage = 'fetch' AND steps.state = 'waiting'
      )
    ORDER BY r.id
    ON CONFLICT DO NOTHING
""")

# Marks and counts at one moment: what another worker moves meanwhile is in both or in neither.
_STATE = sa.text("""
    SELECT m.payload, (
        SELECT count(*) FROM forge_items AS i
        WHERE i.repository_id = m.repository_id AND i.kind = m.kind
          AND (i.opened_at >= :since AND i.opened_at < :until
               OR i.ended_at >= :since AND i.ended_at < :until)
    ) AS inside
    FROM forge_marks AS m WHERE m.repository_id = :id
""")

# Whoever else waits for a fetch and was not looked at lately; a claim lasts for a minute, so that
# workers that probe at the same time choose different ones.
_COMPANIONS = sa.text("""
    WITH due AS (
        SELECT p.repository_id
        FROM forge_probes AS p JOIN repositories AS r ON r.id = p.repository_id
        WHERE p.repository_id <> :mine
          AND (CAST(:owner AS text) IS NULL OR lower(split_part(r.name, '/', 1)) = :owner)
          AND (p.probed_at IS NULL OR p.probed_at < :before)
          AND (p.claimed_until IS NULL OR p.claimed_until < now())
          AND EXISTS (
              SELECT FROM jobs JOIN steps ON steps.job_id = jobs.id
              WHERE jobs.repository_id = p.repository_id AND steps.stage = 'fetch'
                AND steps.state = 'waiting'
          )
        ORDER BY p.probed_at NULLS FIRST, p.repository_id
        LIMIT :limit
        FOR UPDATE OF p SKIP LOCKED
    )
    UPDATE forge_probes AS p SET claimed_until = now() + interval '1 minute'
    FROM due JOIN repositories AS r ON r.id = due.repository_id
    WHERE due.repository_id = p.repository_id
    RETURNING r.id, r.name, r.source, r.location, r.url
""")


class PostgresMirror:
    """Errors: Throttled (somebody else is at the repository), Transient, StoreError."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._unpooled = unpooled(engine)

    def _begin(self) -> AbstractContextManager[sa.Connection]:
        return transaction(self.engine)

    def _read(self) -> AbstractContextManager[sa.Connection]:
        """For a single query."""
        return statement(self.engine)

    @contextmanager
    def exclusive(self, repo: Repo) -> Iterator[None]:
        """Keep others from bringing the repository up to date; the database lets go by itself."""
        with transaction(self._unpooled) as connection:
            # A walk over pages is not an idle client.
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            name = sa.func.hashtextextended(f"sparky mirror {repo.id}", 0)
            free = sa.select(sa.func.pg_try_advisory_xact_lock(name))
            if not connection.execute(free).scalar_one():
                raise Throttled(
                    f"{repo.name} is being read by another worker",
                    until=datetime.now(UTC) + _BUSY,
                )
            yield

    # probes

    def probe(self, repo_id: str) -> Probe | None:
        """What was seen of it last."""
        c = t.forge_probes.c
        query = sa.select(c.payload).where(c.repository_id == repo_id, c.payload.is_not(None))
        with self._read() as connection:
            row = connection.execute(query).first()
        return load(Probe, row.payload) if row else None

    def companions(
        self, repo_id: str, owner: str | None, *, before: datetime, limit: int
    ) -> tuple[Repo, ...]:
        """Others that wait for a fetch and were not probed since `before`, claimed for a minute."""
        values = {"mine": repo_id, "owner": owner, "before": before, "limit": limit}
        with self._begin() as connection:
            connection.execute(_NEW)
            rows = connection.execute(_COMPANIONS, values).all()
        return tuple(Repo(row.id, row.name, row.source, row.location, row.url) for row in rows)

    def put_probes(self, probes: Sequence[Probe]) -> None:
        """Keep what was seen, and what has become of the repositories since the last look."""
        rows = [
            {"repository_id": p.repo_id, "payload": dump(p), "probed_at": p.at}
            for p in sorted(probes, key=lambda one: one.repo_id)
        ]
        sights = [
            Sight(repo_id=p.repo_id, at=p.at, name=p.name, url=p.url, facts=p.facts, missing=p.gone)
            for p in probes
        ]
        wanted = insert(t.forge_probes)
        with self._begin() as connection:
            connection.execute(
                wanted.on_conflict_do_update(
                    index_elements=["repository_id"],
                    set_={
                        "payload": wanted.excluded.payload,
                        "probed_at": wanted.excluded.probed_at,
                        "claimed_until": None,
                    },
                ),
                rows,
            )
            record(connection, sights)

    def meet(self, repos: Sequence[Repo]) -> None:
        """Let repositories be known, so that they may be probed with others."""
        rows = [
            {
                "id": repo.id,
                "name": repo.name,
                "source": repo.source,
                "location": repo.location,
                "url": repo.url,
            }
            for repo in sorted(repos, key=lambda one: one.id)
        ]
        with self._begin() as connection:
            connection.execute(insert(t.repositories).on_conflict_do_nothing(), rows)
            connection.execute(
                insert(t.forge_probes).on_conflict_do_nothing(),
                [{"repository_id": row["id"]} for row in rows],
            )

    # marks and items

    def marks(self, repo_id: str) -> Mapping[Kind, Mark]:
        """How far the mirror reaches, by kind."""
        c = t.forge_marks.c
        query = sa.select(c.payload).where(c.repository_id == repo_id)
        with self._read() as connection:
            found = [load(Mark, row.payload) for row in connection.execute(query)]
        return {mark.kind: mark for mark in found}

    def state(self, repo_id: str, window: Window) -> State:
        """The marks, and how many of each kind were opened or ended in the window, at once."""
        values = {"id": repo_id, "since": window.since, "until": window.until}
        counts = dict.fromkeys(Kind, 0)
        marks: dict[Kind, Mark] = {}
        with self._read() as connection:
            rows = connection.execute(_STATE, values).all()
        for row in rows:
            mark = load(Mark, row.payload)
            marks[mark.kind], counts[mark.kind] = mark, row.inside
        return State(marks, counts)

    def keep(
        self, repo_id: str, mark: Mark, items: Sequence[Item] = (), drop: Window | None = None
    ) -> None:
        """In one transaction: keep these, move the mark, and forget the kind's items in `drop`
        that the mark's reading has not seen."""
        c = t.forge_items.c
        rows = {
            item.activity.key: {
                "repository_id": repo_id,
                "key": item.activity.key,
                "kind": mark.kind.value,
                "opened_at": item.opened_at,
                "ended_at": item.ended_at,
                "updated_at": item.updated_at,
                "reading": mark.reading,
                "payload": dump(item.activity),
            }
            for item in items
        }
        with self._begin() as connection:
            if rows:
                wanted = insert(t.forge_items)
                connection.execute(
                    wanted.on_conflict_do_update(
                        index_elements=["repository_id", "key"],
                        set_={
                            name: wanted.excluded[name]
                            for name in (
                                "opened_at",
                                "ended_at",
                                "updated_at",
                                "reading",
                                "payload",
                            )
                        },
                    ),
                    list(rows.values()),
                )
            if drop is not None:
                connection.execute(
                    sa.delete(t.forge_items).where(
                        c.repository_id == repo_id,
                        c.kind == mark.kind.value,
                        c.opened_at >= drop.since,
                        c.opened_at < drop.until,
                        c.reading < mark.reading,
                    )
                )
            place: dict[str, Any] = {"repository_id": repo_id, "kind": mark.kind.value}
            values = {"since": mark.since, "until": mark.until, "payload": dump(mark)}
            connection.execute(
                insert(t.forge_marks)
                .values(**place, **values)
                .on_conflict_do_update(index_elements=["repository_id", "kind"], set_=values)
            )

    def known(self, repo_id: str, keys: Collection[str]) -> frozenset[str]:
        """Which of the keys are kept."""
        c = t.forge_items.c
        query = sa.select(c.key).where(c.repository_id == repo_id, c.key.in_(keys))
        with self._read() as connection:
            return frozenset(connection.execute(query).scalars())

    def updated(self, repo_id: str, kind: Kind, since: datetime) -> int:
        """How many of the kind were last updated at `since` or later."""
        c = t.forge_items.c
        query = sa.select(sa.func.count()).where(
            c.repository_id == repo_id, c.kind == kind.value, c.updated_at >= since
        )
        with self._read() as connection:
            return int(connection.execute(query).scalar_one())

    def items(self, repo_id: str, window: Window) -> Iterator[Item]:
        """What was opened or ended in the window, newest first; streams."""
        c = t.forge_items.c
        ended = sa.and_(c.ended_at >= window.since, c.ended_at < window.until)
        placed = sa.case((ended, c.ended_at), else_=c.opened_at)
        query = (
            sa.select(c.payload, c.opened_at, c.ended_at)
            .where(*_inside(repo_id, window))
            .order_by(placed.desc(), c.key)
            .execution_options(yield_per=500)
        )
        with transaction(self._unpooled) as connection:
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            for row in connection.execute(query):
                activity = load(Activity, row.payload)
                yield Item(activity, row.opened_at, row.ended_at)


def _inside(repo_id: str, window: Window) -> tuple[sa.ColumnElement[bool], ...]:
    c = t.forge_items.c
    opened = sa.and_(c.opened_at >= window.since, c.opened_at < window.until)
    ended = sa.and_(c.ended_at >= window.since, c.ended_at < window.until)
    return (c.repository_id == repo_id, sa.or_(opened, ended))
