"""swarm/k3s is stack.yml again, in Kubernetes' words and with the same files."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.swarm.k3s import ROOT, Manifests
from tests.swarm.lab import environment

VERSIONS = ("1.33", "1.37")
"""The oldest Kubernetes whose schema allows what is said, and the newest one with a schema."""

LEFT_OUT = {"trtllm-mpi"}
"""docs/deploy.md tells it."""

OTHERWISE = {"gateway": {"SPARKY_GATEWAY_DNS", "SPARKY_GATEWAY_TARGET"}}
"""Variables that name what Docker and Kubernetes name differently, by service."""

AS_ITS_IMAGE = {"trtllm"}
"""Runs as its image's user and writes its image's root, in a Swarm too: it is NVIDIA's."""

MEMORY = {"Mi": 2**20, "Gi": 2**30}
SECONDS = {"h": 3600, "m": 60, "s": 1}


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    return Manifests.built()


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """stack.yml as Docker reads it, with no variable set, without what K3s leaves out."""
    done = subprocess.run(
        ["docker", "stack", "config", "--compose-file", "stack.yml"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = dict(yaml.safe_load(done.stdout))
    found["services"] = {n: s for n, s in found["services"].items() if n not in LEFT_OUT}
    return found


def seconds(text: str) -> int:
    """`1m30s` as a number."""
    return sum(int(n) * SECONDS[unit] for n, unit in re.findall(r"(\d+)([hms])", text))


def cpus(text: str) -> float:
    """`500m` or `2` as a number."""
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def memory(text: str) -> int:
    """`512Mi` in bytes."""
    return int(text[:-2]) * MEMORY[text[-2:]]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_key(manifests: Manifests, version: str) -> None:
    """Each object is what the schema of its kind allows, and has no key beside that."""
    for one in manifests.objects:
        assert kubernetes_validate.validate(one, version, strict=True) == version


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "trtllm", "spec.template.spec.containers.0.gpus", 1),
        ("Deployment", "trtllm", "spec.template.spec.restart", "always"),
        ("Deployment", "gateway", "spec.strategy.maxSurge", 0),
        ("Deployment", "beat", "spec.replicas", "one"),
        ("StatefulSet", "redis", "spec.template.spec.containers.0.readOnlyRootFilesystem", True),
        ("StatefulSet", "redis", "spec.volumeClaimTemplates.0.spec.size", "2Gi"),
        ("Job", "migrate", "spec.schedule", "@daily"),
        ("NetworkPolicy", "data", "spec.ingress.0.from.0.labels", {}),
        ("Service", "flower", "spec.ports.0.hostPort", 5555),
    ],
)
def test_a_wrong_key_is_found(
    manifests: Manifests, kind: str, name: str, path: str, value: object
) -> None:
    """One that stands in the wrong place, or was never there."""
    changed = copy.deepcopy(manifests.of(kind)[name])
    *above, last = path.split(".")
    place: Any = changed
    for step in above:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(changed, VERSIONS[-1], strict=True)


def test_every_service_has_its_counterpart(manifests: Manifests, stack: dict[str, Any]) -> None:
    """By the same name, as often, and with the same image."""
    assert set(manifests.workloads) == set(stack["services"])
    for name, service in stack["services"].items():
        assert manifests.container(name)["image"] == service["image"], name
        workload = manifests.workloads[name]["spec"]
        assert workload.get("replicas") == service["deploy"].get("replicas"), name


def test_command_lines_are_the_same(manifests: Manifests, stack: dict[str, Any]) -> None:
    """The entry point where the stack names one, and every word after it."""
    for name, service in stack["services"].items():
        container = manifests.container(name)
        assert container.get("command") == service.get("entrypoint"), name
        assert container.get("args") == service.get("command"), name


def test_environments_are_the_same(manifests: Manifests, stack: dict[str, Any]) -> None:
    """Each variable is there with its value, and Kubernetes adds none of its own."""
    for name, service in stack["services"].items():
        ours, theirs = manifests.environment(name), service.get("environment", {})
        assert set(ours) == set(theirs), name
        assert {v for v in ours if ours[v] != theirs[v]} <= OTHERWISE.get(name, set()), name
        assert manifests.pod(name)["enableServiceLinks"] is False, name


