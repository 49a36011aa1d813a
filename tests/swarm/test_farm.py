"""The whole of stack.yml on one machine: real engine, real stores, real repositories."""

from __future__ import annotations

import json
from hashlib import sha256

import httpx
import pytest

from tests.swarm.bucket import bucket
from tests.swarm.build import MODEL
from tests.swarm.lab import NETWORK, eventually
from tests.swarm.runs import Begin
from tests.swarm.stack import NAME, Stack

# The first test builds Debian, the images and the stack.
pytestmark = pytest.mark.timeout(1500)


def test_every_service_comes_up_healthy(stack: Stack) -> None:
    """Each task that should run does, and each check that a container has succeeds."""
    assert stack.missing() == []
    states = stack.node.ask("ps", "--format", "{{.Names}} {{.Status}}").splitlines()
    assert [line for line in states if "(healthy)" not in line] == []


def test_the_standby_follows_the_primary(stack: Stack) -> None:
    """What is written to the one streams to the other."""
    (row,) = stack.rows("SELECT state FROM pg_stat_replication")
    assert row["state"] == "streaming"
    assert stack.psql("SELECT pg_is_in_recovery()", on="postgres-standby") == "t"


def test_a_run_through_the_gateway_ends_in_the_database(stack: Stack, begin: Begin) -> None:
    """Two repositories are read, a real model writes, and the digests are rows and files."""
    run = begin(0, 1)
    assert run.ends() == "done"
    digests = stack.rows("SELECT payload FROM digests")
    assert len(digests) == 2
    for row in digests:
        payload = json.dumps(row["payload"])
        assert MODEL in payload
    passed = [line for line in stack.logs(["gateway"]).splitlines() if "second engines/" in line]
    assert any("POST /v1/chat/completions" in line and " 200 " in line for line in passed)
    files = stack.run("worker-default", "ls", "/srv/digests").split()
    assert sum(name.endswith(".md") for name in files) == 2


def test_flower_shows_the_work_to_who_has_the_password(stack: Stack) -> None:
    """Without it there is a 401; with it each task carries its repository's name."""
    url = f"http://{stack.node.address}:5555/api/tasks"
    assert httpx.get(url, trust_env=False).status_code == 401
    password = stack.secret("flower", "flower_password")
    assert httpx.get(url, auth=("sparky", "no"), trust_env=False).status_code == 401
    tasks = httpx.get(url, auth=("sparky", password), trust_env=False).json().values()
    fetched = [task["args"] for task in tasks if task["name"] == "sparky.fetch"]
    assert any("one" in args for args in fetched)


def test_a_backup_restored_into_an_empty_database_holds_the_same_digests(
    stack: Stack, begin: Begin
) -> None:
    """What the service wrote when it started has what there was; a new one has everything, here and
    in a bucket that takes only what is rightly signed."""
    with bucket(f"{NETWORK}.254") as (url, objects):
        stack.update("backup", "--env-add", f"BACKUP_S3_URL={url}")
        eventually(lambda: objects, 120, lambda: stack.tasks("backup"))
        (name, content), *_ = objects.items()
    file = f"/srv/backups/{name.rpartition('/')[2]}"
    assert stack.run("backup", "sha256sum", file).split()[0] == sha256(content).hexdigest()
    stack.psql("CREATE DATABASE copy OWNER sparky")
    stack.psql("CREATE EXTENSION vector", database="copy")
    script = (
        "export SPARKY_DATABASE_URL=$(sed 's#/sparky?#/copy?#' /run/secrets/database_url);"
        f" unset SPARKY_DATABASE_URL_FILE; exec sparky db restore {file}"
    )
    stack.run("backup", "sh", "-c", script)
    assert stack.digests("copy") == stack.digests() != ""


def test_no_secret_is_seen_outside_its_file(stack: Stack, begin: Begin) -> None:
    """Neither in an environment, nor in a label or an argument, nor in a log."""
    holders = {
        "postgres_password": "postgres",
        "replication_password": "postgres",
        "redis_password": "redis",
        "gateway_key": "gateway",
        "gateway_stats": "gateway",
        "flower_password": "flower",
        "database_url": "worker-default",
        "broker_url": "worker-default",
        "backup_s3": "backup",
        "monitor_password": "exporter-redis",
        "grafana_password": "grafana",
    }
    secrets = {name: stack.secret(where, name) for name, where in holders.items()}
    for pair in ("gateway_stats", "backup_s3"):
        secrets[pair] = secrets[pair].partition(":")[2]
    assert all(len(secret) >= 20 for secret in secrets.values())
    services = stack.node.ask("service", "ls", "--format", "{{.Name}}").split()
    containers = stack.node.ask("ps", "--quiet", "--all").split()
    told = stack.node.ask("service", "inspect", *services) + stack.node.ask("inspect", *containers)
    told += stack.logs([name.removeprefix(f"{NAME}_") for name in services])
    for container in stack.node.ask("ps", "--quiet").split():
        script = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'"
        told += stack.node.ask("exec", container, "sh", "-c", script)
    assert [name for name, secret in secrets.items() if secret in told] == []


def test_only_the_gateway_reaches_the_engines(stack: Stack) -> None:
    """A worker cannot even find an engine, and what answers without a key is not published."""
    find = "import socket, sys; socket.gethostbyname(sys.argv[1])"
    stack.run("worker-summarize", "python3", "-c", find, "gateway")
    worker = stack.container("worker-summarize")
    assert stack.node.run("exec", worker, "python3", "-c", find, "trtllm", check=False).returncode
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://{stack.node.address}:8355/health", trust_env=False, timeout=5)


def test_the_root_of_a_container_cannot_be_written(stack: Stack) -> None:
    """Nor does anything of Sparky run as root."""
    for service in ("worker-fetch", "worker-summarize", "worker-default", "beat", "flower"):
        container = stack.container(service)
        done = stack.node.run("exec", container, "sh", "-c", "id -u; touch /opt/x", check=False)
        assert done.stdout.strip() == "10001"
        assert "Read-only file system" in done.stderr


def test_a_killed_worker_s_step_is_done_by_the_next_one(stack: Stack, begin: Begin) -> None:
    """Kill -9 in the middle of an answer: the lease ends, the step is tried again, the run is done."""
    run = begin(4, 1, "one")
    run.until(run.busy, pause=0.3)
    with stack.held():
        stack.node.run("kill", "--signal", "KILL", stack.container("worker-summarize"))
    assert run.ends() == "done"
    assert max(int(str(step["attempt"])) for step in run.steps("summarize")) >= 2


def test_an_update_in_the_middle_of_a_run_loses_nothing(stack: Stack, begin: Begin) -> None:
    """Every worker is replaced while there is work: each step is done in the end, and none failed."""
    workers = ("worker-summarize", "worker-fetch", "worker-default")
    run = begin(9, 1, "one")
    run.until(run.busy, pause=0.3)
    with stack.held():
        old = {stack.container(service) for service in workers}
        for service in workers:
            stack.update(service, "--force", "--detach")
        eventually(lambda: old.isdisjoint(stack.node.ask("ps", "--quiet").split()), 120, pause=0.5)
    stack.settled()
    assert run.ends() == "done"
    assert {step["state"] for step in run.steps("fetch", "chunk", "summarize", "rollup")} == {
        "done"
    }
