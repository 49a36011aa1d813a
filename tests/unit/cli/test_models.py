"""`sparky models` tells what fits, and shows the sum."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Sparky


def test_the_list_has_every_model_on_a_line(sparky: Sparky) -> None:
    lines = sparky("models", "list").out.splitlines()
    assert any(
        line.startswith("gpt-oss-120b\t116.8 B, 5.1 B active\tmxfp4 65.3 GB") for line in lines
    )
    assert len(lines) == len(json.loads(sparky("models", "list", "--json").out))


def test_a_model_is_shown_with_the_origin_of_its_figures(sparky: Sparky) -> None:
    text = sparky("models", "show", "openai/gpt-oss-20b").out
    assert "OpenAI's model card" in text
    assert "1.2.0rc0" in text


def test_what_fits_is_told_with_the_sum(sparky: Sparky) -> None:
    said = sparky("models", "fit", "--nodes", "2", "--model", "qwen3-235b-a22b").out
    assert "yes, split over the nodes" in said
    assert "2 × 98.4 GB less the weights leaves 62.8 GB" in said
    found = json.loads(sparky("models", "fit", "--memory", "16GB", "--json").out)
    fits = {(f["model"], f["format"]): f["fits"] for f in found}
    assert fits["llama-3.1-8b", "q4_k_m"] is True
    assert fits["llama-3.1-8b", "bf16"] is False


def test_a_size_that_is_none_is_refused(sparky: Sparky) -> None:
    assert "much is not a size" in sparky("models", "fit", "--memory", "much").err
