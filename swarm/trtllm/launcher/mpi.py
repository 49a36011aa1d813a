"""The command line of mpirun."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.trtllm.launcher.config import Config, Wrong

PLACES = ("/opt/hpcx/ompi", "/usr/local/mpi", "/usr/lib64/openmpi")
"""Where images of NVIDIA and others keep Open MPI outside PATH."""
FORWARDED = ("NCCL_", "HF_", "TIKTOKEN_", "TRITON_", "TORCHINDUCTOR_", "CUDA_CACHE", "TRTLLM_",
             "TRT_LLM_", "TLLM_", "SPARKY_TRTLLM_")  # fmt: skip
"""Beginnings of the variables that ranks, which ssh starts, would not have otherwise."""
NAMED = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "HF_TOKEN_PATH", "TMPDIR")


def find() -> Path:
    """mpirun: on PATH, or where NVIDIA's images keep it.

    Raises:
        Wrong: it is nowhere.
    """
    if found := shutil.which("mpirun"):
        return Path(found)
    for place in PLACES:
        if (Path(place) / "bin/mpirun").exists():
            return Path(place) / "bin/mpirun"
    raise Wrong(f"this image has no mpirun, neither on PATH nor below {', '.join(PLACES)}")


def forwarded(names: Iterable[str], more: Sequence[str] = ()) -> list[str]:
    """Of the variables that are set here, those that every rank gets."""
    there = set(names)
    asked = {name for name in there if name.startswith(FORWARDED) or name in NAMED}
    return sorted((asked | set(more)) & there)


def command(
    config: Config, mpirun: Path, hostfile: Path, subnets: str, names: Sequence[str], launcher: str
) -> list[str]:
    """One rank a node, over these networks, with these variables."""
    found = [str(mpirun), "--allow-run-as-root", "--tag-output"]
    # A prefix lets the other nodes find the same Open MPI, which ssh's PATH may not have.
    if (prefix := mpirun.resolve().parent.parent) not in (Path("/usr"), Path("/usr/local")):
        found += ["--prefix", str(prefix)]
    found += ["--hostfile", str(hostfile), "-np", str(config.ranks), "--map-by", "ppr:1:node"]
    if subnets:
        found += ["--mca", "btl_tcp_if_include", subnets, "--mca", "oob_tcp_if_include", subnets]
    for name in names:
        found += ["-x", name]
    return [*found, launcher, "member", "trtllm-llmapi-launch", *config.serve()]