def test_configs_are_the_same_files_at_the_same_paths(
    manifests: Manifests, stack: dict[str, Any]
) -> None:
    """ConfigMaps hold what lies under swarm/, and nothing else."""
    for name, service in stack["services"].items():
        wanted = {
            config["target"]: Path(stack["configs"][config["source"]]["file"]).read_text()
            for config in service.get("configs", ())
        }
        assert manifests.files(name) == wanted, name


def test_secrets_are_at_the_same_paths(manifests: Manifests, stack: dict[str, Any]) -> None:
    """Each process sees those that it needs and no others."""
    for name, service in stack["services"].items():
        wanted = {f"/run/secrets/{secret['source']}" for secret in service.get("secrets", ())}
        assert set(manifests.secrets(name)) == wanted, name
        assert manifests.pod(name)["automountServiceAccountToken"] is False, name


def test_secrets_are_made_by_the_script_and_contained_nowhere(
    manifests: Manifests, tmp_path: Path
) -> None:
    """The keys are the files that swarm/secrets writes; no manifest is a Secret."""
    subprocess.run(
        [str(ROOT / "swarm/secrets")],
        env=environment(SPARKY_SECRETS_DIR=str(tmp_path)), capture_output=True, check=True,
    )  # fmt: skip
    made = {("sparky", file.name) for file in tmp_path.iterdir()}
    used = {found for name in manifests.workloads for found in manifests.secrets(name).values()}
    assert used - made == set()
    assert manifests.of("Secret") == {}


def test_volumes_are_at_the_same_paths(manifests: Manifests, stack: dict[str, Any]) -> None:
    """What is kept is kept, what is memory is memory, and what is read only is that."""
    for name, service in stack["services"].items():
        wanted = {v["target"]: v.get("read_only", False) for v in service.get("volumes", ())}
        found = {
            mount["mountPath"]: mount.get("readOnly", False)
            for mount, volume in manifests.mounts(name)
            if not {"configMap", "secret"} & set(volume)
        }
        assert found == wanted, name
        in_memory = {
            mount["mountPath"]
            for mount, volume in manifests.mounts(name)
            if volume.get("emptyDir", {}).get("medium") == "Memory"
        }
        assert in_memory == {
            v["target"] for v in service.get("volumes", ()) if v["type"] == "tmpfs"
        }, name


def test_every_name_that_is_used_exists(manifests: Manifests) -> None:
    """ConfigMaps, services of sets, and the pods behind each service."""
    maps, services = manifests.of("ConfigMap"), manifests.of("Service")
    used = set()
    for name, workload in manifests.workloads.items():
        used |= {v["configMap"]["name"] for v in manifests.pod(name)["volumes"] if "configMap" in v}
        container = manifests.container(name)
        used |= {source["configMapRef"]["name"] for source in container.get("envFrom", ())}
        assert workload["spec"].get("serviceName", name) in services | {name: None}, name
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert {volume["name"] for volume in manifests.pod(name)["volumes"]} <= mounted, name
    assert used == set(maps)
    for name, service in services.items():
        assert service["spec"]["selector"] == {"app.kubernetes.io/name": name}
        ports = {port["containerPort"] for port in manifests.container(name)["ports"]}
        assert {port["port"] for port in service["spec"]["ports"]} <= ports, name
    namespaces = {one["metadata"].get("namespace") for one in manifests.objects}
    assert namespaces - {None} == set(manifests.of("Namespace"))


def test_the_networks_join_and_part_the_same_services(
    manifests: Manifests, stack: dict[str, Any]
) -> None:
    """A pod reaches another one exactly where the two share a network of the stack."""
    networks = {name: set(service["networks"]) for name, service in stack["services"].items()}
    wrong = [
        (one, other)
        for one in networks
        for other in networks
        if one != other and manifests.reaches(one, other) != bool(networks[one] & networks[other])
    ]
    assert wrong == []


def test_people_reach_the_same_ports(manifests: Manifests, stack: dict[str, Any]) -> None:
    """Each is open on its node, let through, and the only one."""
    for name, service in stack["services"].items():
        wanted = {port["target"]: port["published"] for port in service.get("ports", ())}
        ports = manifests.container(name).get("ports", ())
        found = {p["containerPort"]: p["hostPort"] for p in ports if "hostPort" in p}
        assert found == wanted, name
        here = {port["containerPort"] for port in ports}
        assert manifests.open_ports(name) & here == set(wanted), name


