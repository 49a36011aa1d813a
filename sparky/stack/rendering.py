"""What a plan looks like to TensorRT-LLM, to the stack and to Sparky: texts, from values.

Each value stands in one place, a flag or the YAML file: which of them wins differs between versions.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import yaml

from sparky.stack.plan import Plan


def engine_yaml(plan: Plan) -> str:
    """The file that `trtllm-serve --config` reads. It refuses keys that it does not know."""
    cache: dict[str, Any] = {
        "enable_block_reuse": plan.reuse,
        "free_gpu_memory_fraction": 0.8,
        "max_tokens": plan.kv_tokens,
    }
    if plan.kv == "fp8":
        cache["dtype"] = "fp8"
    document: dict[str, Any] = {
        "kv_cache_config": cache,
        "cuda_graph_config": {"enable_padding": True, "max_batch_size": plan.batch},
        "enable_chunked_prefill": True,
        "disable_overlap_scheduler": True,
        "enable_iter_perf_stats": True,
        "return_perf_metrics": True,
    }
    if plan.guided:
        document["guided_decoding_backend"] = plan.guided
    if plan.moe:
        document["moe_config"] = {"backend": plan.moe}
    return f"# {_title(plan)}\n" + yaml.safe_dump(document, sort_keys=False)


def serve_flags(plan: Plan) -> list[str]:
    """The flags of `trtllm-serve` beside the model, `--host`, `--port` and `--config`."""
    flags = {
        "--backend": "pytorch",
        "--tp_size": plan.tp,
        "--pp_size": plan.pp,
        "--max_batch_size": plan.batch,
        "--max_num_tokens": plan.read_tokens,
        "--max_seq_len": plan.seq_tokens,
    }
    if plan.reasoning:
        flags["--reasoning_parser"] = plan.reasoning
    return [str(part) for pair in flags.items() for part in pair]


def environment(plan: Plan, *, models: str = "/srv/models") -> dict[str, str]:
    """The variables of stack.yml that this plan sets; docs/deploy.md tells each."""
    name = plan.checkpoint.rpartition("/")[2]
    return {
        "SPARKY_MODELS": models,
        "SPARKY_TRTLLM_CONFIG": config_name("trtllm", engine_yaml(plan)),
        "SPARKY_TRTLLM_FLAGS": " ".join(serve_flags(plan)),
        "SPARKY_TRTLLM_MODEL": f"/srv/models/{name}",
        "SPARKY_TRTLLM_REPLICAS": str(plan.servers if plan.shape == "replicas" else 0),
        "SPARKY_TRTLLM_RANKS": str(plan.nodes if plan.shape == "mpi" else 0),
        # One sequence of each engine is left to the gateway's own question.
        "SPARKY_GATEWAY_MAXCONN": str(max(1, plan.batch - 1)),
        "SPARKY_GATEWAY_ENGINES": str(plan.servers),
        "SPARKY_LLM_MODEL": name,
        "SPARKY_LLM_CONTEXT": str(plan.seq_tokens),
        "SPARKY_LLM_IN_FLIGHT": str(plan.in_flight),
        "SPARKY_SUMMARIZE_THREADS": str(plan.in_flight),
    }


def exports(variables: Mapping[str, str], title: str) -> str:
    """The variables as lines that a shell reads: `docker stack deploy` reads no file of its own."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([f"# {title}", *lines, ""])


def config_name(kind: str, text: str) -> str:
    """A name for a Swarm config with this text: another text has another name, as none is changed."""
    return f"{kind}-{sha256(text.encode()).hexdigest()[:12]}"


def _title(plan: Plan) -> str:
    where = f"{plan.servers} x 1 node" if plan.shape == "replicas" else f"1 x {plan.nodes} nodes"
    return (
        f"{plan.checkpoint} in {plan.format.name} with TensorRT-LLM {plan.release}, {where};"
        " written by `sparky stack render`"
    )
