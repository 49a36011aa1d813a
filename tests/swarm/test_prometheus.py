"""Prometheus reads the real farm: every panel and every alert asks for something that is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
import yaml
from prometheus_client import CollectorRegistry, start_http_server

from sparky.farm import app as celery
from sparky.farm import context, sweeping, ticking
from sparky.farm.context import Context
from sparky.farm.metrics import Figures
from sparky.farm.step import Outcome, perform
from sparky.model import Repo
from sparky.schedules import Schedule
from sparky.settings import Settings
from sparky.store.groups import Groups
from sparky.store.schedules import Schedules
from tests.servers import Servers
from tests.swarm import test_gateway
from tests.swarm.lab import eventually

ROOT = Path(__file__).parents[2]
FILES = ROOT / "swarm" / "prometheus"
BOARDS = sorted((ROOT / "swarm" / "grafana" / "dashboards").glob("*.json"))
REPOSITORIES = 60
OF_STORES = re.compile(r"\b(pg_|redis_|sparky:database:|up\b)")
"""What queries of the stores' exporters have in them."""


@dataclass(frozen=True)
class Prometheus:
    """A server that has looked at the farm for a while."""

    url: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What the query gives now."""
        said = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, trust_env=False)
        answer = said.json()
        assert answer["status"] == "success", f"{query}: {answer.get('error')}"
        return list(answer["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        """All rules, with how their last evaluation went."""
        said = httpx.get(f"{self.url}/api/v1/rules", trust_env=False).json()
        return [rule for group in said["data"]["groups"] for rule in group["rules"]]


@contextmanager
def farm(servers: Servers, database: str, folder: Path) -> Iterator[Context]:
    """A farm in the middle of a night: steps end, wait, fail, and one worker has gone silent."""
    settings = Settings(
        state_dir=folder / "state",
        cache_dir=folder / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm=f"watched-{uuid4().hex[:8]}",
    )
    at = context.of(settings)
    names = [f"git:{number}" for number in range(REPOSITORIES)]
    for name in names:
        at.store.add_repo(Repo(name, f"me/{name[4:]}", "git", f"/srv/{name[4:]}"))
    Groups(at.store.engine).add("night", names)
    app = celery.make(settings)
    schedules = Schedules(at.store.engine, farm=settings.farm)
    # One run has ended well; another goes on.
    for name in ("first", "second"):
        schedules.add(Schedule(name=name, cron="30 2 * * *", group="night"))
        _run(at, "UPDATE schedules SET next_due = next_due - interval '1 day',"
                 f" fires_at = fires_at - interval '1 day' WHERE name = '{name}'")  # fmt: skip
        ticking.tick(app, at)
        for (step,) in _waiting(at) if name == "first" else ():
            perform(step, _nothing, at, worker="w")
    sweeping.sweep(app, at, worker="w")
    _run(at, "INSERT INTO llm_calls (stage, engine, model, prompt_tokens, cached_tokens,"
             " completion_tokens, seconds, outcome)"
             " VALUES ('summarize', 'e', 'm', 600, 300, 120, 30, 'ok'),"
             " ('summarize', 'e', 'm', 0, 0, 0, 0, 'cached')")  # fmt: skip
    _run(at, "INSERT INTO forge_budgets (credential, resource, label, allowed, remaining, reset_at)"
             " VALUES ('id', 'graphql', 'ghp_…abcd', 5000, 1200, now() + interval '1 h')")  # fmt: skip
    try:
        yield at
    finally:
        at.store.close()


def _nothing(claim: object, at: Context) -> Outcome:
    del claim, at
    return Outcome(state="skipped")


def _waiting(at: Context) -> list[sa.Row[Any]]:
    return _run(at, "SELECT id FROM steps WHERE state = 'waiting'")


def _run(at: Context, statement: str) -> list[sa.Row[Any]]:
    with at.store.engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        return list(result) if result.returns_rows else []


@pytest.fixture
def prometheus(servers: Servers, database: str, tmp_path: Path) -> Iterator[Prometheus]:
    """The stack's own rules, the real farm and a real gateway; only addresses are others."""
    assert shutil.which("prometheus"), "prometheus is missing: tools/bootstrap lab"
    with (
        farm(servers, database, tmp_path) as at,
        test_gateway.started(tmp_path) as gateway,
        _figures(at) as exporter,
    ):
        (port,) = test_gateway.free_ports(1)
        config = yaml.safe_load((FILES / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(FILES / Path(name).name) for name in config["rule_files"]]
        places = {"sparky": exporter, "gateway": gateway.statistics.removeprefix("http://")}
        config["scrape_configs"] = [
            {"job_name": name, "static_configs": [{"targets": [place]}]}
            for name, place in places.items()
        ]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        with (tmp_path / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(
                ["prometheus", f"--config.file={tmp_path}/prometheus.yml",
                 f"--storage.tsdb.path={tmp_path}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        stop = threading.Event()
        worker = threading.Thread(target=_go_on, args=(at, gateway, stop))
        worker.start()
        try:
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            stop.set()
            worker.join()
            process.terminate()
            process.wait(30)


def _go_on(at: Context, gateway: test_gateway.Gateway, stop: threading.Event) -> None:
    """End a step and ask an engine every now and then, as a night does."""
    steps = [row[0] for row in _waiting(at)]
    for number, step in enumerate(steps[: len(steps) // 2]):
        if stop.wait(0.5):
            return
        perform(step, _nothing, at, worker="w")
        at.tally.flush()
        gateway.ask(number)


@contextmanager
def _figures(at: Context) -> Iterator[str]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(at.store, at.tally, at.settings.farm))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def panels() -> list[tuple[str, str]]:
    """Each panel's queries, with where they stand."""
    return [
        (f"{board.stem}: {panel['title']}, {target['refId']}", target["expr"])
        for board in BOARDS
        for panel in json.loads(board.read_text())["panels"]
        for target in panel["targets"]
    ]


def selectors(expression: str) -> set[str]:
    """The series that an alert compares: names with their label matchers."""
    found = re.findall(r"(?:sparky|haproxy)[\w:]*(?:\{[^}]*\})?", expression)
    return set(found)


def alerts() -> list[dict[str, Any]]:
    """The rules that tell somebody."""
    groups = yaml.safe_load((FILES / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def wanted() -> dict[str, str]:
    """Every query that must find data, by where it stands."""
    found = dict(panels())
    for alert in alerts():
        found |= {f"{alert['alert']}: {one}": one for one in selectors(alert["expr"])}
    return found


def test_every_panel_and_every_alert_finds_data(prometheus: Prometheus) -> None:
    """A figure that was renamed, or a label that is none, leaves a hole on the wall at night."""
    # Exporters of the stores are only in the stack: test_farm_monitoring.py asks those.
    empty = {where: query for where, query in wanted().items() if not OF_STORES.search(query)}

    def all_there() -> bool:
        for where in list(empty):
            if prometheus.ask(empty[where]):
                del empty[where]
        return not empty

    eventually(lambda: _answers(prometheus), 30)
    eventually(all_there, 90, lambda: "no data for\n" + "\n".join(empty))
    broken = [rule["name"] for rule in prometheus.rules() if rule["health"] == "err"]
    assert broken == []
    assert {rule["name"] for rule in prometheus.rules()} >= {alert["alert"] for alert in alerts()}


def _answers(prometheus: Prometheus) -> bool:
    try:
        return bool(prometheus.ask("sparky_up"))
    except (httpx.HTTPError, ValueError):  # not ready yet
        return False
