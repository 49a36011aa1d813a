"""The catalogue's figures add up, and say where they come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import UsageError
from sparky.llm.catalogue import Model, find, fit, load, smallest

GB = 10**9
SPARK = 128 * GB


@pytest.mark.parametrize("model", load().values(), ids=lambda model: model.name)
def test_every_model_says_where_its_figures_come_from(model: Model) -> None:
    assert model.geometry
    assert model.licence
    assert model.engines
    assert all(form.origin for form in model.formats)
    assert smallest(model.formats).bytes >= 0.4 * model.parameters * GB


@pytest.mark.parametrize(
    ("name", "bytes_per_token"),
    [
        ("llama-3.1-8b", 131_072),
        ("llama-3.3-70b", 327_680),
        ("gpt-oss-120b", 73_728),
        ("qwen2.5-coder-1.5b", 28_672),
        ("nemotron-3-super-120b", 8_192),
    ],
)
def test_the_cache_of_a_token_is_what_the_shape_makes_it(name: str, bytes_per_token: int) -> None:
    """Known from the models' own pages and papers."""
    assert find(name).kv_bytes_per_token() == bytes_per_token
    assert find(name).kv_bytes_per_token("fp8") == bytes_per_token // 2


@pytest.mark.parametrize(
    ("name", "form", "gigabytes"),
    [
        ("llama-3.1-8b", "q4_k_m", 4.92),
        ("llama-3.1-8b", "fp8", 9.1),
        ("llama-3.1-8b", "bf16", 16.1),
    ],
)
def test_computed_weights_are_near_those_published(name: str, form: str, gigabytes: float) -> None:
    (found,) = [f for f in find(name).formats if f.name == form]
    assert found.bytes / GB == pytest.approx(gigabytes, rel=0.03)


def test_a_model_is_found_by_each_of_its_names() -> None:
    for name in ("gpt-oss-20b", "openai/gpt-oss-20b", "GPT-OSS-20B"):
        assert find(name).name == "gpt-oss-20b"
    with pytest.raises(UsageError, match=r"gpt-oss-20b or gpt-oss-120b"):
        find("gpt-oss-7b")


def test_what_does_not_fit_on_one_node_is_split() -> None:
    """Qwen3-235B is the model that needs two Sparks; 120B runs as a replica on each."""
    large, usual = find("qwen3-235b-a22b"), find("gpt-oss-120b")
    (nvfp4,), (mxfp4,) = large.formats, usual.formats
    assert fit(large, nvfp4, memory=SPARK, nodes=1, tokens=8192).shape == ""
    assert fit(large, nvfp4, memory=SPARK, nodes=2, tokens=8192).shape == "parallel"
    assert fit(usual, mxfp4, memory=SPARK, nodes=2, tokens=8192).shape == "replicas"


def test_the_sum_says_why_it_does_not_fit() -> None:
    model = find("qwen3-235b-a22b")
    told = fit(model, model.formats[0], memory=SPARK, nodes=3, tokens=8192).sum
    assert "4 key-value heads do not part evenly over 3 nodes" in told[-1]


def test_layers_that_look_back_a_little_take_less() -> None:
    """gpt-oss: half of the layers keep 128 tokens."""
    model = find("gpt-oss-20b")
    layer = 2 * 8 * 64 * 2
    assert model.sequence_bytes(8192) == layer * (12 * 8192 + 12 * 128)
    assert model.sequence_bytes(100) == layer * 24 * 100


@given(
    st.sampled_from(sorted(load())),
    st.integers(1, 1000),
    st.integers(1, 8),
    st.integers(1, 200_000),
    st.sampled_from(["fp16", "fp8"]),
)
def test_what_is_said_to_fit_fits(name: str, memory: int, nodes: int, tokens: int, kv: str) -> None:
    """Weights and sequences together are less than the memory, whatever is asked."""
    model = find(name)
    for form in model.formats:
        found = fit(model, form, memory=memory * GB, nodes=nodes, tokens=tokens, kv=kv)
        assert bool(found.shape) == (found.sequences > 0)
        copies = nodes if found.shape == "replicas" else 1
        if found.shape:
            each = model.sequence_bytes(found.tokens, kv)
            assert copies * form.bytes + found.sequences * each < memory * GB * nodes
