"""Prometheus and its exporters in the stack: everything is heard, and every panel finds its figures."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.swarm.lab import eventually
from tests.swarm.runs import Begin
from tests.swarm.stack import NAME, Stack
from tests.swarm.test_prometheus import BOARDS, wanted

ROOT = Path(__file__).parents[2]

# The first test builds Debian, the images and the stack.
pytestmark = pytest.mark.timeout(1500)


@dataclass(frozen=True)
class Watch:
    """The stack's Prometheus, which is asked in its own container: nobody outside reaches it."""

    stack: Stack

    def get(self, *paths: str) -> list[Any]:
        """What its API says to each of these; one process in its container asks all."""
        script = 'for path; do wget -qO- "http://127.0.0.1:9090/api/v1/$path"; echo; done'
        said = self.stack.run("prometheus", "sh", "-c", script, "sh", *paths)
        return [json.loads(line)["data"] for line in said.splitlines()]

    def ask(self, *queries: str) -> list[list[dict[str, Any]]]:
        """What each query gives now."""
        return [
            list(one["result"]) for one in self.get(*(f"query?query={quote(q)}" for q in queries))
        ]

    def seen(self, since: float, *queries: str) -> list[bool]:
        """Whether each query gave anything at any time since then."""
        span = f"start={since}&end={time.time()}&step=3"
        paths = (f"query_range?query={quote(query)}&{span}" for query in queries)
        return [bool(one["result"]) for one in self.get(*paths)]

    def targets(self) -> dict[str, list[str]]:
        """How each job's targets are."""
        found = defaultdict(list)
        (told,) = self.get("targets?state=active")
        for target in told["activeTargets"]:
            found[target["labels"]["job"]].append(target["health"])
        return dict(found)


@pytest.fixture(scope="module")
def watch(stack: Stack) -> Watch:
    return Watch(stack)


def test_prometheus_hears_everything_that_has_figures(watch: Watch) -> None:
    """The farm, the gateway, the engine, both databases and Redis: each is found, and each answers."""
    one, two = ["up"], ["up", "up"]
    jobs = dict.fromkeys(("sparky", "gateway", "engines", "redis", "prometheus"), one)
    jobs["postgres"] = two
    eventually(lambda: watch.targets() == jobs, 180, lambda: str(watch.get("targets")), pause=1)
    eventually(lambda: len(watch.ask("pg_up == 1")[0]) == 2, 60, lambda: str(watch.ask("pg_up")))
    databases, redis, parts, standbys = watch.ask(
        "pg_up", "redis_up == 1", "sparky_up == 1", "sparky_database_standbys == 1"
    )
    assert {one["metric"]["service"] for one in databases} == {"postgres", "postgres-standby"}
    assert {one["metric"]["part"] for one in parts} == {"broker", "database"}
    assert redis
    assert standbys


def test_every_panel_and_every_alert_finds_data(stack: Stack, watch: Watch, begin: Begin) -> None:
    """Each query behind a dashboard or an alert has given figures when a run has gone on and ended."""
    # Nothing in the lab asks GitHub.
    stack.psql(
        "INSERT INTO forge_budgets (credential, resource, label, allowed, remaining, reset_at)"
        " VALUES ('id', 'graphql', 'ghp_…abcd', 5000, 1200, now() + interval '1 h')"
    )
    since = time.time()
    assert begin(6, 2, "one").ends() == "done"
    empty = wanted()

    def all_there() -> bool:
        for where, seen in zip(list(empty), watch.seen(since, *empty.values()), strict=True):
            if seen:
                del empty[where]
        return not empty

    eventually(all_there, 180, lambda: "no data for\n" + "\n".join(empty), pause=1)
    (told,) = watch.get("rules")
    rules = [rule for group in told["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []


def test_a_stack_at_rest_raises_no_alert(stack: Stack, watch: Watch) -> None:
    """Not even one that waits for its time: a rule that does not fit the stack would."""
    # Rates of questions to engines are of the last minute; the small model's answers are of an hour ago now.
    stack.psql("UPDATE llm_calls SET at = at - interval '1 hour'")

    def raised() -> list[str]:
        (told,) = watch.get("alerts")
        alerts = [one["labels"]["alertname"] for one in told["alerts"]]
        # The budget is the one that was written above.
        return [name for name in alerts if name != "SparkyGithubBudgetLow"]

    eventually(lambda: not raised(), 180, lambda: str(raised()))


def test_an_exporter_that_is_gone_is_missed(stack: Stack, watch: Watch) -> None:
    """It has no name any more that Prometheus could ask, and that is told."""
    query = 'ALERTS{alertname="SparkyTargetDown", job="redis"}'
    stack.scale("exporter-redis", 0)
    eventually(lambda: watch.ask(query)[0], 120, lambda: str(watch.targets()), pause=1)
    stack.node.run("service", "scale", "--detach", f"{NAME}_exporter-redis=1")


def test_prometheus_is_closed_to_the_outside_and_to_workers(stack: Stack) -> None:
    """It has no password, so only Grafana and what it asks share a network with it."""
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{stack.node.address}:9090/-/ready", trust_env=False, timeout=5)
    find = ["python3", "-c", "import socket; socket.gethostbyname('prometheus')"]
    stack.fails("worker-default", *find)
    stack.run("grafana", *find)


def test_grafana_is_given_its_source_its_dashboards_and_a_password(stack: Stack) -> None:
    """As the user that it runs as, it reads each file where Grafana looks for it."""
    folder = ROOT / "swarm/grafana"
    files = {
        "/etc/grafana/provisioning/datasources/sparky.yml": folder / "datasource.yml",
        "/etc/grafana/provisioning/dashboards/sparky.yml": folder / "provider.yml",
    }
    files |= {f"/etc/grafana/dashboards/{board.name}": board for board in BOARDS}
    for place, file in files.items():
        assert stack.run("grafana", "cat", place) == file.read_text().strip(), place
    assert stack.run("grafana", "id", "-u") == "472"
    assert len(stack.secret("grafana", "grafana_password")) >= 20
