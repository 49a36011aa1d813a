"""A Swarm of three nodes: engines on the two with a GPU, one each or one over both, and a node lost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.swarm import build
from tests.swarm.lab import Lab, Node, eventually
from tests.swarm.nodes import GPUS, PORT, SSH, Swarm
from tests.swarm.runs import Run
from tests.swarm.stack import SMALL, commits

# The first test builds Debian and the images.
pytestmark = pytest.mark.timeout(1200)

MODEL = "gpt-oss-20b"
WEIGHTS = {"config.json": b'{"layers": 2}', "model.safetensors": bytes(range(256)) * 4096}
ENGINES = ["node2", "node3"]
VARIABLES = SMALL | {
    "SPARKY_TRTLLM_IMAGE": build.STANDIN,
    "SPARKY_POSTGRES_STANDBYS": "0",
    "SPARKY_FLOWER_REPLICAS": "0",
    "SPARKY_BACKUP_REPLICAS": "0",
    "SPARKY_GRAFANAS": "0",
    "SPARKY_FETCH_REPLICAS": "2",
    "SPARKY_SUMMARIZE_REPLICAS": "2",
    "SPARKY_DEFAULT_REPLICAS": "2",
    "SPARKY_GATEWAY_PROBE_INTERVAL": "2s",
}
"""A worker of each kind on both nodes that carry them, and nothing that no test asks for."""
OTHERWISE = "tests/swarm/nodes.yml"
SECONDS = 2
"""That an answer takes."""


def slowed(variables: Mapping[str, str]) -> dict[str, str]:
    """What was rendered, for engines that take their time and workers that ask little at once."""
    return dict(variables) | {
        "SPARKY_TRTLLM_FLAGS": f"{variables['SPARKY_TRTLLM_FLAGS']} --seconds {SECONDS}",
        "SPARKY_LLM_IN_FLIGHT": "4",
        "SPARKY_SUMMARIZE_THREADS": "2",
    }


@pytest.fixture(scope="module")
def swarm(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Swarm:
    """Three nodes with their images, joined, and nothing more."""
    swarm = Swarm.of(lab, tmp_path_factory.mktemp("operator"))
    manager, *others = swarm.nodes
    build.farm(manager)
    build.standin(manager)
    build.copy(manager, others, build.SPARKY, build.STANDIN)
    swarm.stack.variables = dict(VARIABLES)
    return swarm


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model's files, and those of its tokenizer, as `sparky models fetch` leaves them."""
    folder = tmp_path_factory.mktemp("carried")
    for name, files in {MODEL: WEIGHTS, "tiktoken": {"o200k_base.tiktoken": b"IQ== 0\n"}}.items():
        (folder / name).mkdir()
        sums = ""
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
            sums += f"{hashlib.sha256(content).hexdigest()}  {file}\n"
        (folder / name / "SHA256SUMS").write_text(sums)
    return folder


def old(node: Node) -> bool:
    """Whether its Docker is one that takes GPUs away, as Debian 12's is."""
    return node.ask("version", "--format", "{{.Server.Version}}").startswith("20.10")


def test_preflight_names_what_a_new_swarm_lacks(swarm: Swarm) -> None:
    """Labels, secrets and old engines, each with the command that mends it; it ends with 1."""
    found = swarm.preflight("--model", MODEL, "--nodes", "2", "--shape", "mpi")
    assert found["labels"]["health"] == found["secrets"]["health"] == "fail"
    for label, service in (("engine", ""), ("farm", "worker-fetch"), ("store", "postgres")):
        assert f"docker node update --label-add sparky.{label}=true" in found["labels"]["remedy"]
        assert service in found["labels"]["what"]
    assert "sparky.standby" not in found["labels"]["what"]  # none is asked for
    assert "sparky.head=true" in found["head"]["remedy"]
    assert "sparky-mpi-key-1" in found["secrets"]["what"]
    assert "swarm/secrets" in found["secrets"]["remedy"]
    for node in swarm.nodes:
        assert found[f"{node.name}: state"]["health"] == "ok"
        assert found[f"{node.name}: Docker"]["health"] == ("warn" if old(node) else "ok")


