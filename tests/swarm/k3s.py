"""What swarm/k3s says, as kustomize puts it together, and who of it reaches whom."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PODS = ("Deployment", "StatefulSet", "Job")


@dataclass(frozen=True)
class Manifests:
    """Every object that `kubectl apply -k swarm` would make."""

    objects: list[dict[str, Any]]

    @classmethod
    def built(cls) -> Manifests:
        """By the kustomize inside of kubectl; nothing is asked of a cluster."""
        done = subprocess.run(
            ["kubectl", "kustomize", "swarm"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return cls(list(yaml.safe_load_all(done.stdout)))

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The objects of a kind, by name."""
        return {found["metadata"]["name"]: found for found in self.objects if found["kind"] == kind}

    @property
    def workloads(self) -> dict[str, dict[str, Any]]:
        """What starts pods, by name."""
        return {name: found for kind in PODS for name, found in self.of(kind).items()}

    def pod(self, name: str) -> dict[str, Any]:
        """What the pods of a workload are to be."""
        return dict(self.workloads[name]["spec"]["template"]["spec"])

    def container(self, name: str) -> dict[str, Any]:
        """The one container of a workload's pods."""
        (found,) = self.pod(name)["containers"]
        return dict(found)

    def environment(self, name: str) -> dict[str, str]:
        """The variables of a workload's container."""
        maps = self.of("ConfigMap")
        container = self.container(name)
        found: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            found |= maps[source["configMapRef"]["name"]]["data"]
        for variable in container.get("env", ()):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["configMapKeyRef"]
                value = maps[reference["name"]]["data"][reference["key"]]
            else:
                value = variable.get("value", "")
            found[variable["name"]] = value
        return found

    def mounts(self, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each mount of a workload's container with the volume that it mounts."""
        volumes = {volume["name"]: volume for volume in self.pod(name)["volumes"]}
        for template in self.workloads[name]["spec"].get("volumeClaimTemplates", ()):
            volumes[template["metadata"]["name"]] = template
        for mount in self.container(name)["volumeMounts"]:
            yield mount, volumes[mount["name"]]

    def files(self, name: str) -> dict[str, str]:
        """What lies in files that come from ConfigMaps, by path."""
        maps = self.of("ConfigMap")
        return {
            f"{mount['mountPath']}/{key}": text
            for mount, volume in self.mounts(name)
            if "configMap" in volume
            for key, text in maps[volume["configMap"]["name"]]["data"].items()
        }

    def secrets(self, name: str) -> dict[str, tuple[str, str]]:
        """The secret and key of each file that comes from one, by path."""
        return {
            f"{mount['mountPath']}/{item['path']}": (volume["secret"]["secretName"], item["key"])
            for mount, volume in self.mounts(name)
            if "secret" in volume
            for item in volume["secret"]["items"]
        }

    def reaches(self, one: str, other: str) -> bool:
        """Whether the policies let pods of `one` open connections to any port of pods of `other`."""
        return self._allowed(one, other, "egress", "to") and self._allowed(
            other, one, "ingress", "from"
        )

    def open_ports(self, name: str) -> set[int]:
        """The ports of a workload's pods that anybody may connect to."""
        return {
            port["port"]
            for rule in self._rules(name, "ingress")
            if "from" not in rule
            for port in rule["ports"]
        }

    def _allowed(self, name: str, peer: str, way: str, side: str) -> bool:
        labels = self._labels(peer)
        for rule in self._rules(name, way):
            if "ports" in rule:
                continue
            if side not in rule:
                return True
            for selector in rule[side]:
                # Another namespace's pods are none of these.
                if "namespaceSelector" not in selector and _selects(
                    selector["podSelector"], labels
                ):
                    return True
        return False

    def _rules(self, name: str, way: str) -> Iterator[dict[str, Any]]:
        for policy in self.of("NetworkPolicy").values():
            if _selects(policy["spec"]["podSelector"], self._labels(name)):
                yield from policy["spec"].get(way, ())

    def _labels(self, name: str) -> Mapping[str, str]:
        return dict(self.workloads[name]["spec"]["template"]["metadata"]["labels"])


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()
