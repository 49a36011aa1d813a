"""The plan of a Swarm's engines: what fits is promised, and nothing more."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import UsageError
from sparky.llm import catalogue
from sparky.stack import rendering
from sparky.stack.plan import MOST, Plan, Wish, plan
from sparky.stack.spark import facts

KNOWN_KEYS = {
    "kv_cache_config": {"enable_block_reuse", "free_gpu_memory_fraction", "max_tokens", "dtype"},
    "cuda_graph_config": {"enable_padding", "max_batch_size"},
    "moe_config": {"backend"},
    "enable_chunked_prefill": None,
    "disable_overlap_scheduler": None,
    "enable_iter_perf_stats": None,
    "return_perf_metrics": None,
    "guided_decoding_backend": None,
}
"""Keys of TensorRT-LLM 1.2's `TorchLlmArgs`, which refuses any other."""

ALL = sorted(facts().checkpoints)


def reckon(name: str, nodes: int = 1, **more: object) -> Plan:
    return plan(Wish(model=catalogue.find(name), nodes=nodes, **more))  # type: ignore[arg-type]


def test_a_model_that_fits_on_one_spark_runs_on_each_of_them() -> None:
    made = reckon("gpt-oss-120b", nodes=4)
    assert (made.shape, made.servers, made.tp, made.pp) == ("replicas", 4, 1, 1)
    assert made.in_flight == 4 * made.batch


def test_a_model_that_no_spark_holds_alone_is_split_over_all() -> None:
    made = reckon("qwen3-235b-a22b", nodes=2)
    assert (made.shape, made.servers, made.tp, made.pp) == ("mpi", 1, 2, 1)
    assert "11.7" in made.speed
    assert "NVIDIA" in made.speed


def test_what_does_not_fit_is_refused_with_the_sum() -> None:
    with pytest.raises(UsageError, match=r"does not fit on 1 node.*134\.0 GB") as told:
        reckon("qwen3-235b-a22b", nodes=1)
    assert "more nodes" in told.value.remedy


@pytest.mark.parametrize(
    ("name", "release"), [("gpt-oss-120b", "1.3.0rc24"), ("gpt-oss-20b", "1.2.0rc0")]
)
def test_a_version_that_is_known_to_be_bad_for_a_model_is_refused(name: str, release: str) -> None:
    with pytest.raises(UsageError, match=release):
        reckon(name, release=release)


def test_a_version_that_nobody_has_tried_is_only_warned_of() -> None:
    assert "9.9.9" in reckon("gpt-oss-20b", release="9.9.9").warnings[0]


def test_a_model_without_weights_for_sparks_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(UsageError, match="no weights of phi-4 ") as told:
        reckon("phi-4")
    assert "gpt-oss-120b" in told.value.remedy


def test_splitting_what_fits_alone_is_warned_of() -> None:
    assert "replicas write more" in reckon("gpt-oss-120b", nodes=2, shape="mpi").warnings[0]


@given(
    name=st.sampled_from(ALL),
    nodes=st.integers(1, 8),
    memory=st.integers(16, 512).map(lambda gb: gb * 10**9),
    tokens=st.integers(1024, 131072),
)
def test_weights_and_cache_never_take_more_than_the_share_of_the_nodes(
    name: str, nodes: int, memory: int, tokens: int
) -> None:
    try:
        made = reckon(name, nodes=nodes, memory=memory, tokens=tokens)
    except UsageError:
        return
    span = made.nodes // made.servers
    cache = made.kv_tokens * made.model.kv_bytes_per_token(made.kv) + made.model.state * made.batch
    assert made.format.bytes + cache <= span * memory * catalogue.SHARE
    assert made.tp * made.pp == span
    assert made.model.kv_heads % made.tp == 0
    assert 1 <= made.batch <= MOST
    assert made.batch * made.seq_tokens <= made.kv_tokens
    assert made.read_tokens >= made.seq_tokens


@pytest.mark.parametrize("name", ALL)
def test_the_engine_file_holds_only_keys_that_the_engine_knows(name: str) -> None:
    document = yaml.safe_load(rendering.engine_yaml(reckon(name, nodes=2)))
    assert document.keys() <= KNOWN_KEYS.keys()
    for key, value in document.items():
        inner = KNOWN_KEYS[key]
        assert isinstance(value, dict) == (inner is not None)
        assert inner is None or value.keys() <= inner


@pytest.mark.parametrize("name", ALL)
def test_no_value_stands_both_in_the_file_and_in_a_flag(name: str) -> None:
    made = reckon(name, nodes=2)
    flags = {flag.strip("-") for flag in rendering.serve_flags(made) if flag.startswith("--")}
    assert not flags & yaml.safe_load(rendering.engine_yaml(made)).keys()


def test_another_configuration_has_another_name() -> None:
    one, other = (rendering.engine_yaml(reckon("gpt-oss-20b", tokens=n)) for n in (8192, 131072))
    assert rendering.config_name("trtllm", one) != rendering.config_name("trtllm", other)


def test_the_exports_give_a_shell_the_same_values() -> None:
    import subprocess

    values = {"A": "one two", "B": "it's $HOME", "C": ""}
    script = rendering.exports(values, "title") + 'printf "%s\\n" "$A" "$B" "$C"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "one two\nit's $HOME\n\n"