def test_nodes_are_chosen_by_the_same_labels(manifests: Manifests, stack: dict[str, Any]) -> None:
    """A node does in K3s what it would do in a Swarm."""
    for name, service in stack["services"].items():
        words = service["deploy"]["placement"]["constraints"]
        wanted = dict(
            re.fullmatch(r"node\.labels\.(\S+) == (\w+)", word).groups() for word in words
        )
        assert manifests.pod(name)["nodeSelector"] == wanted, name


def test_resources_are_the_same(manifests: Manifests, stack: dict[str, Any]) -> None:
    """Limits and reservations; who reserves no processor is not given its limit as one."""
    for name, service in stack["services"].items():
        resources = service["deploy"]["resources"]
        ours = manifests.container(name)["resources"]
        reserved = resources["reservations"]
        if "generic_resources" in reserved:
            assert ours == {"limits": {"nvidia.com/gpu": 1}}
            continue
        assert cpus(ours["limits"]["cpu"]) == float(resources["limits"]["cpus"]), name
        assert memory(ours["limits"]["memory"]) == int(resources["limits"]["memory"]), name
        assert memory(ours["requests"]["memory"]) == int(reserved["memory"]), name
        if "cpus" in reserved:
            assert cpus(ours["requests"]["cpu"]) == float(reserved["cpus"]), name
        else:
            assert cpus(ours["requests"]["cpu"]) <= 0.1, name


def test_health_is_asked_in_the_same_way_and_no_sooner(
    manifests: Manifests, stack: dict[str, Any]
) -> None:
    """By the same command or address; a start has as long, and so many failures are an end."""
    for name, service in stack["services"].items():
        container, check = manifests.container(name), service["healthcheck"]
        if check.get("disable"):
            assert not {"startupProbe", "livenessProbe"} & set(container), name
            continue
        words = check["test"][1:] if check["test"][0] == "CMD" else ["sh", "-c", check["test"][1]]
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind)
            if probe is None:
                # Where nobody connects, to have started is to be ready.
                assert kind == "readinessProbe", name
                assert name not in manifests.of("Service"), name
            elif "exec" in probe:
                assert probe["exec"]["command"] == words, name
            else:
                assert probe["httpGet"]["path"] in words[-1], name
        start, live = container["startupProbe"], container["livenessProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= seconds(check["start_period"])
        assert live["failureThreshold"] == check["retries"], name
        assert live["periodSeconds"] == seconds(check["interval"]), name
        assert live["timeoutSeconds"] == seconds(check["timeout"]), name


def test_what_stops_has_as_long(manifests: Manifests, stack: dict[str, Any]) -> None:
    """SPARKY_GRACE and its like; who wants another signal than TERM is told first."""
    for name, service in stack["services"].items():
        grace = manifests.pod(name)["terminationGracePeriodSeconds"]
        assert grace == seconds(service.get("stop_grace_period", "10s")), name
        assert ("stop_signal" in service) == ("lifecycle" in manifests.container(name)), name


def test_the_old_stops_before_the_new_starts(manifests: Manifests) -> None:
    """One node has one GPU and one of each port, so an update that starts first would wait for ever."""
    for name, workload in manifests.of("Deployment").items():
        strategy = workload["spec"]["strategy"]
        assert strategy["type"] == "Recreate" or strategy["rollingUpdate"]["maxSurge"] == 0, name


def test_nobody_is_root_or_may_become_it(manifests: Manifests, stack: dict[str, Any]) -> None:
    """Nor writes its own root, nor keeps a capability."""
    for name in manifests.workloads:
        pod, rights = manifests.pod(name)["securityContext"], manifests.container(name)
        rights = rights["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False, name
        assert rights["capabilities"] == {"drop": ["ALL"]}, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        if name in AS_ITS_IMAGE:
            assert not stack["services"][name].get("read_only"), name
            continue
        assert pod["runAsNonRoot"] is True, name
        assert rights["readOnlyRootFilesystem"] is True, name
        user = stack["services"][name].get("user", "10001:10001")
        assert f"{pod['runAsUser']}:{pod['runAsGroup']}" == user, name
        # Postgres refuses a folder that its group may write to: set once, not at each start.
        assert pod["fsGroupChangePolicy"] == "OnRootMismatch", name
