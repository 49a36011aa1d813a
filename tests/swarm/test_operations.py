"""What an operator does to a stack that works, as docs/operations.md tells it; the last thing is its end."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.swarm.lab import eventually
from tests.swarm.runs import Begin
from tests.swarm.stack import NAME, Stack

# The first test builds Debian, the images and the stack, where this file is run alone.
pytestmark = pytest.mark.timeout(1500)


def test_workers_are_added_and_taken_away_during_a_run(stack: Stack, begin: Begin) -> None:
    """The new one takes its share; what the one that goes had in work is done by who stays."""
    run = begin(10, 1)
    run.until(run.busy, pause=0.3)
    with stack.held():
        stack.scale("worker-summarize", 2)
        added = "summarize@summarize-2"
        run.until(lambda: added in {step["worker"] for step in run.steps("summarize")})
    stack.scale("worker-summarize", 1)
    assert run.ends() == "done"
    assert {step["state"] for step in run.steps("fetch", "chunk", "summarize", "rollup")} == {
        "done"
    }


def test_secrets_are_rotated_during_a_run(stack: Stack, begin: Begin) -> None:
    """All of them at once: the new ones open every door, the old ones none, and the run is done."""
    old = {
        name: stack.secret(service, name)
        for service, name in (
            ("worker-default", "database_url"),
            ("worker-default", "broker_url"),
            ("worker-default", "gateway_key"),
            ("flower", "flower_password"),
        )
    }
    run = begin(11, 1, "one")
    run.until(run.busy, pause=0.3)
    with stack.held():
        stack.secrets("2")
        stack.deploy(SPARKY_SECRETS_VERSION="2")
    stack.settled()
    assert run.ends() == "done"
    for name, ask, answer in (
        ("database_url", "import psycopg as p; p.connect(u)", "password authentication failed"),
        (
            "broker_url",
            "import redis as r; r.Redis.from_url(u).ping()",
            "invalid username-password",
        ),
    ):
        program = f"import sys; u = sys.argv[1]; {ask}"
        assert answer in stack.fails("worker-default", "python3", "-c", program, old[name])
    url = f"http://{stack.node.address}:5555/api/workers"
    new = stack.secret("flower", "flower_password")
    for password, answer in ((old["flower_password"], 401), (new, 200)):
        said = httpx.get(url, auth=("sparky", password), trust_env=False)
        assert said.status_code == answer
    ask = "curl -so /dev/null -w '%{http_code}' -H @- http://gateway:8000/v1/models"
    new = stack.secret("worker-default", "gateway_key")
    for key, answer in ((old["gateway_key"], "401"), (new, "200")):
        script = f"echo 'Authorization: Bearer {key}' | {ask}"
        assert stack.run("worker-default", "sh", "-c", script) == answer
    stack.node.run("secret", "rm", *stack.kept_secrets("1"))


def test_the_standby_is_promoted_when_the_primary_is_lost_during_a_run(
    stack: Stack, begin: Begin
) -> None:
    """What had been committed is there, the run is done on the other server, and the one that was
    lost follows it when it is back, though both start at once."""
    run = begin(12, 1)
    run.until(run.answered)
    with stack.held():
        written = {row["key"] for row in stack.rows("SELECT key FROM summaries")}
        stack.node.run("kill", "--signal", "KILL", stack.container("postgres"))
        stack.scale("postgres", 0)
        stack.run("postgres-standby", "pg_ctl", "promote", "-D", "/var/lib/postgresql/sparky")
    stack.primary = "postgres-standby"
    assert {row["key"] for row in stack.rows("SELECT key FROM summaries")} >= written
    assert run.ends() == "done"
    stack.scale("postgres-standby", 0)
    both = [f"{NAME}_{name}=1" for name in ("postgres", "postgres-standby")]
    stack.node.run("service", "scale", *both)
    stack.settled()
    assert stack.psql("SELECT pg_is_in_recovery()", on="postgres") == "t"
    following = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
    eventually(lambda: [row["sync_state"] for row in stack.rows(following)] == ["sync"], 30)


def test_an_upgrade_migrates_the_database_and_keeps_what_it_holds(stack: Stack) -> None:
    """Another image is deployed over an older schema: the job brings it up, the workers wait for it."""
    before = stack.digests()
    stack.node.run("tag", stack.variables["SPARKY_IMAGE"], "sparky:next")
    newest = stack.psql("SELECT version_num FROM alembic_version")
    stack.sparky("db", "downgrade", f"{int(newest) - 1:04}", "--yes")
    assert stack.psql("SELECT version_num FROM alembic_version") != newest
    stack.deploy(SPARKY_IMAGE="sparky:next")
    stack.settled()
    assert stack.psql("SELECT version_num FROM alembic_version") == newest
    assert stack.digests() == before
    images = stack.node.ask("ps", "--format", "{{.Image}}").split()
    assert "sparky:lab" not in images


def test_a_stack_is_taken_away_without_a_trace(stack: Stack) -> None:
    """`stack rm` leaves the volumes and the secrets, for the next deploy; two commands take those."""
    stack.remove()
    assert stack.node.ask("config", "ls", "--quiet") == ""
    volumes = stack.node.ask("volume", "ls", "--quiet", "--filter", f"name={NAME}_").split()
    assert {f"{NAME}_postgres", f"{NAME}_postgres-standby", f"{NAME}_backups"} <= set(volumes)
    secrets = stack.kept_secrets(stack.variables.get("SPARKY_SECRETS_VERSION", "1"))
    assert secrets
    stack.node.run("volume", "rm", *volumes)
    stack.node.run("secret", "rm", *secrets)
    for kind in ("container", "service", "network", "volume", "secret", "config"):
        left = stack.node.ask(kind, "ls", "--format", "{{json .}}").splitlines()
        assert [one for one in left if NAME in json.dumps(one)] == []