def test_weights_carried_in_are_put_on_each_node_and_a_bad_file_is_found(
    swarm: Swarm, carried: Path
) -> None:
    """Without a network: from a folder, by a job on each node with the label, checked by hash."""
    for name in ("node1", *ENGINES):
        swarm.label(name, "engine")
        (swarm.node(name).folder / "srv/models").mkdir(exist_ok=True)
    fetch = ["models", "fetch", MODEL, "--nodes", "--image", build.SPARKY, "--from", str(carried)]
    # One bit turned on the way.
    (carried / MODEL / "config.json").write_bytes(b'{"layers": 3}')
    done = swarm.sparky(*fetch)
    assert done.returncode == 1
    assert "config.json has the sha256" in done.stderr
    assert all(name in done.stderr for name in ENGINES)

    (carried / MODEL / "config.json").write_bytes(WEIGHTS["config.json"])
    done = swarm.sparky(*fetch)
    assert done.returncode == 0, done.stderr
    for name in ENGINES:
        models = swarm.node(name).folder / "srv/models"
        assert {f: (models / MODEL / f).read_bytes() for f in WEIGHTS} == WEIGHTS
        assert (models / "tiktoken/o200k_base.tiktoken").exists()

    bad = swarm.node("node3").folder / "srv/models" / MODEL / "model.safetensors"
    bad.write_bytes(bytes(bad.stat().st_size))
    look = ["--model", MODEL, "--nodes", "2", "--image", build.SPARKY]
    found = swarm.preflight(*look, "--engine-image", build.STANDIN)
    assert found["engine image"]["health"] == "ok"
    assert "model.safetensors has another sha256" in found["node3: weights"]["what"]
    assert "sparky models fetch" in found["node3: weights"]["remedy"]
    assert found["node2: weights"]["health"] == "ok"
    for name, uuid in zip(ENGINES, GPUS, strict=True):
        assert uuid in found[f"{name}: GPU"]["what"]
        assert found[f"{name}: Docker"]["health"] == ("fail" if old(swarm.node(name)) else "ok")
        for part in ("runtime", "toolkit", "clock", "ports"):
            assert found[f"{name}: {part}"]["health"] == "ok"
        assert "no interface is up" in found[f"{name}: network"]["what"]  # none is hardware
    for part, remedy in {
        "GPU": "node-generic-resources", "runtime": "--set-as-default", "toolkit": "swarm-resource",
    }.items():  # fmt: skip
        assert found[f"node1: {part}"]["health"] == "fail"
        assert remedy in found[f"node1: {part}"]["remedy"]

    # Fetched again, it is mended; and an image that is not there is named with the node.
    assert swarm.sparky(*fetch).returncode == 0
    found = swarm.preflight(*look, "--engine-image", "nobody-built:this")
    assert found["node3: weights"]["health"] == "ok"
    for name in ENGINES:
        assert "No such image" in found[f"{name}: engine image"]["what"]


@pytest.fixture(scope="module")
def replicas(swarm: Swarm, shared: Path) -> Swarm:
    """The stack with an engine on each node that has a GPU, and workers on two nodes."""
    swarm.label("node1", "engine", "farm", "store", "edge")
    swarm.label("node3", "farm")
    swarm.stack.secrets("1")
    variables = swarm.rendered("render", "--model", MODEL, "--nodes", "2")
    assert variables["SPARKY_TRTLLM_REPLICAS"] == "2"
    # An old Docker takes GPUs away while networks come: engines come after them.
    swarm.stack.deploy(OTHERWISE, **slowed(variables) | {
        "SPARKY_TRTLLM_REPLICAS": "0", "SPARKY_REPOSITORIES": str(shared / "repositories"),
    })  # fmt: skip
    swarm.stack.healthy()
    swarm.stack.deploy(OTHERWISE, SPARKY_TRTLLM_REPLICAS="2")
    swarm.stack.healthy()
    return swarm


def test_each_node_with_a_gpu_gets_one_engine_and_no_other_node(replicas: Swarm) -> None:
    """All three carry the label; the GPU decides, and a third engine waits for one."""
    assert replicas.placed("trtllm") == ENGINES
    eventually(replicas.answers, 120)
    replicas.stack.node.run("service", "scale", "--detach", "sparky_trtllm=3")
    eventually(lambda: "insufficient resources" in replicas.stack.tasks("trtllm"), 120)
    assert replicas.placed("trtllm") == ENGINES
    replicas.stack.node.run("service", "scale", "--detach", "sparky_trtllm=2")


def test_a_node_lost_in_the_middle_of_a_run_keeps_it_from_nothing(replicas: Swarm) -> None:
    """Its engine and half of the workers are gone at once: the rest ends the run, and no step fails.

    Once it is back, its engine serves again.
    """
    stack = replicas.stack
    both = [f"/srv/repositories/{name}.git" for name in ("one", "two")]
    stack.run("worker-fetch", "sparky", "repos", "add", *both)
    since, until = commits(0, 60)
    said = stack.sparky("runs", "start", "--since", since, "--until", until)
    run = Run(stack, said.split()[0])

    def busy() -> set[object]:
        return {step["worker"] for step in run.steps("summarize") if step["state"] == "running"}

    eventually(lambda: len(busy()) == 2, 120, lambda: stack.sparky("runs", "show", run.id))
    replicas.lose("node3")
    assert run.ends(600) == "done"
    assert {step["state"] for step in run.steps("fetch", "chunk", "summarize", "rollup")} == {
        "done"
    }
    assert max(int(str(step["attempt"])) for step in run.steps("summarize")) >= 2
    assert replicas.placed("trtllm") == ["node2"]
    assert set(replicas.placed("worker-summarize")) == {"node1"}
    replicas.find("node3")
    eventually(lambda: replicas.placed("trtllm") == ENGINES, 180, lambda: stack.tasks("trtllm"))


