"""A late change on GitHub makes again what depends on it, and asks the engine for nothing else."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa

from sparky import pipeline
from sparky.model import Chunk, Digest, Repo, Window
from sparky.store.gateway import Gateway
from sparky.store.reports import Reports
from sparky.store.runs import Runs
from tests.fakes import FakeBackend
from tests.github import World
from tests.github.fixture import Serving, serving
from tests.integration.github_world import Reader, busy, night, reading, repo_of

__all__ = ["serving"]


class Night:
    """All stages over one repository, one after the other, as the farm's tasks call them."""

    def __init__(self, store: Gateway, reader: Reader, repo: Repo) -> None:
        self.store, self.reader, self.repo = store, reader, repo
        self.backend = FakeBackend()
        self.chunks: tuple[Chunk, ...] = ()
        self._nights = 0

    def __call__(self, window: Window) -> tuple[Digest, int]:
        """The digest, and how many times the engine was asked for it."""
        self._nights += 1
        store, repo, backend = self.store, self.repo, self.backend
        record = pipeline.Unwritten(store)
        run = f"night-{self._nights}"
        Runs(store.engine, farm="test").start(run, window, [repo.id], {})
        (job,) = Reports(store.engine).progress(run)
        before = len(backend.prompts)
        got = pipeline.fetch(repo, window, source=self.reader.source, store=store)
        chunks = pipeline.chunk(repo, window, store=store, backend=backend, job_id=job.job_id)
        keys = tuple(
            pipeline.summarize(one.key, repo, window, store=store, backend=backend, record=record)
            for one in chunks
        )
        digest = pipeline.rollup(
            repo,
            window,
            census=got.census,
            summary_keys=keys,
            notes=(),
            store=store,
            backend=backend,
            record=record,
        )
        self.chunks = chunks
        return digest, len(backend.prompts) - before


@pytest.fixture
def world() -> World:
    return World(seed=4, repositories=40, private=0)


def test_an_edit_asks_the_engine_again_for_its_own_chunk_alone(
    world: World, serving: Serving, database: str
) -> None:
    """The title of one merged pull request is changed a day later: the digest gets a revision with
    the new title, from as many questions as one chunk and the sentences at the top need."""
    repository, window = busy(world), night(world, 60)
    with (
        reading(serving(world), database) as reader,
        closing(Gateway.open(database)) as store,
    ):
        store.add_repo(repo_of(repository))
        made = Night(store, reader, repo_of(repository))
        first, questions = made(window)
        assert len(made.chunks) > 4
        asked_about = [item.key for chunk in made.chunks for item in chunk.items]
        key = next(key for key in asked_about if key.startswith("pull_request:"))
        again, none = made(window)
        assert (again, none) == (first, 0)
        world.clock.advance(hours=24)
        number = int(key.partition(":")[2])
        world.edit_pull_request(repository, number, title="Feed the lantern with whale oil")
        later, few = made(window)
        with store.engine.connect() as connection:
            (title,) = connection.execute(
                sa.text("SELECT payload ->> 'title' FROM activities WHERE key = :key"),
                {"key": key},
            ).scalars()
    assert title == "Feed the lantern with whale oil"
    assert later.revision == 2
    assert later.ledger == first.ledger
    assert 0 < few < questions / 2
