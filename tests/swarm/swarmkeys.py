"""The keys of a compose file that Docker Swarm honours.

`docker stack deploy` refuses some others, names some that it leaves out, and leaves out the rest
without a word. So what is not in here is a mistake. The first key of each path that is not is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

ANY: dict[str, Any] = {"*": None}
"""A mapping whose keys are names."""

_RESOURCE = {"cpus": None, "memory": None}
_UPDATE = dict.fromkeys(
    ("order", "parallelism", "delay", "failure_action", "monitor", "max_failure_ratio")
)
_REFERENCE = dict.fromkeys(("source", "target", "uid", "gid", "mode"))

DEPLOY: dict[str, Any] = {
    "endpoint_mode": None,
    "labels": ANY,
    "mode": None,
    "placement": {
        "constraints": None,
        "max_replicas_per_node": None,
        "preferences": {"spread": None},
    },
    "replicas": None,
    "resources": {
        "limits": _RESOURCE | {"pids": None},
        "reservations": _RESOURCE
        | {"generic_resources": {"discrete_resource_spec": {"kind": None, "value": None}}},
    },
    "restart_policy": dict.fromkeys(("condition", "delay", "max_attempts", "window")),
    "rollback_config": _UPDATE,
    "update_config": _UPDATE,
}

SERVICE: dict[str, Any] = dict.fromkeys(
    (
        "cap_add", "cap_drop", "command", "dns", "dns_opt", "dns_search", "entrypoint", "env_file",
        "extra_hosts", "hostname", "image", "init", "isolation", "read_only", "stdin_open",
        "stop_grace_period", "stop_signal", "tty", "user", "working_dir",
    )
) | {
    "configs": _REFERENCE,
    "deploy": DEPLOY,
    "environment": ANY,
    "healthcheck": dict.fromkeys(
        ("disable", "interval", "retries", "start_period", "test", "timeout")
    ),
    "labels": ANY,
    "logging": {"driver": None, "options": ANY},
    "networks": {"*": {"aliases": None}},
    "ports": dict.fromkeys(("mode", "protocol", "published", "target")),
    "secrets": _REFERENCE,
    "sysctls": ANY,
    "ulimits": {"*": {"soft": None, "hard": None}},
    "volumes": {
        "type": None, "source": None, "target": None, "read_only": None,
        "bind": {"propagation": None}, "tmpfs": {"size": None}, "volume": {"nocopy": None},
    },
}  # fmt: skip

_OUTSIDE = {"external": None, "name": None, "labels": ANY}

FILE: dict[str, Any] = {
    "configs": {"*": _OUTSIDE | {"file": None}},
    "networks": {
        "*": _OUTSIDE
        | {"attachable": None, "driver": None, "driver_opts": ANY, "internal": None, "ipam": ANY}
    },
    "secrets": {"*": _OUTSIDE | {"file": None}},
    "services": {"*": SERVICE},
    "volumes": {"*": _OUTSIDE | {"driver": None, "driver_opts": ANY}},
}


def strange(document: Any, known: Any = FILE, path: str = "") -> Iterator[str]:
    """Paths of keys that Swarm refuses or leaves out."""
    if isinstance(document, list):
        for entry in document:
            yield from strange(entry, known, path)
    elif isinstance(document, dict) and known is not None:
        for key, value in document.items():
            here = f"{path}.{key}".lstrip(".")
            if not path and key.startswith("x-"):
                continue
            if key not in known and "*" not in known:
                yield here
            else:
                yield from strange(value, known.get(key, known.get("*")), here)
