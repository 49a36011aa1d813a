"""The preflight: each thing that keeps an engine from starting is found, with how to mend it."""

import hashlib
import json
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparky.findings import Finding, Health
from sparky.stack import granted, preflight
from sparky.stack.node import interfaces, look, weights
from sparky.stack.preflight import KIND, VARIABLE, Need, judge_node, judge_swarm

GPU = "GPU-8a5d0a9f-5b5e-4a56-93c0-6c1a4f6e2d11"
NEED = Need(engines=1, mpi=False, secrets=("key",), disk=10**9, memory=128 * 10**9)


def node(**changes: Any) -> dict[str, Any]:
    """A node as it should be, as `docker node inspect` tells it."""
    resource = {
        "NamedResourceSpec": {"Kind": changes.get("kind", KIND), "Value": changes.get("gpu", GPU)}
    }
    return {
        "Spec": {
            "Labels": {"sparky.engine": "true"} if changes.get("labelled", True) else {},
            "Availability": changes.get("availability", "active"),
        },
        "Description": {
            "Hostname": "spark1",
            "Engine": {"EngineVersion": changes.get("version", "28.2.2")},
            "Resources": {"GenericResources": [resource] if changes.get("gpus", True) else []},
        },
        "Status": {"State": changes.get("state", "ready"), "Addr": "10.0.0.1"},
    }


def seen(**changes: Any) -> dict[str, Any]:
    """A node as it should be, seen from inside."""
    return {
        "node": "spark1",
        "time": 100.0,
        "daemon": {"default-runtime": "nvidia"},
        "toolkit": {"swarm-resource": VARIABLE},
        "interfaces": {"enp1s0f1np1": {"up": True, "mbits": 200_000}},
        "rdma": ["rocep1s0f1"],
        "busy": [],
        "disk": 10**12,
        "memory": 128 * 10**9,
        "weights": "",
    } | changes


def bad(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.health is not Health.OK]


def test_a_swarm_that_is_ready_has_nothing_to_mend() -> None:
    assert bad(judge_swarm([node()], NEED, ["key", "other"])) == []
    assert bad(judge_node(seen(), NEED, asked=99.0, told=101.0)) == []


@pytest.mark.parametrize(
    ("changes", "part", "health", "mend"),
    [
        ({"state": "down"}, "spark1: state", Health.FAIL, "Docker"),
        ({"availability": "drain"}, "spark1: state", Health.FAIL, "--availability active spark1"),
        ({"version": "20.10.24+dfsg1"}, "spark1: Docker", Health.WARN, "newer Docker"),
        ({"gpus": False}, "spark1: GPU", Health.FAIL, "node-generic-resources"),
        ({"kind": "NVIDIA-GPU"}, "spark1: GPU", Health.FAIL, "node-generic-resources"),
        ({"gpu": "gpu1"}, "spark1: GPU", Health.FAIL, "nvidia-smi -L"),
        ({"labelled": False}, "labels", Health.FAIL, "--label-add sparky.engine=true"),
    ],
)
def test_what_a_manager_knows_to_be_wrong_is_told(
    changes: dict[str, Any], part: str, health: Health, mend: str
) -> None:
    [found] = bad(judge_swarm([node(**changes)], NEED, ["key"]))
    assert (found.part, found.health) == (part, health)
    assert mend in found.remedy


def test_an_old_engine_keeps_servers_on_each_of_several_nodes_from_starting() -> None:
    """Seen with Docker 20.10: the network that reaches the node takes the task away, for ever."""
    old, new = node(version="20.10.24+dfsg1"), node()
    [found] = bad(judge_swarm([old, new], NEED, ["key"]))
    assert (found.part, found.health) == ("spark1: Docker", Health.FAIL)
    old["Spec"]["Labels"]["sparky.head"] = "true"
    [found] = bad(judge_swarm([old, new], replace(NEED, engines=2, mpi=True), ["key"]))
    assert found.health is Health.WARN


def test_missing_secrets_are_named_with_the_command_that_makes_them() -> None:
    [none] = bad(judge_swarm([node()], NEED, []))
    assert "key" in none.what
    assert "swarm/secrets" in none.remedy
    [one] = bad(judge_swarm([node()], replace(NEED, secrets=("key", "other")), ["other"]))
    assert one.what == "missing: key"
    assert "docker secret create key" in one.remedy


def test_a_label_that_no_node_carries_is_named_with_the_services_that_wait_for_it() -> None:
    need = replace(
        NEED, labels={"sparky.engine": ["trtllm"], "sparky.store": ["redis", "postgres"]}
    )
    [found] = bad(judge_swarm([node()], need, ["key"]))
    assert found.part == "labels"
    assert "redis, postgres" in found.what
    assert found.remedy == "docker node update --label-add sparky.store=true NODE"


def test_a_server_over_several_nodes_wants_just_its_nodes_and_one_head() -> None:
    need = replace(NEED, mpi=True)
    first = node()
    [headless] = bad(judge_swarm([first], need, ["key"]))
    assert headless.part == "head"
    assert "--label-add sparky.head=true" in headless.remedy
    first["Spec"]["Labels"]["sparky.head"] = "true"
    assert bad(judge_swarm([first], need, ["key"])) == []
    [many] = bad(judge_swarm([first, node()], need, ["key"]))
    assert many.part == "labels"
    assert "--label-rm sparky.engine" in many.remedy


