"""The launcher of TensorRT-LLM: it knows its rank, its network and its command, or says why not."""

import os
import subprocess
from pathlib import Path

import pytest

from swarm.trtllm.launcher import hosts, mpi, nics, shell
from swarm.trtllm.launcher.config import Config, Wrong
from swarm.trtllm.launcher.nics import Nic

FAST = Nic("enp1s0f1np1", ("192.168.100.1/24",), 200_000, ("rocep1s0f1",))
TWIN = Nic("enP2p1s0f1np1", ("192.168.101.1/24",), 200_000, ("roceP2p1s0f1",))
HOME = Nic("enP7s7", ("10.0.0.1/16", "fd00::1/64"), 10_000, ())


def config(**more: str) -> Config:
    return Config.read({"SPARKY_TRTLLM_MODEL": "/srv/models/m", **more})


def test_a_hostfile_is_read_in_its_order_with_comments_left_out() -> None:
    text = "# ranks\n10.0.0.3 slots=1\n\n10.0.0.1 slots=1 # second\n"
    assert hosts.parse(text) == ["10.0.0.3", "10.0.0.1"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "spark1 slots=1\n"])
def test_a_hostfile_without_addresses_is_refused(text: str) -> None:
    with pytest.raises(Wrong, match="hostfile"):
        hosts.parse(text)


def test_a_hostfile_for_another_number_of_ranks_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "hostfile"
    file.write_text("10.0.0.1 slots=1\n")
    wanted = config(SPARKY_TRTLLM_HOSTFILE=str(file), SPARKY_TRTLLM_RANKS="2")
    with pytest.raises(Wrong, match="names 1 nodes, and 2 ranks") as told:
        hosts.find(wanted, print)
    assert "sparky stack hostfile" in str(told.value)


def test_without_a_hostfile_ranks_are_found_by_name(tmp_path: Path) -> None:
    wanted = config(
        SPARKY_TRTLLM_HOSTFILE=str(tmp_path / "none"),
        SPARKY_TRTLLM_HOSTS_NAME="localhost",
        SPARKY_TRTLLM_RANKS="1",
    )
    assert hosts.find(wanted, print)[0] in ("127.0.0.1", "::1")


def test_a_name_with_too_few_addresses_ends_at_the_deadline_with_what_was_found(
    tmp_path: Path,
) -> None:
    wanted = config(
        SPARKY_TRTLLM_HOSTFILE=str(tmp_path / "none"),
        SPARKY_TRTLLM_HOSTS_NAME="localhost",
        SPARKY_TRTLLM_RANKS="9",
        SPARKY_TRTLLM_DEADLINE="0",
    )
    with pytest.raises(Wrong, match=r"9 ranks are planned: .*1"):
        hosts.find(wanted, print)


def test_a_node_that_is_no_rank_says_which_addresses_it_has() -> None:
    with pytest.raises(Wrong, match=r"10\.0\.0\.9, none of which is a rank's: 10\.0\.0\.1"):
        hosts.place(["10.0.0.1"], {"10.0.0.9"})
    assert hosts.place(["10.0.0.1", "10.0.0.2"], {"10.0.0.2", "10.9.9.9"}) == "10.0.0.2"


def test_both_twins_of_the_fastest_port_with_rdma_are_chosen() -> None:
    assert nics.choose([HOME, FAST, TWIN], "10.0.0.1") == [FAST, TWIN]
    assert nics.environment([FAST, TWIN]) == {
        "NCCL_SOCKET_IFNAME": "enp1s0f1np1,enP2p1s0f1np1",
        "NCCL_IB_HCA": "rocep1s0f1,roceP2p1s0f1",
        "UCX_NET_DEVICES": "rocep1s0f1:1,roceP2p1s0f1:1",
    }


def test_without_rdma_the_interface_with_the_ranks_own_address_is_chosen() -> None:
    assert nics.choose([HOME], "10.0.0.1") == [HOME]
    assert nics.environment([HOME]) == {"NCCL_SOCKET_IFNAME": "enP7s7", "UCX_NET_DEVICES": "enP7s7"}
    with pytest.raises(Wrong, match=r"no interface has the address 10\.9\.9\.9"):
        nics.choose([HOME], "10.9.9.9")


