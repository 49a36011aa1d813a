"""The farm in containers, by the names that stack.yml gives them.

The database lives as long as the session; broker and worker are new for each test, as pytest-celery
has it. The images are named by SMOKE_IMAGE and SMOKE_STORES.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kombu import pools
from pytest_celery import (
    CeleryBrokerCluster,
    CeleryTestWorker,
    CeleryWorkerCluster,
    RedisTestBroker,
)
from pytest_docker_tools import container, fxtr, network

from tests.repositories import Repository
from tests.smoke.containers import ROOT, Broker, Database, Worker
from tests.smoke.farm import Engine, Farm, Setup

USER = 10001
"""Who Sparky is in its image."""
TITLES = ("Add a parser", "Fix the scanner", "Drop a check", "Test the parser")

Volumes = dict[str, dict[str, str]]

default_pytest_celery_network = network(scope="session")


@pytest.fixture(scope="session")
def sparky_image() -> str:
    return os.environ["SMOKE_IMAGE"]


@pytest.fixture(scope="session")
def stores_image() -> str:
    return os.environ["SMOKE_STORES"]


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What swarm/secrets makes, under the names that containers see."""
    folder = tmp_path_factory.mktemp("secrets")
    variables = os.environ | {"SPARKY_SECRETS_DIR": str(folder)}
    subprocess.run([str(ROOT / "swarm/secrets")], env=variables, capture_output=True, check=True)
    for file in folder.iterdir():
        file.rename(folder / file.name.replace("-", "_"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit on each of four days from the second of March on; Sparky's user owns it."""
    made = Repository(tmp_path_factory.mktemp("repository"))
    for day, title in enumerate(TITLES, 2):
        made.commit(title, {f"{day}.txt": title}, at=datetime(2026, 3, day, 12, tzinfo=UTC))
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(made.path)], check=True)
    return made.path


def _mounted(secrets: Path, **more: str | Path) -> Volumes:
    """Folders and files, by where a container sees them, to be read alone."""
    places = {"/run/secrets": secrets, **more}
    return {str(path): {"bind": place, "mode": "ro"} for place, path in places.items()}


@pytest.fixture(scope="session")
def database_volumes(secrets: Path) -> Volumes:
    return _mounted(secrets, **{"/etc/sparky/start.sh": ROOT / "swarm/postgres/start.sh"})


database = container(
    scope="session",
    name="postgres",
    image="{stores_image}",
    entrypoint=["bash", "/etc/sparky/start.sh"],
    user="999:999",
    environment={
        "SPARKY_POSTGRES_ROLE": "primary",
        "SPARKY_POSTGRES_PEER": "none.invalid",
        "SPARKY_POSTGRES_CONNECTIONS": "50",
        "SPARKY_POSTGRES_BUFFERS": "32MB",
        "SPARKY_POSTGRES_WAL_KEPT": "1GB",
    },
    volumes=fxtr("database_volumes"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=Database,
    timeout=60,
)


@pytest.fixture(scope="session")
def tables(
    docker_client: Any,
    database: Database,
    sparky_image: str,
    secrets: Path,
    default_pytest_celery_network: Any,
) -> Database:
    """The database with Sparky's tables, which the stack's service `migrate` makes."""
    docker_client.containers.run(
        sparky_image,
        ["sparky", "db", "upgrade"],
        environment={"SPARKY_DATABASE_URL_FILE": "/run/secrets/database_url"},
        volumes=_mounted(secrets),
        network=default_pytest_celery_network.name,
        remove=True,
    )
    return database


@pytest.fixture
def default_redis_broker_cls() -> type[Broker]:
    return Broker


@pytest.fixture
def default_redis_broker_volumes(secrets: Path) -> Volumes:
    return _mounted(secrets, **{"/etc/sparky/start.sh": ROOT / "swarm/redis/start.sh"})


default_redis_broker = container(
    name="redis",
    image="{stores_image}",
    user="999:1000",
    environment=fxtr("default_redis_broker_env"),
    command=fxtr("default_redis_broker_command"),
    volumes=fxtr("default_redis_broker_volumes"),
    network="{default_pytest_celery_network.name}",
    wrapper_class=Broker,
    timeout=60,
)


@pytest.fixture
def celery_broker_cluster(celery_redis_broker: RedisTestBroker) -> CeleryBrokerCluster:
    """Redis and no other broker."""
    return CeleryBrokerCluster(celery_redis_broker)


@pytest.fixture
def celery_backend_cluster() -> None:
    """Results are kept nowhere: Postgres has the truth."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as found:
        yield found


@pytest.fixture
def default_worker_container_cls() -> type[Worker]:
    return Worker


@pytest.fixture
def default_worker_env(
    tables: Database,
    celery_broker_cluster: CeleryBrokerCluster,
    engine: Engine,
    default_pytest_celery_network: Any,
) -> dict[str, str]:
    """As in stack.yml, with leases as short as they may be; the engine is at the network's door."""
    del tables, celery_broker_cluster  # What a worker finds when it starts.
    host = default_pytest_celery_network.attrs["IPAM"]["Config"][0]["Gateway"]
    return {
        "SPARKY_CONFIG": "/run/secrets/settings",
        "SPARKY_STATE_DIR": "/tmp/sparky",
        "SPARKY_DATABASE_URL_FILE": "/run/secrets/database_url",
        "SPARKY_BROKER_URL_FILE": "/run/secrets/broker_url",
        "SPARKY_PUBLISH_DIR": "/srv/digests",
        "SPARKY_LEASE_SECONDS": "5",
        "SPARKY_HEARTBEAT_SECONDS": "2",
        "SPARKY_LLM_KIND": "openai",
        "SPARKY_LLM_URL": f"http://{host}:{engine.port}/v1",
        "SPARKY_LLM_MODEL": engine.model,
        "SPARKY_LLM_CONTEXT": str(engine.context),
        "SPARKY_LLM_REASONING_TOKENS": "0",
    }


@pytest.fixture
def default_worker_volumes(secrets: Path, repository: Path) -> Volumes:
    return _mounted(secrets, **{"/srv/repositories/one": repository})


default_worker_container = container(
    image="{sparky_image}",
    read_only=True,
    init=True,
    environment=fxtr("default_worker_env"),
    command=fxtr("default_worker_command"),
    volumes=fxtr("default_worker_volumes"),
    tmpfs={"/tmp": "mode=1777", "/srv/digests": f"uid={USER}", "/var/cache/sparky": f"uid={USER}"},
    network="{default_pytest_celery_network.name}",
    wrapper_class=Worker,
    timeout=60,
)


@pytest.fixture
def celery_worker_cluster(celery_setup_worker: CeleryTestWorker) -> CeleryWorkerCluster:
    """One worker, of Sparky's own image."""
    return CeleryWorkerCluster(celery_setup_worker)


@pytest.fixture
def celery_setup_cls() -> type[Setup]:
    return Setup


@pytest.fixture
def farm(celery_setup: Setup, database: Database, engine: Engine) -> Iterator[Farm]:
    """The farm, which follows the repository."""
    found = Farm(celery_setup, database, engine)
    found.worker.run("sparky", "repos", "add", "/srv/repositories/one")
    yield found
    # The next broker may have this one's address, and must not be asked over its connections.
    pools.reset()