@pytest.mark.parametrize(
    ("changes", "part", "health"),
    [
        ({"daemon": None}, "spark1: runtime", Health.FAIL),
        ({"daemon": {"default-runtime": "runc"}}, "spark1: runtime", Health.FAIL),
        ({"toolkit": None}, "spark1: toolkit", Health.FAIL),
        ({"toolkit": {"swarm-resource": "DOCKER_RESOURCE_GPU"}}, "spark1: toolkit", Health.FAIL),
        ({"interfaces": {}}, "spark1: network", Health.FAIL),
        ({"time": 200.0}, "spark1: clock", Health.FAIL),
        ({"time": 10.0}, "spark1: clock", Health.FAIL),
        ({"busy": [8355]}, "spark1: ports", Health.WARN),
        ({"memory": 64 * 10**9}, "spark1: memory", Health.FAIL),
        ({"weights": "a.safetensors is missing"}, "spark1: weights", Health.FAIL),
    ],
)
def test_what_a_node_shows_to_be_wrong_is_told(
    changes: dict[str, Any], part: str, health: Health
) -> None:
    [found] = bad(judge_node(seen(**changes), NEED, asked=99.0, told=101.0))
    assert (found.part, found.health) == (part, health)
    assert found.remedy


def test_a_full_disk_is_told_only_where_weights_are_missing() -> None:
    there = bad(judge_node(seen(disk=0), NEED, asked=99.0, told=101.0))
    missing = bad(judge_node(seen(disk=0, weights="gone"), NEED, asked=99.0, told=101.0))
    assert there == []
    assert [finding.part for finding in missing] == ["spark1: weights", "spark1: disk"]


def test_a_server_over_several_nodes_wants_the_fast_network() -> None:
    need = Need(engines=1, mpi=True, secrets=(), disk=0, memory=0)
    slow = {"enP7s7": {"up": True, "mbits": 10_000}}
    [found] = bad(judge_node(seen(interfaces=slow), need, asked=99.0, told=101.0))
    assert found.part == "spark1: network"
    assert "ConnectX-7" in found.what


def test_a_stacks_file_tells_the_labels_and_secrets_that_it_takes_for_granted() -> None:
    def service(label: str, **deploy: Any) -> dict[str, Any]:
        constraints = [f"node.labels.{label} == true", "node.role==manager"]
        return {"deploy": {"placement": {"constraints": constraints}, **deploy}}

    document = {
        "services": {
            "redis": service("sparky.store"),
            "postgres": service("sparky.store", replicas=1),
            "standby": service("sparky.standby", replicas=0),
            "anywhere": {},
        },
        "secrets": {
            "key": {"external": True, "name": "sparky-key-2"},
            "made": {"file": "./made"},
        },
    }
    assert granted.labels(document) == {"sparky.store": ["redis", "postgres"]}
    assert granted.secrets(document) == ("sparky-key-2",)
    assert granted.labels({}) == {}
    assert granted.secrets({}) == ()


def test_a_node_is_seen_as_its_files_say(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    write("etc/docker/daemon.json", json.dumps({"default-runtime": "nvidia"}))
    write("etc/nvidia-container-runtime/config.toml", f'swarm-resource = "{VARIABLE}"')
    write("proc/meminfo", "MemTotal:       125000000 kB\n")
    write("sys/class/net/enp1/device/uevent", "")
    write("sys/class/net/enp1/operstate", "up\n")
    write("sys/class/net/enp1/speed", "200000\n")
    write("sys/class/net/docker0/operstate", "up\n")
    write("sys/class/infiniband/rocep1/x", "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = look(
            name="spark1",
            now=1.0,
            root=tmp_path,
            models=Path("/srv/models"),
            model="m",
            ports=[port],
            whole=True,
        )
    assert found["daemon"]["default-runtime"] == "nvidia"
    assert found["toolkit"]["swarm-resource"] == preflight.VARIABLE
    assert found["interfaces"] == {"enp1": {"up": True, "mbits": 200_000}}
    assert found["rdma"] == ["rocep1"]
    assert found["busy"] == [port]
    assert found["memory"] == 128_000_000_000
    assert found["disk"] > 0
    assert found["weights"] == "m is not there"


def test_an_interface_that_is_down_tells_no_speed(tmp_path: Path) -> None:
    (tmp_path / "enp1/device").mkdir(parents=True)
    (tmp_path / "enp1/operstate").write_text("down\n")
    (tmp_path / "enp1/speed").write_text("-1\n")
    assert interfaces(tmp_path) == {"enp1": {"up": False, "mbits": 0}}


def test_each_way_in_which_weights_can_be_wrong_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    assert weights(folder, whole=True) == "m is not there"
    folder.mkdir()
    assert weights(folder, whole=True) == "m has no SHA256SUMS"
    right = hashlib.sha256(b"right").hexdigest()
    (folder / "SHA256SUMS").write_text(f"{right}  a.safetensors\n")
    assert weights(folder, whole=True) == "a.safetensors is missing"
    (folder / "a.safetensors").write_bytes(b"wrong")
    assert weights(folder, whole=False) == ""
    assert "another sha256" in weights(folder, whole=True)
    (folder / "a.safetensors").write_bytes(b"right")
    assert weights(folder, whole=True) == ""
