"""Whether a Swarm is ready for its engines: what was seen, judged. Pure.

`survey` does the looking.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sparky.errors import UsageError
from sparky.findings import Finding, fail, failed, ok, warn
from sparky.stack.hostfile import LABEL, ranks

OLD_ENGINE: Final = (23, 0)
"""Before it, a task that holds a GPU is killed when its node is updated."""
KIND: Final = "NVIDIA_GPU"
"""The generic resource that stack.yml reserves."""
VARIABLE: Final = f"DOCKER_RESOURCE_{KIND}"
UUID: Final = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SKEW: Final = 5.0
"""Seconds that a node's clock may be off."""
MEMORY: Final = 0.9
"""Of a Spark's nominal memory, what its system reports at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the stack asks of the Swarm."""

    engines: int
    """Nodes with a GPU."""
    mpi: bool
    secrets: Sequence[str]
    """Names of those that must be there already."""
    disk: int
    """Bytes that must be free where the weights lie, unless they lie there."""
    memory: int
    """Bytes of each engine's node."""
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Labels that some node must carry, each with the services that run there alone."""


def judge_swarm(
    nodes: Sequence[Mapping[str, Any]], need: Need, secrets: Sequence[str]
) -> Iterator[Finding]:
    """What the managers know of the nodes and secrets, as `docker … inspect` tells it."""
    for node in nodes:
        yield _state(node)
        yield _engine(node, alone=len(nodes) == 1, mpi=need.mpi)
    engines = [node for node in nodes if is_engine(node)]
    for node in engines:
        yield _gpus(node)
    yield from _labels(nodes, engines, need)
    yield _secrets(need.secrets, [secret for secret in need.secrets if secret not in secrets])


def judge_node(
    seen: Mapping[str, Any], need: Need, *, asked: float, told: float
) -> Iterator[Finding]:
    """What was seen on an engine's node.

    Args:
        seen: what `node.look` returned there.
        asked: when this machine began to ask, in seconds since 1970.
        told: when it had the answer.
    """
    where = seen["node"]
    yield from _runtime(where, seen["daemon"], seen["toolkit"])
    yield _network(where, seen["interfaces"], seen["rdma"], mpi=need.mpi)
    yield _clock(where, seen["time"], asked, told)
    if seen["busy"]:
        ports = ", ".join(map(str, seen["busy"]))
        yield warn(
            f"{where}: ports",
            f"{ports} are taken",
            "Fine if Sparky's engine runs there now; else `ss -ltnp` tells who listens",
        )
    else:
        yield ok(f"{where}: ports", "free")
    if seen["memory"] < need.memory * MEMORY:
        yield fail(
            f"{where}: memory",
            f"{_gb(seen['memory'])}, and {_gb(need.memory)} are planned with",
            "sparky stack plan --memory with what it has",
        )
    if seen["weights"]:
        yield fail(f"{where}: weights", seen["weights"], "sparky models fetch MODEL --nodes")
        if seen["disk"] < need.disk:
            yield fail(
                f"{where}: disk",
                f"{_gb(seen['disk'])} are free, and the weights take {_gb(need.disk)}",
                "Free some space, or put the models folder on another disk",
            )
    else:
        yield ok(f"{where}: weights", "all files are there, each with its hash")


def name(node: Mapping[str, Any]) -> str:
    """What the node calls itself."""
    return str(node["Description"]["Hostname"])


def is_engine(node: Mapping[str, Any]) -> bool:
    """Whether the node is labelled to run an engine."""
    return _carries(node, LABEL)


def _carries(node: Mapping[str, Any], label: str) -> bool:
    labels: Mapping[str, str] = node["Spec"].get("Labels") or {}
    return labels.get(label) == "true"


def _labels(
    nodes: Sequence[Mapping[str, Any]], engines: Sequence[Mapping[str, Any]], need: Need
) -> Iterator[Finding]:
    if len(engines) < need.engines:
        yield fail(
            "labels",
            f"{len(engines)} nodes carry the label {LABEL}, and {need.engines} engines are planned",
            f"docker node update --label-add {LABEL}=true NODE",
        )
    elif need.mpi and len(engines) > need.engines:
        yield fail(
            "labels",
            f"{', '.join(map(name, engines))} carry the label {LABEL}, and one server over"
            f" {need.engines} nodes is planned",
            f"docker node update --label-rm {LABEL} NODE",
        )
    else:
        yield ok("labels", f"{', '.join(map(name, engines))} carry {LABEL}")
    for label, services in need.labels.items():
        if label != LABEL and not any(_carries(node, label) for node in nodes):
            yield fail(
                "labels",
                f"no node carries the label {label}, and {', '.join(services)} run only there",
                f"docker node update --label-add {label}=true NODE",
            )
    if need.mpi:
        yield _head(nodes)


def _head(nodes: Sequence[Mapping[str, Any]]) -> Finding:
    try:
        first = ranks(nodes)[0]
    except UsageError as error:
        return failed("head", error)
    return ok("head", f"{first.name} at {first.address}")


def _secrets(wanted: Sequence[str], missing: Sequence[str]) -> Finding:
    if not missing:
        return ok("secrets", f"{len(wanted)} are there")
    what = f"missing: {', '.join(missing)}"
    if len(missing) == len(wanted):
        return fail("secrets", what, "`swarm/secrets` makes all of them")
    return fail(
        "secrets",
        what,
        f"openssl rand -hex 24 | docker secret create {missing[0]} -, or all of them anew with"
        " `swarm/secrets VERSION`",
    )


def _state(node: Mapping[str, Any]) -> Finding:
    state, availability = node["Status"]["State"], node["Spec"]["Availability"]
    part = f"{name(node)}: state"
    if state != "ready":
        return fail(part, state, "Start its Docker, and look at its network")
    if availability != "active":
        return fail(part, availability, f"docker node update --availability active {name(node)}")
    return ok(part, "ready")


def _engine(node: Mapping[str, Any], *, alone: bool, mpi: bool) -> Finding:
    version = node["Description"]["Engine"]["EngineVersion"]
    part = f"{name(node)}: Docker"
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLD_ENGINE:
        if is_engine(node) and not alone and not mpi:
            return fail(
                part,
                f"{version} keeps no task that holds a GPU on a network of several nodes",
                "Install Docker Engine 24 or newer",
            )
        return warn(
            part,
            f"{version} kills a task that holds a GPU when its node gets a label or a network",
            "Install a newer Docker Engine, or set all labels before the stack is deployed",
        )
    return ok(part, version)


def _gpus(node: Mapping[str, Any]) -> Finding:
    part = f"{name(node)}: GPU"
    told = node["Description"].get("Resources", {}).get("GenericResources") or []
    named = [entry["NamedResourceSpec"] for entry in told if "NamedResourceSpec" in entry]
    ids = [spec["Value"] for spec in named if spec["Kind"] == KIND]
    remedy = (
        f'Put "node-generic-resources": ["{KIND}=GPU-…"] into /etc/docker/daemon.json, with the'
        " UUID that `nvidia-smi -L` shows, and restart Docker"
    )
    if not ids:
        others = sorted({spec["Kind"] for spec in named})
        what = f"advertises {', '.join(others)}, not {KIND}" if others else "advertises none"
        return fail(part, what, remedy)
    if odd := [value for value in ids if not UUID.fullmatch(value)]:
        return fail(part, f"{odd[0]} is not a GPU's UUID", remedy)
    return ok(part, ", ".join(ids))


def _runtime(where: str, daemon: Any, toolkit: Any) -> Iterator[Finding]:
    part = f"{where}: runtime"
    default = (daemon or {}).get("default-runtime")
    if default != "nvidia":
        yield fail(
            part,
            f"Docker's default runtime is {default or 'runc'}, so containers see no GPU",
            "nvidia-ctk runtime configure --runtime=docker --set-as-default, and restart Docker",
        )
    else:
        yield ok(part, "nvidia is the default")
    part = f"{where}: toolkit"
    resource = (toolkit or {}).get("swarm-resource")
    if resource != VARIABLE:
        yield fail(
            part,
            f"swarm-resource is {resource or 'not set'}",
            f'Write swarm-resource = "{VARIABLE}" into /etc/nvidia-container-runtime/config.toml',
        )
    else:
        yield ok(part, f"swarm-resource is {VARIABLE}")


def _network(
    where: str, interfaces: Mapping[str, Mapping[str, Any]], rdma: Sequence[str], *, mpi: bool
) -> Finding:
    part = f"{where}: network"
    up = {name: seen["mbits"] for name, seen in interfaces.items() if seen["up"]}
    if not up:
        return fail(part, "no interface is up", "Plug it in; `ip link` shows them")
    told = ", ".join(f"{name} {mbits // 1000} Gbit/s" for name, mbits in up.items())
    if mpi and max(up.values()) < 100_000:
        return warn(
            part,
            f"{told}; a server over several nodes wants the ConnectX-7 ports",
            "Plug in the QSFP cable, and give both of its interfaces addresses",
        )
    if mpi and not rdma:
        return warn(part, f"{told}, without RDMA", "It works over TCP, more slowly")
    return ok(part, told)


def _clock(where: str, seen: float, asked: float, told: float) -> Finding:
    part = f"{where}: clock"
    off = max(asked - seen, seen - told, 0.0)
    if off > SKEW:
        return fail(part, f"{off:.0f} s off", "Let chrony or systemd-timesyncd set it")
    return ok(part, "agrees")


def _gb(size: int) -> str:
    return f"{size / 10**9:.1f} GB"
