"""Everything around a farm in a storm: servers, repositories, settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from sparky.farm import app as celery
from sparky.farm.bell import ring
from sparky.model import Repo
from sparky.settings import Settings
from sparky.source.gitrepo import GitSource
from sparky.store import schema
from sparky.store.connection import connect
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.tables import metadata
from tests.engines.fleet import fleet
from tests.faults.forge import forge
from tests.faults.histories import WINDOW, write_histories
from tests.faults.machines import Broker, Database, machines
from tests.faults.proxy import Proxy
from tests.faults.sizes import Size


@dataclass(slots=True)
class World:
    """Everything around the farm."""

    folder: Path
    database: Database
    broker: Broker
    own_disk: bool
    engine_url: str
    ways: dict[str, Proxy]
    repos: list[Repo]
    near: Settings
    far: Settings

    @property
    def engine(self) -> sa.Engine:
        return _engine(self.database.url)


_engines: dict[str, sa.Engine] = {}


def _engine(url: str) -> sa.Engine:
    if url not in _engines:
        _engines[url] = connect(url)
    return _engines[url]


@contextmanager
def world(size: Size, folder: Path, *, own_disk: bool) -> Iterator[World]:
    """Servers, repositories and settings, for as long as the block runs."""
    with ExitStack() as stack:
        megabytes = 400 + size.repositories // 2 if own_disk else 0
        database, broker = stack.enter_context(machines(folder, megabytes=megabytes))
        schema.upgrade(database.url)
        (engine,) = stack.enter_context(fleet(1, slots=16, scale=60))
        hub = stack.enter_context(forge(size.github))
        place = urlsplit(hub["url"])
        ways = {
            "engine": Proxy(("127.0.0.1", urlsplit(engine).port or 0)),
            "github": Proxy(("127.0.0.1", place.port or 0)),
            "far broker": Proxy(("127.0.0.1", broker.port)),
            "far database": Proxy(database.socket),
        }
        for way in ways.values():
            stack.enter_context(way)
        source = GitSource(folder / "cache")
        paths = write_histories(folder / "repositories", size.repositories - size.github)
        repos = [source.identify(str(path)) for path in paths]
        github = f"http://127.0.0.1:{ways['github'].port}"
        repos += [
            Repo(node, name, "github", f"{github}/{name}", f"{github}/{name}")
            for node, name in hub["repositories"]
        ]
        near = Settings(
            state_dir=folder / "state",
            cache_dir=folder / "cache",
            publish_dir=folder / "published",
            database_url=database.url,
            broker_url=broker.url,
            llm_kind="openai",
            llm_url=f"http://127.0.0.1:{ways['engine'].port}",
            github_url=github,
            github_token=hub["token"],
            farm="storm",
            lease_seconds=size.lease,
            heartbeat_seconds=max(1, size.lease // 4),
            attempts=10,
            log_level="warning",
        )
        far = near.with_changes(
            database_url=f"postgresql://sparky@127.0.0.1:{ways['far database'].port}/sparky",
            broker_url=f"redis://:{broker.password}@127.0.0.1:{ways['far broker'].port}/0",
        )
        yield World(folder, database, broker, own_disk, engine, ways, repos, near, far)
        _engine(database.url).dispose()
        _engines.clear()


def begin(here: World) -> None:
    """A run over all the repositories, of a farm that knows nothing yet."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with here.engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
    here.broker.client.flushall()
    store = Gateway(here.engine)
    for repo in here.repos:
        store.add_repo(repo)
    runs = Runs(here.engine, farm=here.near.farm)
    ring(celery.make(here.near), runs.start("r", WINDOW, [r.id for r in here.repos], {}))
