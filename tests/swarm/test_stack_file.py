"""stack.yml says nothing that Swarm would refuse or leave out, and docs/deploy.md tells all of it."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.swarm.lab import environment
from tests.swarm.swarmkeys import strange

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(\w+)")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """stack.yml as YAML reads it: anchors put in, variables left."""
    return dict(yaml.safe_load((ROOT / "stack.yml").read_text()))


def test_swarm_honours_every_key(document: dict[str, Any]) -> None:
    assert list(strange(document)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("services.redis.depends_on", ["postgres"]),
        ("services.redis.restart", "always"),
        ("services.redis.tmpfs", ["/tmp"]),
        ("services.redis.build", "."),
        ("services.redis.profiles", ["x"]),
        ("services.redis.networks", {"data": {"ipv4_address": "10.0.0.9"}}),
        ("services.trtllm.devices", ["/dev/infiniband"]),
        ("services.trtllm.shm_size", "16g"),
        ("services.trtllm.gpus", "all"),
        ("services.trtllm.runtime", "nvidia"),
        ("services.trtllm.network_mode", "host"),
        ("services.trtllm.privileged", True),
        ("services.trtllm.ipc", "host"),
        ("services.trtllm.security_opt", ["no-new-privileges:true"]),
        ("services.trtllm.deploy.resources.reservations.devices", [{"capabilities": ["gpu"]}]),
        ("configs.haproxy.content", "global"),
        ("secrets.settings.environment", "SETTINGS"),
        ("name", "sparky"),
        ("include", ["other.yml"]),
    ],
)
def test_a_key_that_swarm_refuses_or_leaves_out_is_found(
    document: dict[str, Any], path: str, value: object
) -> None:
    """Each of those that have cost people a day, one at a time."""
    changed = copy.deepcopy(document)
    *above, last = path.split(".")
    place = changed
    for name in above:
        place = place[name]
    place[last] = value
    assert list(strange(changed)) != []


def test_docker_reads_it_without_a_word() -> None:
    """The schema of the real command is kept, with no variable set."""
    done = subprocess.run(
        ["docker", "stack", "config", "--compose-file", "stack.yml"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("file", ["compose.ollama.yml", "compose.vllm.yml"])
def test_compose_reads_the_smaller_tiers_without_a_word(file: str) -> None:
    """Compose's own check of them, with no variable set."""
    done = subprocess.run(
        ["docker-compose", "--file", f"swarm/{file}", "config", "--quiet"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_every_variable_has_a_default_and_a_place_in_the_documentation() -> None:
    """Nobody has to set anything, and nobody has to read the file to know what can be set."""
    told = set(re.findall(r"`(SPARKY_\w+)`", (ROOT / "docs/deploy.md").read_text()))
    for file in ("stack.yml", "swarm/compose.ollama.yml", "swarm/compose.vllm.yml"):
        text = (ROOT / file).read_text()
        assert re.findall(r"\$\{\w+\}", text.partition("\nservices:")[2]) == []
        assert set(VARIABLE.findall(text)) - told - {"NAME"} == set()


def test_each_default_is_told_as_it_is() -> None:
    """Who reads the page and sets nothing gets what it says."""
    page = (ROOT / "docs/deploy.md").read_text()
    told = dict(re.findall(r"^\| `(SPARKY_\w+)` \| (.*?) \|", page, re.MULTILINE))
    defaults = re.findall(r"\$\{(SPARKY_\w+):-([^}]+)\}", (ROOT / "stack.yml").read_text())
    wrong = {
        name: default
        for name, default in defaults
        if re.sub(r"^docker\.io/(library/)?", "", default.replace('\\"', '"')) not in told[name]
    }
    assert wrong == {"SPARKY_REPOSITORIES": "repositories"}  # a volume's name, told as such


def test_services_that_hold_a_port_a_gpu_or_a_volume_stop_before_they_start(
    document: dict[str, Any],
) -> None:
    """One node has one of each: an update that starts first would wait for ever."""
    for name, service in document["services"].items():
        deploy = service["deploy"]
        if deploy.get("mode", "replicated") in ("replicated", "global"):
            assert deploy["update_config"]["order"] == "stop-first", name
            assert deploy["rollback_config"]["order"] == "stop-first", name


def test_nothing_needs_a_virtual_address(document: dict[str, Any]) -> None:
    """Kernels without IPVS route none: names go round robin and ports are the node's own."""
    for name, service in document["services"].items():
        assert all(port["mode"] == "host" for port in service.get("ports", ())), name
        if service["deploy"].get("mode") not in ("replicated-job", "global-job"):
            assert service["deploy"]["endpoint_mode"] == "dnsrr", name


def test_every_container_is_bounded(document: dict[str, Any]) -> None:
    """No service but an engine, which has its machine's memory, may take all there is."""
    for name, service in document["services"].items():
        resources = service["deploy"]["resources"]
        bounded = {"cpus", "memory"} <= set(resources.get("limits", ()))
        assert bounded or "generic_resources" in resources["reservations"], name


def test_images_are_pinned(document: dict[str, Any]) -> None:
    """By a version that says more than its first number."""
    for name, service in document["services"].items():
        found = re.fullmatch(
            r"\$\{SPARKY_\w+_IMAGE:-([^}]+)\}|\$\{SPARKY_IMAGE:-([^}]+)\}", service["image"]
        )
        assert found, name
        tag = (found[1] or found[2]).rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), name