def test_a_wanted_interface_that_is_not_up_is_named_beside_those_that_are() -> None:
    assert nics.choose([HOME, FAST], "10.0.0.1", ["enP7s7"]) == [HOME]
    with pytest.raises(Wrong, match=r"eth9 is not up .* enP7s7 \(10\.0\.0\.1/16"):
        nics.choose([HOME], "10.0.0.1", ["eth9"])


def test_open_mpi_is_told_networks_as_names_differ_between_nodes() -> None:
    assert nics.subnets([HOME, FAST]) == "10.0.0.0/16,192.168.100.0/24"


def test_interfaces_are_read_as_the_system_tells_them(tmp_path: Path) -> None:
    net, rdma = tmp_path / "net", tmp_path / "rdma"
    (net / "enp1").mkdir(parents=True)
    (net / "enp1/speed").write_text("200000\n")
    (rdma / "rocep1/device/net/enp1").mkdir(parents=True)
    (rdma / "rocep2/device/net/other").mkdir(parents=True)
    told: list[dict[str, object]] = [
        {
            "ifname": "enp1",
            "addr_info": [
                {"local": "192.168.100.1", "prefixlen": 24, "scope": "global"},
                {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
            ],
        },
        {"ifname": "enp2", "addr_info": []},
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
    ]
    assert nics.read(told, net, rdma) == [Nic("enp1", ("192.168.100.1/24",), 200_000, ("rocep1",))]


def test_ranks_get_the_variables_that_they_need_and_no_secret() -> None:
    there = ["NCCL_DEBUG", "HF_HUB_OFFLINE", "TIKTOKEN_ENCODINGS_BASE", "PATH", "HOME", "MY_KEY",
             "SPARKY_TRTLLM_NICS", "DATABASE_PASSWORD"]  # fmt: skip
    found = mpi.forwarded(there, ["MY_KEY", "NOT_SET"])
    assert found == sorted(set(there) - {"HOME", "DATABASE_PASSWORD"})


def test_one_rank_runs_on_each_node_and_the_server_beneath_the_engines_own_launcher() -> None:
    wanted = config(SPARKY_TRTLLM_RANKS="2", SPARKY_TRTLLM_FLAGS="--tp_size 2")
    command = mpi.command(
        wanted, Path("/opt/hpcx/ompi/bin/mpirun"), Path("/h"), "10.0.0.0/16", ["PATH"], "/launch"
    )
    assert command[:4] == [
        "/opt/hpcx/ompi/bin/mpirun",
        "--allow-run-as-root",
        "--tag-output",
        "--prefix",
    ]
    assert command[4] == "/opt/hpcx/ompi"
    assert command[command.index("--map-by") + 1] == "ppr:1:node"
    assert command[command.index("-np") + 1] == "2"
    tail = command[command.index("/launch") :]
    assert tail[:4] == ["/launch", "member", "trtllm-llmapi-launch", "trtllm-serve"]
    assert tail[-2:] == ["--tp_size", "2"]


def test_mpirun_is_found_on_the_path_and_where_nvidia_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "hpcx/ompi/bin/mpirun"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    assert mpi.find() == program
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(mpi, "PLACES", (str(tmp_path / "hpcx/ompi"),))
    assert mpi.find() == program
    monkeypatch.setattr(mpi, "PLACES", ())
    with pytest.raises(Wrong, match="no mpirun"):
        mpi.find()


def test_a_missing_or_broken_key_is_told_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "HOME", tmp_path / "ssh")
    monkeypatch.setattr(shell, "CLIENT", tmp_path / "client")
    key = tmp_path / "key"
    with pytest.raises(Wrong, match="there is no key"):
        shell.prepare(config(SPARKY_TRTLLM_KEY=str(key)))
    key.write_text("not a key")
    with pytest.raises(Wrong, match="is no private key"):
        shell.prepare(config(SPARKY_TRTLLM_KEY=str(key)))


def test_wrong_settings_end_the_launcher_with_one_line() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        ["python3", "-m", "swarm.trtllm.launcher", "rank"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "SPARKY_TRTLLM_MODEL": "/m", "SPARKY_TRTLLM_RANKS": "two"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "launch: SPARKY_TRTLLM_RANKS is two, which is no number\n"