@pytest.fixture(scope="module")
def mpi(replicas: Swarm) -> Swarm:
    """One server over both nodes, in the place of one on each; its second rank comes late."""
    manager = replicas.stack.node
    manager.run("node", "update", "--label-rm", "sparky.engine", "node1")
    replicas.label("node2", "head")
    variables = replicas.rendered("render", "--model", MODEL, "--nodes", "2", "--shape", "mpi")
    variables |= replicas.rendered("hostfile")
    other = replicas.node("node3")
    other.firewall("--insert", SSH)
    replicas.stack.deploy(OTHERWISE, **slowed(variables))
    head, waits = replicas.node("node2"), f"waiting for {other.address}"
    eventually(lambda: waits in replicas.log("trtllm-mpi", head), 180, replicas.said)
    assert replicas.served(head) == {}
    other.firewall("--delete", SSH)
    replicas.stack.healthy()
    return replicas


def test_one_server_stands_on_ranks_on_both_nodes_that_talk_over_mpi(mpi: Swarm) -> None:
    """The head has waited for the other; each rank knows its own network, and the answer comes."""
    both = [("node2", "eth0"), ("node3", "eth0")]
    # Until then an engine of the shape before may still answer there.
    eventually(lambda: [(node, network) for node, _, network in mpi.ranks("node2")] == both, 180)
    eventually(lambda: mpi.placed("trtllm-mpi") == ENGINES, 180)
    assert mpi.placed("trtllm") == []
    assert mpi.served(mpi.node("node2"))["flags"]["--tp_size"] == "2"
    assert mpi.served(mpi.node("node3")) == {}
    eventually(mpi.answers, 120)


def test_a_killed_rank_takes_the_server_down_and_all_of_it_comes_back(mpi: Swarm) -> None:
    """No rank of the old server is among those of the new one, on which answers come again."""
    node = mpi.node("node3")
    kill = ("pkill", "--signal", "KILL", "--full", "trtllm-llmapi-launch")
    before: list[list[str]] = []

    def killed() -> bool:
        before[:] = mpi.ranks("node2")
        rank = mpi.container("trtllm-mpi", node)
        if len(before) < 2 or not rank:
            return False
        # The container may be gone, and this command with it, before it has told that it found one.
        return node.run("exec", rank, *kill, check=False).returncode in (0, 137)

    eventually(killed, 180, mpi.said)
    mpi.comes_back("node2", before)


def test_a_node_lost_takes_the_server_down_until_it_is_back(mpi: Swarm) -> None:
    """The head misses the rank though nobody said goodbye, and waits for its node to be there again."""
    head, other = mpi.node("node2"), mpi.node("node3")
    eventually(lambda: len(mpi.ranks("node2")) == 2, 180, mpi.said)
    before = mpi.ranks("node2")
    mpi.lose("node3")
    waits = f"waiting for {other.address}"
    eventually(
        lambda: mpi.served(head) == {} and waits in mpi.log("trtllm-mpi", head), 180, mpi.said
    )
    mpi.find("node3")
    mpi.comes_back("node2", before)
    # The GPU that an old Docker takes once more it takes by now, and what started anew without it serves.
    mpi.rests("trtllm-mpi")
    mpi.comes_back("node2", before)


def ends_its_answer(mpi: Swarm, stop: Callable[[], object]) -> None:
    """An answer that is under way when this stop comes is whole, and no rank is gone before."""
    head = mpi.node("node2")
    eventually(lambda: len(mpi.ranks("node2")) == 2, 180, mpi.said)
    question = {
        "messages": [{"role": "user", "content": "Your last word on the capital of France?"}]
    }
    with ThreadPoolExecutor() as pool:
        # Swarm takes a container away with its log.
        logs = [pool.submit(mpi.follow, "trtllm-mpi", mpi.node(name)) for name in ENGINES]
        url = f"http://{head.address}:{PORT}/v1/chat/completions"
        asked = pool.submit(httpx.post, url, json=question, trust_env=False, timeout=180)
        eventually(lambda: any("last word" in one for one in mpi.served(head).get("busy", ())), 60)
        stop()
        said = asked.result().json()
    assert said["choices"][0]["message"]["content"] == "Paris."
    for log in logs:
        # Before that, the head tells what was left of an earlier server.
        own = log.result().rpartition("all ranks are there")[2]
        broken = ("killed orted", "killed trtllm", "lost communication")
        assert [one for one in broken if one in own] == [], f"{own}\n{mpi.said()}"


def test_a_rank_that_is_told_to_stop_takes_no_answer_along(mpi: Swarm) -> None:
    """As when its node is drained: the server ends what it has begun, and all of it comes back."""
    before = mpi.ranks("node2")
    worker = mpi.node("node3")
    stop = ("kill", "--signal", "TERM")
    ends_its_answer(mpi, lambda: worker.run(*stop, mpi.container("trtllm-mpi", worker)))
    mpi.comes_back("node2", before)


def test_a_server_that_is_told_to_stop_ends_what_it_has_begun(mpi: Swarm) -> None:
    """Then all of it is gone, on both nodes."""
    scaled = ("service", "scale", "--detach", "sparky_trtllm-mpi=0")
    ends_its_answer(mpi, lambda: mpi.stack.node.run(*scaled))
    eventually(lambda: not any(mpi.container("trtllm-mpi", node) for node in mpi.nodes), 120)
